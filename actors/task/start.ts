import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import { freeAll } from '../../src/objects/busy.ts';
import { isOpen } from '../../src/objects/tasks.ts';
import type { Store } from '../../src/store/store.ts';

/**
 * What was under way ended with the process that did it, so every open task of a host that began anew, or is
 * gone, gets its final state, and the objects that it worked on are free again, also those of work without a
 * task. Answers how many there were.
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
    freeAll(store, tx, new Set(open.map(([task]) => task)), isGone);
    return open.length;
  });
