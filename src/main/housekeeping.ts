import { collectSessions } from '../../actors/session/collect.ts';
import { taskCollector } from '../../actors/task/collect.ts';
import { reservationCollector } from '../../actors/vm/collect.ts';
import { collectorOf } from '../objects/collector.ts';
import type { Clock } from '../std/clock.ts';
import type { Runtime } from './runtime.ts';

/** Rows, and whether it is this host that looks after them. */
interface Swept extends Pick<Runtime, 'catalog' | 'store' | 'services'> {
  readonly hostPool: { readonly pool: { readonly role: Pick<Runtime['hostPool']['pool']['role'], 'kind'> } };
}

/**
 * What is collected from time to time: ended tasks, idle sessions, memory set aside for starts that never began,
 * and rows that lost what they need.
 */
export const housekeeping = (
  { catalog, store, services, hostPool }: Swept,
  clock: Clock,
): { close(): Promise<void> } => {
  const collectTasks = taskCollector();
  const collectReservations = reservationCollector();
  const collectRows = collectorOf({ catalog, store, clock });
  const sweep = async (): Promise<void> => {
    if (hostPool.pool.role.kind !== 'leads') return;
    await store.commit((tx) => {
      collectTasks(tx, clock.now());
      collectSessions(tx, clock.now());
      collectReservations(tx);
    });
    await collectRows();
  };
  let cancel = (): void => {};
  const again = (): void => {
    cancel = clock.after(everyMs, () => {
      sweep()
        .catch((error: unknown) => services.log.error({ error }, 'Housekeeping failed'))
        .finally(again);
    });
  };
  again();
  return {
    close: async () => {
      cancel();
      cancel = () => {};
    },
  };
};

const everyMs = 30_000;
