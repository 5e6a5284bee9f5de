import type { ClassName } from '../../src/model/class.ts';
import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import { isOpen, unmark } from '../../src/objects/tasks.ts';
import type { Store } from '../../src/store/store.ts';

/**
 * What was under way ended with the process that did it, so every open task of a host that began anew, or is
 * gone, gets its final state, and the objects that it worked on are free again. Answers how many there were.
 */
export const endPendingTasks = (
  store: Store,
  nowMs: number,
  isGone: (host: Ref<'host'>) => boolean = () => true,
): Promise<number> =>
  store.commit((tx) => {
    const open = [...tx.all('task')].filter(([, task]) => isOpen(task) && isGone(task.resident_on));
    for (const [task] of open) {
      tx.patch('task', task, {
        status: 'failure',
        error_info: [
          'INTERNAL_ERROR',
          'Xenact was restarted while this ran. See what it did, and repeat it if needed.',
        ],
        finished: dateTimeOf(nowMs),
        progress: 1,
        allowed_operations: [],
      });
    }
    if (open.length > 0) free(store, tx, new Set(open.map(([task]) => task)));
    return open.length;
  });

/** Takes the operations of tasks that ended out of all rows that have operations. */
const free = (
  store: Store,
  tx: Parameters<Parameters<Store['commit']>[0]>[0],
  ended: ReadonlySet<string>,
): void => {
  for (const [cls, { schema }] of store.tables) {
    if (!schema.fieldNames.includes('current_operations') || cls === 'task') continue;
    for (const [ref, record] of [...tx.all(cls as ClassName)]) {
      const { current_operations: operations } = record as {
        current_operations?: ReadonlyMap<string, string>;
      };
      for (const task of operations?.keys() ?? [])
        if (ended.has(task)) unmark(tx, cls as ClassName, ref as Ref, task);
    }
  }
};
