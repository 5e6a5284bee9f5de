import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import type { XenopsTask, XenopsTaskState } from '../../rpc/xenops/tasks.ts';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import type { Value } from '../../std/value.ts';

/** What a running operation knows of its task. */
export interface Work {
  readonly id: string;
  readonly debugInfo: string;
  /** Aborted by Task.cancel, with the `Cancelled` that the operation should fail with. */
  readonly signal: AbortSignal;
  /** A cancellation point: throws `Cancelled` when the task was cancelled. */
  check(): void;
  /** From 0 to 1. */
  progress(fraction: number): void;
  setCancellable(can: boolean): void;
}

export interface Tasks {
  /** Answers the id at once; `run` starts in the same turn. Finished tasks stay until they are destroyed. */
  create(debugInfo: string, run: (work: Work) => Promise<Value | undefined>): string;
  stat(id: string): XenopsTask;
  list(): readonly XenopsTask[];
  cancel(id: string): void;
  destroy(id: string): void;
  destroyOnFinish(id: string): void;
  /** Cancels the next task with this debug info at its `point`-th cancellation point, for tests. */
  setCancelTrigger(debugInfo: string, point: number): void;
  /** Cancels everything and resolves once nothing runs. */
  close(): Promise<void>;
}

export interface TasksLimits {
  /** At the limit the oldest finished task makes room; when none is finished the new one is refused. */
  readonly tasksMax: number;
  readonly triggersMax: number;
}

const limitsOf: TasksLimits = { tasksMax: 10_000, triggersMax: 100 };
/** Smaller steps of progress are not announced. */
const PROGRESS_STEP = 0.01;

interface Entry {
  readonly id: string;
  readonly debugInfo: string;
  readonly ctime: number;
  readonly controller: AbortController;
  state: XenopsTaskState;
  cancellable: boolean;
  pointsSeen: number;
  destroyOnFinish: boolean;
}

export const taskTable = (options: {
  readonly clock: Clock;
  readonly log: Log;
  /** Something of this task changed; `gone` once it is destroyed. */
  readonly changed: (id: string, gone: boolean) => void;
  readonly limits?: TasksLimits;
}): Tasks => {
  const { clock, log, changed, limits = limitsOf } = options;
  const entries = new Map<string, Entry>();
  const finished = new Set<string>();
  const triggers = new Map<string, number>();
  const running = new Set<Promise<void>>();
  let count = 0;

  const find = (id: string): Entry => {
    const entry = entries.get(id);
    if (entry === undefined) throw new XenopsError('Does_not_exist', ['task', id]);
    return entry;
  };
  const destroy = (id: string): void => {
    find(id);
    entries.delete(id);
    finished.delete(id);
    changed(id, true);
  };
  const makeRoom = (): void => {
    if (entries.size < limits.tasksMax) return;
    const oldest = finished.values().next().value;
    if (oldest === undefined) {
      throw new XenopsError('Internal_error', [`${limits.tasksMax} tasks are running already; try later`]);
    }
    destroy(oldest);
  };
  const finish = (entry: Entry, state: XenopsTaskState): void => {
    entry.state = state;
    if (!entries.has(entry.id)) return;
    finished.add(entry.id);
    if (entry.destroyOnFinish) destroy(entry.id);
    else changed(entry.id, false);
  };
  const cancel = (entry: Entry): void => {
    if (entry.cancellable && entry.state.kind === 'Pending') {
      entry.controller.abort(new XenopsError('Cancelled', [entry.id]));
    }
  };
  const workOf = (entry: Entry): Work => ({
    id: entry.id,
    debugInfo: entry.debugInfo,
    signal: entry.controller.signal,
    check: () => {
      entry.pointsSeen += 1;
      if (triggers.get(entry.debugInfo) === entry.pointsSeen) {
        triggers.delete(entry.debugInfo);
        cancel(entry);
      }
      entry.controller.signal.throwIfAborted();
    },
    progress: (fraction) => {
      if (entry.state.kind !== 'Pending') return;
      if (fraction < entry.state.progress + PROGRESS_STEP) return;
      entry.state = { kind: 'Pending', progress: Math.min(fraction, 1) };
      changed(entry.id, false);
    },
    setCancellable: (can) => {
      if (entry.cancellable === can) return;
      entry.cancellable = can;
      changed(entry.id, false);
    },
  });
  const follow = async (entry: Entry, run: (work: Work) => Promise<Value | undefined>): Promise<void> => {
    const startMs = clock.monotonicMs();
    try {
      const result = await run(workOf(entry));
      const durationS = (clock.monotonicMs() - startMs) / 1000;
      finish(entry, { kind: 'Completed', durationS, result });
    } catch (thrown) {
      const error = failureOf(thrown, entry.controller.signal);
      if (!(thrown instanceof XenopsError)) log.error({ task: entry.id, error: thrown }, 'a task failed');
      finish(entry, { kind: 'Failed', error });
    }
  };

  return {
    create: (debugInfo, run) => {
      makeRoom();
      const entry: Entry = {
        id: String(count++),
        debugInfo,
        ctime: clock.now() / 1000,
        controller: new AbortController(),
        state: { kind: 'Pending', progress: 0 },
        cancellable: true,
        pointsSeen: 0,
        destroyOnFinish: false,
      };
      entries.set(entry.id, entry);
      const done = follow(entry, run);
      running.add(done);
      void done.then(() => running.delete(done));
      return entry.id;
    },
    stat: (id) => recordOf(find(id)),
    list: () => [...entries.values()].map(recordOf),
    cancel: (id) => cancel(find(id)),
    destroy,
    destroyOnFinish: (id) => {
      const entry = find(id);
      entry.destroyOnFinish = true;
      if (entry.state.kind !== 'Pending') destroy(id);
    },
    setCancelTrigger: (debugInfo, point) => {
      if (triggers.size >= limits.triggersMax) triggers.delete(triggers.keys().next().value as string);
      triggers.set(debugInfo, point);
    },
    close: async () => {
      for (const entry of entries.values()) {
        entry.cancellable = true;
        cancel(entry);
      }
      await Promise.all(running);
    },
  };
};

/** An operation that was cut short may throw anything: what its client hears is that it was cancelled. */
export const failureOf = (thrown: unknown, signal: AbortSignal): XenopsError => {
  if (thrown instanceof XenopsError) return thrown;
  if (signal.aborted) return signal.reason as XenopsError;
  return new XenopsError('Internal_error', [thrown instanceof Error ? thrown.message : String(thrown)]);
};

const recordOf = (entry: Entry): XenopsTask => ({
  id: entry.id,
  debugInfo: entry.debugInfo,
  ctime: entry.ctime,
  state: entry.state,
  cancellable: entry.cancellable,
  pointsSeen: entry.pointsSeen,
});
