import { plugAtStart } from '../../actors/pbd/start.ts';
import { needsDefaultSr, needsIsoSr, useAsDefaultSr } from '../../actors/pool/default-storage.ts';
import { smRows } from '../../actors/sm/rows.ts';
import { endPendingTasks } from '../../actors/task/start.ts';
import { vmReports } from '../../actors/vm/reports.ts';
import { nullRef, type Ref } from '../model/types.ts';
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

/** Brings the rows in line with what is really there, before the first client is let in. */
export const prepareRows = async (given: Preparing): Promise<void> => {
  await endPendingTasks(given.store, machine.clock.now());
  await smRows(given);
  await deriveAll(given);
  await plugAtStart(given);
  await defaultStorage(given);
  await followGuests(given);
};

/** A first pool can hold disks and CD images at once. */
const defaultStorage = async ({ store, invoker, services, paths, log }: Preparing): Promise<void> => {
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
      const sr = await create(
        'Local storage',
        'Disk images in a folder of this host',
        'file',
        'user',
        paths.defaultSr,
      );
      await useAsDefaultSr(store, sr);
    }
    if (needsIsoSr(store.latest)) {
      await create('CD images', `Put *.iso files into ${paths.isoSr}, then scan`, 'iso', 'iso', paths.isoSr);
    }
  } catch (error) {
    // A host without storage is still of use: the operator sees why and can make an SR elsewhere.
    log.error({ error }, 'The default storage could not be made');
  }
};

/** From here on what guests do by themselves reaches their rows, and a daemon that dies is started again. */
const followGuests = async (given: Preparing): Promise<void> => {
  const { services, chosen, log } = given;
  const reports = vmReports(given);
  await reports.reconcile();
  let retryMs = retryMsMin;
  services.hypervisor.watch({
    ...reports,
    onReconnect: async () => {
      retryMs = retryMsMin;
      await reports.onReconnect();
    },
    onLost: (error) => {
      log.warn({ error: String(error) }, 'The hypervisor daemon is away');
      machine.clock.after(retryMs, () => {
        chosen.daemon
          ?.ensure()
          .catch((failure: unknown) => log.error({ error: failure }, 'It does not start again'));
      });
      retryMs = Math.min(retryMs * 2, retryMsMax);
    },
  });
};

const retryMsMin = 100;
const retryMsMax = 30_000;
