import { refreshMemory } from '../../actors/host/figures.ts';
import { collectSessions } from '../../actors/session/collect.ts';
import type { RepositoryWatch } from '../../actors/sr/watch.ts';
import { taskCollector } from '../../actors/task/collect.ts';
import { reservationCollector } from '../../actors/vm/collect.ts';
import { departureWatch } from '../../actors/vm/departures.ts';
import type { LeakWatch } from '../../actors/vm/leaks.ts';
import { apartWatcher } from '../../actors/vm_group/apart.ts';
import { scheduleRunner } from '../../actors/vmss/due.ts';
import { collectorOf } from '../objects/collector.ts';
import { newRows } from '../objects/new-rows.ts';
import { linksChanged, refreshCards } from '../rules/network-cards.ts';
import type { Clock } from '../std/clock.ts';
import type { Assembled } from './assemble.ts';

interface Measured extends Pick<Assembled, 'services'> {
  readonly leaks: Pick<LeakWatch, 'look'>;
  readonly repositories: RepositoryWatch;
}

export interface Swept extends Pick<Assembled, 'catalog' | 'store' | 'services' | 'invoker'> {
  readonly clock: Clock;
  /** It is this host that looks after rows. */
  readonly leads: () => boolean;
  /** The hosts of this process. */
  readonly measured: () => readonly Measured[];
  /** Tells people that the disk of the data folder is nearly full. */
  readonly full?: () => Promise<unknown>;
}

/**
 * What is done from time to time: the free memory of hosts, the links of their cards and the use of storage
 * are told, and collected are ended tasks, idle sessions, memory set aside for starts that never began, and
 * rows that lost what they need. Snapshots are taken whose schedule is due, and it is told
 * which VMs that should run apart do not.
 */
export const housekeeping = ({
  catalog,
  store,
  services,
  invoker,
  clock,
  leads,
  measured,
  full,
}: Swept): { close(): Promise<void> } => {
  const collectTasks = taskCollector();
  const collectReservations = reservationCollector();
  const collectRows = collectorOf({ catalog, store, clock });
  const runSchedules = scheduleRunner({ invoker, services });
  const askDepartures = departureWatch({ store, invoker, services });
  // A move may have been under way as the host ended.
  if (leads()) void askDepartures();
  const sweep = async (): Promise<void> => {
    await runSchedules(leads());
    if (!leads()) return;
    await store.commit((tx) => {
      collectTasks(tx, clock.now());
      collectSessions(tx, clock.now());
    });
    await collectRows();
    // Another pool may be slow, and nothing here waits for it.
    void askDepartures();
  };
  const giveBack = async (): Promise<void> => {
    if (leads()) await store.commit(collectReservations);
  };
  const watchApart = apartWatcher({ store, services });
  const measure = async (): Promise<void> => {
    await watchApart(leads());
    if (leads()) await store.commit(refreshMemory);
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
  const look = async (): Promise<void> => {
    for (const one of measured()) {
      await watchLinks(one.services);
      // Storage may hang, and nothing else waits for it.
      void one.repositories.look();
      await one.leaks.look();
    }
  };
  const { room } = services;
  const watchRoom = async (): Promise<void> => {
    const change = await room?.look();
    if (change === 'enough') services.log.info({}, 'The disk of the data folder has room again');
    if (change !== 'short') return;
    services.log.warn({}, 'The disk of the data folder is nearly full: what brings something new is refused');
    await full?.();
  };
  const ends = [
    repeated(sweepMs, sweep),
    repeated(reservationsMs, giveBack),
    repeated(figuresMs, measure),
    repeated(surroundingsMs, look),
  ];
  if (room !== undefined) ends.push(repeated(roomMs, watchRoom));
  return {
    close: async () => {
      for (const end of ends) end();
    },
  };
};

/** Written by one host alone, and only where something has changed. */
const watchLinks = async ({
  host,
  facts: read,
  store,
  clock,
  random,
}: Assembled['services']): Promise<void> => {
  const facts = await read();
  if (!linksChanged(store.latest, host, facts)) return;
  await store.commit((tx) => refreshCards(tx, host, { facts, clock, newRow: newRows(random) }));
};

/** A disk fills within seconds; a look costs some microseconds. */
const roomMs = 2_000;
const sweepMs = 30_000;
/** What was set aside for a start that never began is back after two of these. */
const reservationsMs = 10_000;
/** Clients show the figures of hosts this late at most. */
const figuresMs = 5_000;
/** What is around a host is looked at this often: storage and cables. */
const surroundingsMs = 30_000;
