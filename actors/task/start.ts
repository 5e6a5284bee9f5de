import { dateTimeOf } from '../../src/model/types.ts';
import type { Store } from '../../src/store/store.ts';
import { isOpen } from './collect.ts';

/**
 * To be done before anything is served: what was under way ended with the process that did it, so every
 * task that is still open gets its final state. Answers how many there were.
 */
export const endPendingTasks = (store: Store, nowMs: number): Promise<number> =>
  store.commit((tx) => {
    const open = [...tx.all('task')].filter(([, { status }]) => isOpen(status));
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
    return open.length;
  });
