import type { Ref } from '../model/types.ts';
import type { Invoker } from '../objects/invoke.ts';
import type { Carried, Places } from '../objects/places.ts';
import { Fault } from '../std/fault.ts';

// The hosts of a pool that live in one process and share one store: for tests and for simulated pools.

/** What others reach of a host. */
export interface SharedHost {
  readonly carry: Invoker['carry'];
  /** Cancels what runs or waits there for a task. */
  readonly cancel: (task: Ref<'task'>) => boolean;
}

/** A call on its way from one host to another. */
export interface Hop {
  readonly from: Ref<'host'>;
  readonly to: Ref<'host'>;
  readonly call: Carried;
}

export interface SharedPlaces {
  /** The hosts of the pool as one of them sees them. */
  of(host: Ref<'host'>): Places;
  enter(host: Ref<'host'>, part: SharedHost): void;
  /** Cuts a host off: what it was asked for and what it asked for ends, and nothing new gets through. */
  cutOff(host: Ref<'host'>): void;
  reconnect(host: Ref<'host'>): void;
  readonly isUp: (host: Ref<'host'>) => boolean;
}

export interface SharedOptions {
  readonly coordinator: () => Ref<'host'>;
  /** Awaited before a call arrives: to delay it, or to refuse it by rejecting. */
  readonly onHop?: (hop: Hop) => Promise<void> | undefined;
}

interface Sent extends Hop {
  readonly lose: (fault: Fault) => void;
}

export const sharedPlaces = ({ coordinator, onHop }: SharedOptions): SharedPlaces => {
  const parts = new Map<Ref<'host'>, SharedHost>();
  const down = new Set<Ref<'host'>>();
  const under = new Set<Sent>();

  const partOf = (host: Ref<'host'>, from: Ref<'host'>): SharedHost => {
    const part = parts.get(host);
    if (part === undefined || down.has(host) || down.has(from)) throw new Fault('HOST_OFFLINE', [host]);
    return part;
  };

  const send = (hop: Hop): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const sent: Sent = { ...hop, lose: reject };
      const arrive = async (): Promise<unknown> => {
        partOf(hop.to, hop.from);
        under.add(sent);
        await onHop?.(hop);
        return partOf(hop.to, hop.from).carry(hop.call);
      };
      arrive()
        .finally(() => under.delete(sent))
        .then(resolve, reject);
    });

  const cancel = (from: Ref<'host'>, task: Ref<'task'>): boolean => {
    const sent = [...under].filter((one) => one.from === from && one.call.task === task);
    // Two hosts may call each other for one task, so nothing that was cancelled is cancelled again.
    for (const one of sent) under.delete(one);
    for (const to of new Set(sent.map((one) => one.to))) parts.get(to)?.cancel(task);
    return sent.length > 0;
  };

  return {
    of: (host) => ({
      coordinator,
      send: (to, call) => send({ from: host, to, call }),
      cancel: (task) => cancel(host, task),
    }),
    enter: (host, part) => void parts.set(host, part),
    cutOff: (host) => {
      down.add(host);
      for (const one of [...under]) {
        if (one.to !== host && one.from !== host) continue;
        under.delete(one);
        one.lose(new Fault('CANNOT_CONTACT_HOST', [one.to]));
      }
    },
    reconnect: (host) => void down.delete(host),
    isUp: (host) => parts.has(host) && !down.has(host),
  };
};
