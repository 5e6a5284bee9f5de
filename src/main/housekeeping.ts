import { refreshMemory } from '../../actors/host/figures.ts';
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
 * What is done from time to time: the free memory of hosts is told, and collected are ended tasks, idle sessions, memory set aside for starts that never began,
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
  const measure = async (): Promise<void> => {
    if (hostPool.pool.role.kind === 'leads') await store.commit(refreshMemory);
  };
  const repeated = (everyMs: number, run: () => Promise<void>): (() => void) => {
    let cancel = (): void => {};
    let ended = false;
    const again = (): void => {
      if (ended) return;
      cancel = clock.after(everyMs, () => {
        run()
          .catch((error: unknown) => services.log.error({ error }, 'Housekeeping failed'))
          .finally(again);
      });
    };
    again();
    return () => {
      ended = true;
      cancel();
    };
  };
  const ends = [repeated(sweepMs, sweep), repeated(figuresMs, measure)];
  return {
    close: async () => {
      for (const end of ends) end();
    },
  };
};

const sweepMs = 30_000;
/** Clients show the figures of hosts this late at most. */
const figuresMs = 5_000;
