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
  /** The same under a name of the caller's, who is answered at its end: then it is gone. */
  perform(
    name: string,
    debugInfo: string,
    run: (work: Work) => Promise<Value | undefined>,
  ): Promise<XenopsTask>;
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

const nameCharsMax = 100;
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
  done: Promise<void>;
}

interface TableOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Something of this task changed; `gone` once it is destroyed. */
  readonly changed: (id: string, gone: boolean) => void;
  readonly limits?: TasksLimits;
}

/** The tasks of one daemon. */
interface Table extends Required<TableOptions> {
  readonly entries: Map<string, Entry>;
  readonly finished: Set<string>;
  /** By debug info, the cancellation point at which a task is cancelled. */
  readonly triggers: Map<string, number>;
  readonly running: Set<Promise<void>>;
  /** How many there have been. */
  count: number;
}

export const taskTable = (options: TableOptions): Tasks => {
  const table: Table = {
    ...{ limits: limitsOf, ...options },
    ...{ entries: new Map(), finished: new Set(), triggers: new Map(), running: new Set(), count: 0 },
  };
  const { entries, triggers, limits } = table;
  return {
    create: (debugInfo, run) => create(table, newEntry(table, String(table.count++), debugInfo), run).id,
    perform: async (name, debugInfo, run) => {
      if (name.length > nameCharsMax) throw new XenopsError('Internal_error', ['that name is too long']);
      if (entries.has(name)) throw new XenopsError('Already_exists', ['task', name]);
      const entry = create(table, { ...newEntry(table, name, debugInfo), destroyOnFinish: true }, run);
      await entry.done;
      return recordOf(entry);
    },
    stat: (id) => recordOf(find(table, id)),
    list: () => [...entries.values()].map(recordOf),
    cancel: (id) => cancel(find(table, id)),
    destroy: (id) => destroy(table, id),
    destroyOnFinish: (id) => {
      const entry = find(table, id);
      entry.destroyOnFinish = true;
      if (entry.state.kind !== 'Pending') destroy(table, id);
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
      await Promise.all(table.running);
    },
  };
};

const find = ({ entries }: Table, id: string): Entry => {
  const entry = entries.get(id);
  if (entry === undefined) throw new XenopsError('Does_not_exist', ['task', id]);
  return entry;
};

const destroy = (table: Table, id: string): void => {
  find(table, id);
  table.entries.delete(id);
  table.finished.delete(id);
  table.changed(id, true);
};

const makeRoom = (table: Table): void => {
  const { entries, finished, limits } = table;
  if (entries.size < limits.tasksMax) return;
  const oldest = finished.values().next().value;
  if (oldest === undefined) {
    throw new XenopsError('Internal_error', [`${limits.tasksMax} tasks are running already; try later`]);
  }
  destroy(table, oldest);
};

type Run = (work: Work) => Promise<Value | undefined>;

const newEntry = ({ clock }: Table, id: string, debugInfo: string): Entry => ({
  id,
  debugInfo,
  ctime: clock.now() / 1000,
  controller: new AbortController(),
  state: { kind: 'Pending', progress: 0 },
  cancellable: true,
  pointsSeen: 0,
  destroyOnFinish: false,
  done: Promise.resolve(),
});

const create = (table: Table, entry: Entry, run: Run): Entry => {
  const { entries, running } = table;
  makeRoom(table);
  entries.set(entry.id, entry);
  const done = follow(table, entry, run);
  entry.done = done;
  running.add(done);
  void done.then(() => running.delete(done));
  return entry;
};

const finish = (table: Table, entry: Entry, state: XenopsTaskState): void => {
  entry.state = state;
  if (!table.entries.has(entry.id)) return;
  table.finished.add(entry.id);
  if (entry.destroyOnFinish) destroy(table, entry.id);
  else table.changed(entry.id, false);
};

const cancel = (entry: Entry): void => {
  if (entry.cancellable && entry.state.kind === 'Pending') {
    entry.controller.abort(new XenopsError('Cancelled', [entry.id]));
  }
};

const workOf = ({ triggers, changed }: Table, entry: Entry): Work => ({
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

const follow = async (table: Table, entry: Entry, run: Run): Promise<void> => {
  const { clock, log } = table;
  const startMs = clock.monotonicMs();
  try {
    const result = await run(workOf(table, entry));
    const durationS = (clock.monotonicMs() - startMs) / 1000;
    finish(table, entry, { kind: 'Completed', durationS, result });
  } catch (thrown) {
    const error = failureOf(thrown, entry.controller.signal);
    if (!(thrown instanceof XenopsError)) log.error({ task: entry.id, error: thrown }, 'a task failed');
    finish(table, entry, { kind: 'Failed', error });
  }
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
