import { plugAtStart } from '../../actors/pbd/start.ts';
import { bootstrap, refreshOwnHost } from '../../actors/pool/bootstrap.ts';
import { smRows } from '../../actors/sm/rows.ts';
import { undoCreates } from '../../actors/sr/cut-off.ts';
import { endPendingTasks } from '../../actors/task/start.ts';
import { detachHostDrives } from '../../actors/vbd/start.ts';
import { tellOfNbd } from '../../actors/vdi/nbd.ts';
import { destroyUnfinished } from '../../actors/vdi/unfinished.ts';
import { clearArrivals } from '../../actors/vm/arrivals.ts';
import type { LeakWatch } from '../../actors/vm/leaks.ts';
import { wakeNappers } from '../../actors/vm/napping.ts';
import { vmReports } from '../../actors/vm/reports.ts';
import { isLost } from '../drivers/hypervisor/hypervisor.ts';
import { deriveAll } from '../objects/derive-all.ts';
import type { Assembled } from './assemble.ts';
import { defaultStorage } from './default-storage.ts';
import type { HostParts } from './parts.ts';
import { repeated } from './repeated.ts';
import { type Reviving, revivingOf } from './reviving.ts';

/** What rows are brought in line with. */
export interface Around extends Pick<HostParts, 'address' | 'version' | 'revive' | 'storageFolders'> {
  /** Of the pool, at its first start. */
  readonly name: string;
}

export interface Preparing extends Assembled {
  readonly leads: () => boolean;
  /** Fields that follow from rows were set as the rows were read. */
  readonly derived: boolean;
  readonly leaks: LeakWatch;
}

/**
 * Brings the rows that are the pool's in line with what is really there: each time that this host begins to
 * lead.
 */
export const poolRows = async (around: Around, given: Assembled): Promise<void> => {
  const { store, services } = given;
  await store.commit((tx) => tx.patch('pool', tx.only('pool')[0], { master: services.host }));
  await bootstrap(await factsOf(around, services));
  await smRows(given);
};

/**
 * Brings the rows of this host in line with what is really there. Until it is closed, what comes back keeps
 * the hypervisor's daemon running.
 */
export const hostRows = async (around: Around, given: Preparing): Promise<Reviving> => {
  const { store, services } = given;
  await endPendingTasks(store, services.clock.now(), (host) => host === services.host);
  await detachHostDrives(store, services.host);
  const leads = given.leads();
  if (!leads) await refreshRows(around, services);
  else if (!given.derived) await deriveAll(given);
  await tellOfNbd(services);
  await undoCreates(services);
  await plugAtStart(given);
  if (leads) await defaultStorage(given, around.storageFolders);
  const reviving = await followGuests(around, given);
  // After the guests have told which disks they have.
  const cleared = Promise.all([clearArrivals(given), destroyUnfinished(given)]).catch((error: unknown) => {
    services.log.error({ error }, 'Disks that are left from unfinished work could not be destroyed');
  });
  void cleared.then(() => tellOfLeaks(given));
  wakeNappers(given).catch((error: unknown) => {
    services.log.error({ error }, 'Guests that slept for a moment could not be woken');
  });
  return reviving;
};

/** What a member writes of its machine; the rest of the pool's rows is its coordinator's business. */
export const refreshRows = async (around: Around, services: Assembled['services']): Promise<void> =>
  refreshOwnHost(await factsOf(around, services), services.host);

const factsOf = async (
  { name, address, version }: Around,
  { store, clock, random, facts }: Assembled['services'],
) => ({ store, clock, random, name, address, version, facts: await facts() });

const tellOfLeaks = ({ leaks, services }: Preparing): Promise<void> =>
  leaks.afterwards().catch((error: unknown) => {
    services.log.warn({ error }, 'What is left of earlier work could not be looked for');
  });

/** How often a daemon that dies while its host starts is started again, before the start fails. */
const startsMax = 5;

/** From here on what guests do by themselves reaches their rows, and a daemon that dies is started again. */
const followGuests = async ({ revive }: Around, given: Preparing): Promise<Reviving> => {
  const { services } = given;
  const { log, hypervisor } = services;
  const reports = vmReports({ ...given, log });
  await repeated(startsMax, reports.reconcile, async (error) => {
    if (revive === undefined || !isLost(error)) throw error;
    await revive();
  });
  const reviving = revivingOf(services, revive);
  services.store.watch(reports.onRows);
  hypervisor.watch({
    ...reports,
    onReconnect: async () => {
      await reports.onReconnect();
      reviving.back();
      void tellOfLeaks(given);
    },
    onLost: (error) => {
      log.warn({ error: String(error) }, 'The hypervisor daemon is away');
      reviving.away();
    },
  });
  return reviving;
};
