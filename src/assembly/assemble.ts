import { callerUsage } from '../objects/caller-usage.ts';
import type { Catalog } from '../objects/catalog.ts';
import { type Invoker, invokerOf } from '../objects/invoke.ts';
import { localSessionsOf } from '../objects/local-sessions.ts';
import type { Places } from '../objects/places.ts';
import { elsewhere } from '../objects/route.ts';
import { type Objects, objectsOf } from '../objects/runtime.ts';
import type { Services } from '../objects/services.ts';
import type { Store } from '../store/store.ts';
import { replacingOf } from './replacing.ts';

// How the objects of a host are put together, whatever the host is: one of a machine, one of many in a
// process, one in virtual time or one of a test. They differ in what they are given only.

/** An operation that waits for others this long is refused with what it waits for. */
export const operationWaitMs = 2 * 3_600_000;

/** What follows from the rest. */
type Derived = 'callerUsage' | 'localSessions' | 'cancel' | 'replacing';

export interface Parts {
  readonly catalog: Catalog;
  /** The other hosts of the pool. */
  readonly places: Places;
  /** What the objects use of the outside world. What is derived may be given, too, and is taken instead. */
  readonly services: Omit<Services, Derived> & Partial<Pick<Services, Derived>>;
  /** How long an operation waits for others. */
  readonly waitMs?: number;
}

/** The objects of one host, and the way to call them. */
export interface Assembled {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly objects: Objects;
  readonly services: Services;
  readonly invoker: Invoker;
}

export const assemble = ({
  catalog,
  places,
  services: given,
  waitMs = operationWaitMs,
}: Parts): Assembled => {
  const { store, host, clock, random, log } = given;
  const view = store.latest;
  const objects = objectsOf({
    ...{ catalog, view, waitMs, services: { clock, log } },
    elsewhere: elsewhere({ catalog, view, host }, places),
  });
  const services: Services = {
    callerUsage: callerUsage(),
    localSessions: localSessionsOf({ clock, random }),
    replacing: replacingOf(catalog, given),
    // Work that runs here may have called others, which are told as well.
    cancel: (task) => {
      const here = objects.cancel(task);
      return places.cancel(task) || here;
    },
    ...given,
  };
  const invoker = invokerOf({ catalog, store, objects, services, places });
  return { catalog, store, objects, services, invoker };
};
