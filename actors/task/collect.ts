import type { RecordNamed } from '../../src/model/class.ts';
import { millisecondsOf, type Ref } from '../../src/model/types.ts';
import type { Tx } from '../../src/store/view.ts';

type Task = RecordNamed<'task'>;
type Row = readonly [Ref<'task'>, Task];

/** Finished tasks are kept this long for clients that come back for the result. */
export const finishedMs = 65 * 60_000;
/** A task older than this that makes no progress from one pass to the next is given up. */
export const hungMs = 24 * 3_600_000;
/** Beyond this many tasks the finished ones go early, oldest first. */
export const keptMax = 200;

export const isOpen = (status: Task['status']): boolean => status === 'pending' || status === 'cancelling';

/** What `task.destroy` leaves on a task whose work goes on. */
export const destroyMark: ReadonlyMap<string, 'destroy'> = new Map([['task', 'destroy']]);

const isDestroyed = (task: Task): boolean => task.current_operations.get('task') === 'destroy';

/**
 * Makes the pass that removes tasks nobody comes back for. It remembers how far open tasks were, so one
 * collector is made for the life of the program and its pass is run at regular intervals. A pass answers
 * how many it removed.
 */
export const taskCollector = (): ((tx: Tx, nowMs: number) => number) => {
  let progressBefore = new Map<Ref<'task'>, number>();

  return (tx, nowMs) => {
    const rows = [...tx.all('task')];
    const isHung = ([ref, task]: Row): boolean =>
      isOpen(task.status) &&
      nowMs - millisecondsOf(task.created) > hungMs &&
      progressBefore.get(ref) === task.progress;
    const isOver = ([, task]: Row): boolean =>
      !isOpen(task.status) && (isDestroyed(task) || nowMs - millisecondsOf(task.finished) > finishedMs);
    const gone = rows.filter((row) => isHung(row) || isOver(row));
    const surplus = surplusOf(rows.filter((row) => !gone.includes(row)));
    for (const [ref] of [...gone, ...surplus]) tx.delete('task', ref);
    progressBefore = new Map(rows.map(([ref, { progress }]) => [ref, progress]));
    return gone.length + surplus.length;
  };
};

const surplusOf = (rows: readonly Row[]): readonly Row[] =>
  rows
    .filter(([, { status }]) => !isOpen(status))
    .toSorted(([, a], [, b]) => millisecondsOf(a.finished) - millisecondsOf(b.finished))
    .slice(0, Math.max(0, rows.length - keptMax));
