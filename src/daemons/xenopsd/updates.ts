import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { updateKey, type XenopsUpdate, type XenopsUpdates } from '../../rpc/xenops/tasks.ts';
import type { Clock } from '../../std/clock.ts';

/**
 * What changed, oldest first: one entry for each object, the latest. Numbers start at 1 with the daemon.
 * A barrier is a place in that order which comes back with what was pending for one VM when it was set.
 */
export interface Updates {
  add(what: XenopsUpdate): void;
  /** The object is no more: watchers still hear of it, and the oldest of such entries make room. */
  gone(what: XenopsUpdate): void;
  /** Nobody needs to hear of it any more. */
  drop(what: XenopsUpdate): void;
  lastId(): number;
  /** Waits for what is newer than `lastId` (all there is), up to `timeoutMs` (for as long as it takes). */
  get(lastId: number | undefined, timeoutMs: number | undefined, signal: AbortSignal): Promise<XenopsUpdates>;
  injectBarrier(vm: string, id: number): void;
  removeBarrier(id: number): void;
}

export interface UpdatesLimits {
  readonly goneMax: number;
  readonly waitersMax: number;
  readonly barriersMax: number;
}

const limitsOf: UpdatesLimits = { goneMax: 1_000, waitersMax: 1_000, barriersMax: 10_000 };

interface Entry {
  readonly at: number;
  readonly key: string;
  readonly what: XenopsUpdate;
}
interface Barrier {
  readonly id: number;
  readonly at: number;
  readonly pending: readonly Entry[];
}

export const updatesLog = (clock: Clock, limits: UpdatesLimits = limitsOf): Updates => {
  let lastAt = 0;
  const latest = new Map<string, Entry>();
  /** Every entry in order, replaced ones among them until there are too many of those. */
  let order: Entry[] = [];
  const perVm = new Map<string, Map<string, Entry>>();
  const barriers = new Map<number, Barrier>();
  const goneKeys = new Map<string, XenopsUpdate>();
  const waiters = new Set<() => void>();

  const wake = (): void => {
    for (const waiter of [...waiters]) waiter();
  };
  const drop = (what: XenopsUpdate): void => {
    const key = updateKey(what);
    latest.delete(key);
    goneKeys.delete(key);
    const vm = vmOf(what);
    const ofVm = vm === undefined ? undefined : perVm.get(vm);
    if (ofVm?.delete(key) && ofVm.size === 0) perVm.delete(vm as string);
  };
  const add = (what: XenopsUpdate): void => {
    lastAt += 1;
    const entry: Entry = { at: lastAt, key: updateKey(what), what };
    goneKeys.delete(entry.key);
    latest.set(entry.key, entry);
    order.push(entry);
    const vm = vmOf(what);
    if (vm !== undefined) {
      const ofVm = perVm.get(vm) ?? new Map<string, Entry>();
      // Taken out first, so that the order of the map is that of the entries.
      ofVm.delete(entry.key);
      perVm.set(vm, ofVm.set(entry.key, entry));
    }
    if (order.length > 2 * latest.size + 1_000) order = order.filter((each) => latest.get(each.key) === each);
    wake();
  };
  const since = (from: number): XenopsUpdates => ({
    barriers: [...barriers.values()]
      .filter((barrier) => barrier.at > from)
      .map(({ id, pending }) => ({
        id,
        updates: pending.filter(({ at }) => at > from).map(({ what }) => what),
      })),
    updates: newer(order, from)
      .filter((entry) => latest.get(entry.key) === entry)
      .map(({ what }) => what),
    next: lastAt,
  });

  return {
    add,
    drop,
    gone: (what) => {
      add(what);
      goneKeys.set(updateKey(what), what);
      if (goneKeys.size > limits.goneMax) drop(goneKeys.values().next().value as XenopsUpdate);
    },
    lastId: () => lastAt,
    get: async (lastId, timeoutMs, signal) => {
      // A number of the future is one of an earlier daemon: its watcher has to start over.
      const from = lastId === undefined || lastId > lastAt ? 0 : lastId;
      if (lastId !== undefined && lastId > lastAt) return since(from);
      if (lastAt <= from) {
        if (waiters.size >= limits.waitersMax) {
          throw new XenopsError('Internal_error', [
            `more than ${limits.waitersMax} callers wait for updates`,
          ]);
        }
        await nextChange(waiters, clock, timeoutMs, signal);
      }
      return since(from);
    },
    injectBarrier: (vm, id) => {
      if (barriers.size >= limits.barriersMax) {
        throw new XenopsError('Internal_error', [`more than ${limits.barriersMax} barriers are set`]);
      }
      lastAt += 1;
      barriers.set(id, { id, at: lastAt, pending: [...(perVm.get(vm)?.values() ?? [])] });
      wake();
    },
    removeBarrier: (id) => {
      barriers.delete(id);
    },
  };
};

const vmOf = (what: XenopsUpdate): string | undefined => {
  if (what[0] === 'Task') return undefined;
  return what[0] === 'Vm' ? what[1] : what[1][0];
};

/** The entries after `from`, found by halving: a daemon with thousands of VMs is asked often. */
const newer = (order: readonly Entry[], from: number): readonly Entry[] => {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((order[middle] as Entry).at <= from) low = middle + 1;
    else high = middle;
  }
  return order.slice(low);
};

const nextChange = (
  waiters: Set<() => void>,
  clock: Clock,
  timeoutMs: number | undefined,
  signal: AbortSignal,
): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      waiters.delete(done);
      cancel?.();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = timeoutMs === undefined ? undefined : clock.after(timeoutMs, done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) return done();
    waiters.add(done);
  });
