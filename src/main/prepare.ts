import { plugAtStart } from '../../actors/pbd/start.ts';
import { bootstrap, refreshOwnHost } from '../../actors/pool/bootstrap.ts';
import { needsDefaultSr, needsIsoSr, useAsDefaultSr } from '../../actors/pool/default-storage.ts';
import { smRows } from '../../actors/sm/rows.ts';
import { endPendingTasks } from '../../actors/task/start.ts';
import { clearLeftovers } from '../../actors/vm/leftovers.ts';
import { vmReports } from '../../actors/vm/reports.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { construct } from '../objects/construct.ts';
import { deriveAll } from '../objects/derive-all.ts';
import type { Log } from '../std/log.ts';
import type { HostHypervisor } from './hypervisor.ts';
import { machine } from './machine.ts';
import type { Paths } from './paths.ts';
import type { Runtime } from './runtime.ts';

export interface Preparing extends Runtime {
  readonly chosen: HostHypervisor;
  readonly paths: Paths;
  readonly log: Log;
}

/** Brings the rows that are the pool's in line with what is really there: each time that this host begins to lead. */
export const poolRows = async (given: Runtime): Promise<void> => {
  const { store, services, bootstrapping } = given;
  await store.commit((tx) => tx.patch('pool', tx.only('pool')[0], { master: services.host }));
  await bootstrap({ ...bootstrapping, facts: await services.facts() });
  await smRows(given);
};

/**
 * Brings the rows of this host in line with what is really there. Until it is closed, what comes back keeps
 * the hypervisor's daemon running.
 */
export const hostRows = async (given: Preparing): Promise<{ close(): Promise<void> }> => {
  const { store, services, hostPool, bootstrapping } = given;
  await endPendingTasks(store, machine.clock.now(), (host) => host === services.host);
  if (hostPool.pool.role.kind === 'leads') {
    if (!given.derived) await deriveAll(given);
    await plugAtStart(given);
    await defaultStorage(given);
  } else {
    await refreshOwnHost({ ...bootstrapping, facts: await services.facts() }, services.host);
    await plugAtStart(given);
  }
  clearLeftovers(given).catch((error: unknown) => {
    given.log.error({ error }, 'Disks that are left from unfinished work could not be destroyed');
  });
  return followGuests(given);
};

/** A first pool can hold disks and CD images at once. */
const defaultStorage = async (given: Preparing): Promise<void> => {
  const { store, invoker, services, paths, log } = given;
  const create = (name: string, description: string, type: string, content: string, location: string) =>
    invoker.call('SR.create', nullRef as Ref<'SR'>, {
      host: services.host,
      device_config: new Map([['location', location]]),
      physical_size: 0n,
      name_label: name,
      name_description: description,
      type,
      content_type: content,
      shared: false,
      sm_config: new Map(),
    });
  try {
    if (needsDefaultSr(store.latest)) {
      const folder = await unusedFolder(paths.defaultSr);
      const [name, description] = ['Local storage', 'Disk images in a folder of this host'];
      const found = await takenOver(given, name, description);
      await useAsDefaultSr(store, found ?? (await create(name, description, 'file', 'user', folder)));
    }
    if (needsIsoSr(store.latest)) {
      await create('CD images', `Put *.iso files into ${paths.isoSr}, then scan`, 'iso', 'iso', paths.isoSr);
    }
  } catch (error) {
    // A host without storage is still of use: the operator sees why and can make an SR elsewhere.
    log.error({ error }, 'The default storage could not be made');
  }
};

/** The repository in this host's folder, of a pool that it was put out of or whose database is lost, with its disks. */
const takenOver = async (
  { invoker, services, paths }: Preparing,
  name_label: string,
  name_description: string,
): Promise<Ref<'SR'> | undefined> => {
  const device_config = new Map([['location', paths.defaultSr]]);
  const found = await services.storage.probeSr('file', device_config, { debugInfo: 'start' }).catch(() => []);
  const uuid = found.find((one) => one.uuid !== undefined)?.uuid;
  if (uuid === undefined) return undefined;
  const sr = await invoker.call('SR.introduce', nullRef as Ref<'SR'>, {
    ...{ uuid, name_label, name_description, type: 'file', content_type: 'user' },
    ...{ shared: false, sm_config: new Map<string, string>() },
  });
  const pbd = await construct(invoker, 'PBD', { host: services.host, SR: sr, device_config });
  await invoker.call('PBD.plug', pbd, {});
  await invoker.call('SR.scan', sr, {});
  return sr;
};

/** What else is in a folder stays there. */
const unusedFolder = async (folder: string): Promise<string> => {
  for (let number = 1; ; number += 1) {
    const one = number === 1 ? folder : `${folder}-${number}`;
    if (!(await machine.disk.exists(one)) || (await machine.disk.list(one)).length === 0) return one;
  }
};

/** From here on what guests do by themselves reaches their rows, and a daemon that dies is started again. */
const followGuests = async (given: Preparing): Promise<Reviving> => {
  const { services, chosen, log } = given;
  const reports = vmReports(given);
  await reports.reconcile();
  const reviving = revivingOf(chosen, log);
  services.hypervisor.watch({
    ...reports,
    onReconnect: async () => {
      await reports.onReconnect();
      reviving.back();
    },
    onLost: (error) => {
      log.warn({ error: String(error) }, 'The hypervisor daemon is away');
      reviving.away();
    },
  });
  return reviving;
};

/** Starts our daemon while it is away, and again when that one dies before it was of any use. */
interface Reviving {
  away(): void;
  back(): void;
  close(): Promise<void>;
}

const revivingOf = ({ daemon }: HostHypervisor, log: Log): Reviving => {
  let retryMs = retryMsMin;
  let cancel = (): void => {};
  const stop = (): void => {
    cancel();
    cancel = () => {};
  };
  const again = (): void => {
    stop();
    cancel = machine.clock.after(retryMs, () => {
      retryMs = Math.min(retryMs * 2, retryMsMax);
      again();
      daemon
        ?.ensure()
        .catch((error: unknown) => log.error({ error }, 'The hypervisor daemon does not start again'));
    });
  };
  return {
    away: again,
    back: () => {
      retryMs = retryMsMin;
      stop();
    },
    close: async () => stop(),
  };
};

const retryMsMin = 100;
const retryMsMax = 30_000;
