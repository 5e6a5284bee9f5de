import type { Ref } from '../../src/model/types.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { plugAtStartKey } from '../../src/rules/device-config.ts';
import { featuresOf, foundKey, looksAfter, pbdOf } from '../../src/rules/storage-rows.ts';
import { note } from './plug.ts';

interface Starting {
  readonly invoker: Invoker;
  readonly services: Services;
}

/**
 * Connects this host to the repositories that it was connected to, and looks what became of their
 * disks. One that cannot be reached is shown as unplugged, and tried again at the next start; one that is
 * attached all the same, by work that was cut off, is detached unless somebody has a disk of it.
 */
export const plugAtStart = async (starting: Starting): Promise<void> => {
  const { store, host } = starting.services;
  const wanted = [...store.latest.all('PBD')].filter(
    ([, pbd]) => pbd.host === host && (pbd.currently_attached || pbd.other_config.has(plugAtStartKey)),
  );
  await Promise.all(wanted.map(([ref, { SR }]) => plugOne(starting, ref, SR)));
  await detachOthers(starting.services);
};

const detachOthers = async ({ store, host, storage, log }: Services): Promise<void> => {
  const { latest: rows } = store;
  const used = new Set(storage.held().map(({ sr }) => sr));
  for (const uuid of storage.attachedSrs()) {
    const sr = rows.byUuid('SR', uuid);
    if (used.has(uuid) || (sr !== undefined && pbdOf(rows, sr, host) !== undefined)) continue;
    await storage.detachSr(uuid, { debugInfo: 'PBD.unplug' }).catch((error: unknown) => {
      log.warn({ error, sr: uuid }, 'A repository that no row says is attached could not be detached');
    });
  }
};

const plugOne = async ({ invoker, services }: Starting, pbd: Ref<'PBD'>, sr: Ref<'SR'>): Promise<void> => {
  try {
    await invoker.call('PBD.plug', pbd, {});
  } catch (error) {
    services.log.error(
      { error, pbd, sr },
      'A repository cannot be reached; it is tried again at the next start',
    );
    await invoker.decide('PBD', pbd, (tx) => {
      note(tx, pbd, false);
      const { other_config } = tx.require('PBD', pbd);
      tx.patch('PBD', pbd, { other_config: new Map([...other_config, [plugAtStartKey, 'true']]) });
    });
    return;
  }
  await lookWhatIsThere({ invoker, services }, sr).catch((error: unknown) => {
    services.log.warn({ error, sr }, 'A repository could not be scanned');
  });
};

/**
 * Disks that no row named are marked: work that was cut off has left them. Where guests' disks are not made,
 * as in a folder of CDs, whatever is new is what somebody has put there.
 */
const lookWhatIsThere = async ({ invoker, services }: Starting, sr: Ref<'SR'>): Promise<void> => {
  const { latest: rows } = services.store;
  const known = new Set(rows.get('SR', sr)?.VDIs);
  await invoker.call('SR.scan', sr, {});
  const row = rows.get('SR', sr);
  if (row === undefined || !looksAfter(rows, sr, services.host)) return;
  if (!featuresOf(rows, row.type).has('VDI_CREATE')) return;
  const found = row.VDIs.filter((ref) => !known.has(ref));
  if (found.length === 0) return;
  await invoker.decide('SR', sr, (tx) => {
    for (const ref of found) {
      const vdi = tx.get('VDI', ref);
      if (vdi === undefined) continue;
      tx.patch('VDI', ref, { other_config: new Map([...vdi.other_config, [foundKey, 'true']]) });
    }
  });
};
