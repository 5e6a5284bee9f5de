import type { RecordNamed } from '../../src/model/class.ts';
import { millisecondsOf, type Ref } from '../../src/model/types.ts';
import { isOpen } from '../../src/objects/tasks.ts';
import type { Tx } from '../../src/store/view.ts';

type Task = RecordNamed<'task'>;
type Row = readonly [Ref<'task'>, Task];

/** Finished tasks are kept this long for clients that come back for the result. */
export const finishedMs = 65 * 60_000;
/** A task older than this that makes no progress from one pass to the next is given up. */
export const hungMs = 24 * 3_600_000;
/** Of one session's finished tasks these stay that long; what is beyond goes early, oldest first. */
export const keptMax = 200;

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
      isOpen(task) &&
      nowMs - millisecondsOf(task.created) > hungMs &&
      progressBefore.get(ref) === task.progress;
    const isOver = ([, task]: Row): boolean =>
      !isOpen(task) && (isDestroyed(task) || nowMs - millisecondsOf(task.finished) > finishedMs);
    const gone = rows.filter((row) => isHung(row) || isOver(row));
    const given = new Set(gone);
    const surplus = surplusOf(rows.filter((row) => !given.has(row)));
    for (const [ref] of [...gone, ...surplus]) tx.delete('task', ref);
    progressBefore = new Map(rows.map(([ref, { progress }]) => [ref, progress]));
    return gone.length + surplus.length;
  };
};

/** Each session has its own allowance, so that no client loses its results to the many of another. */
const surplusOf = (rows: readonly Row[]): readonly Row[] => {
  const finished = new Map<string, Row[]>();
  for (const row of rows) {
    if (isOpen(row[1])) continue;
    const known = finished.get(row[1].session);
    if (known === undefined) finished.set(row[1].session, [row]);
    else known.push(row);
  }
  return [...finished.values()].flatMap((own) =>
    own
      .toSorted(([, a], [, b]) => millisecondsOf(a.finished) - millisecondsOf(b.finished))
      .slice(0, Math.max(0, own.length - keptMax)),
  );
};
