import type { ClassName } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { View } from '../store/view.ts';
import type { Catalog } from './catalog.ts';
import type { Caller } from './implement.ts';
import type { Watched } from './tasks.ts';

/** A call on its way to the host where its object lives. */
export interface Carried {
  readonly method: string;
  /** Trusted at the sender; read again as their types by the receiver. */
  readonly args: readonly unknown[];
  readonly caller: Caller;
  readonly task: Ref<'task'>;
  readonly watched: Watched;
  /** Its place was chosen, and its object has moved there. */
  readonly placed: boolean;
}

/** The hosts of the pool as calls see them. */
export interface Places {
  /** The host that decides, where everything lives that has no place of its own. */
  readonly coordinator: () => Ref<'host'>;
  /**
   * Has another host do a call. Rejects with what it was answered, with `Moved`, and with HOST_OFFLINE or
   * CANNOT_CONTACT_HOST when the host cannot be reached or goes away meanwhile.
   */
  send(host: Ref<'host'>, call: Carried): Promise<unknown>;
  /** Cancels what was sent for a task. False when there is nothing. */
  cancel(task: Ref<'task'>): boolean;
}

/** The only host of a pool. */
export const alone = (host: Ref<'host'>): Places => ({
  coordinator: () => host,
  send: async (other) => {
    throw new Fault('HOST_OFFLINE', [other]);
  },
  cancel: () => false,
});

/** The object does not live on the host that was asked: look again at the rows, then ask where they say. */
export class Moved extends Fault {
  readonly host: Ref<'host'>;
  /** It was moved there for this very call. */
  readonly placed: boolean;

  constructor(host: Ref<'host'>, placed: boolean) {
    super('CANNOT_CONTACT_HOST', [host]);
    this.name = 'Moved';
    this.host = host;
    this.placed = placed;
  }
}

/** The host that rows name as the place of a row's actor; undefined where they name none of the pool's. */
export const seatOf = (catalog: Catalog, view: View, cls: ClassName, ref: Ref): Ref<'host'> | undefined => {
  const record = view.get(cls, ref as Ref<any>);
  const [owner, row] = (record && catalog.behaviour(cls)?.owner?.(record as never)) ?? [cls, ref];
  const owned = view.get(owner, row as Ref<any>);
  const seat = owned && catalog.behaviour(owner)?.home?.(view, row as Ref<any>, owned as never);
  return seat !== undefined && view.get('host', seat) !== undefined ? seat : undefined;
};

const noMetrics = nullRef as Ref<'host_metrics'>;

/** Whether a host is heard of. One that never told anything of itself counts as there. */
export const isLive = (view: View, host: Ref<'host'>): boolean =>
  view.get('host_metrics', view.get('host', host)?.metrics ?? noMetrics)?.live !== false;

/**
 * Where the actor of a row lives: a function of rows, so that no directory has to be kept. The rows of a
 * host that is out of reach can still be changed, by the coordinator.
 */
export const homeOf = (
  catalog: Catalog,
  places: Pick<Places, 'coordinator'>,
  view: View,
  cls: ClassName,
  ref: Ref,
): Ref<'host'> => {
  const seat = seatOf(catalog, view, cls, ref);
  return seat !== undefined && isLive(view, seat) ? seat : places.coordinator();
};
