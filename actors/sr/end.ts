import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { type DeviceConfig, forgetConnection, withPasswords } from '../../src/rules/device-config.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { asking } from '../../src/rules/storage-faults.ts';
import { writesRows } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { findRepository } from './find.ts';

/** Repositories that nobody may take away, and those that hosts cache in. */
export const indestructible = (view: View, self: Ref<'SR'>): Fault | undefined => {
  const sr = view.require('SR', self);
  if (sr.is_tools_sr || sr.other_config.get('indestructible') === 'true') {
    return new Fault('SR_INDESTRUCTIBLE', [self]);
  }
  for (const [host, { local_cache_sr }] of view.all('host')) {
    if (local_cache_sr === self) return new Fault('SR_IS_CACHE_SR', [host]);
  }
  return undefined;
};

/** Attached once more, for the driver to find what it is to delete. */
export const destroy = async (working: Working<'SR'>): Promise<void> => {
  const { self, record, view, services } = working;
  const { storage, host } = services;
  const ref = record.PBDs.find((one) => view.get('PBD', one)?.host === host);
  if (ref === undefined) throw new Fault('SR_HAS_NO_PBDS', [self]);
  const pbd = view.require('PBD', ref);
  const call = storageCall(working, 'SR.destroy');
  await asking({ sr: self, operation: 'destroy' }, async () => {
    working.undo(() => storage.detachSr(record.uuid, { debugInfo: 'SR.destroy' }));
    const attached = await withPasswords(view, pbd.device_config, (config) =>
      storage.attachSr(record.type, record.uuid, config, call).then(
        () => true,
        async (error: unknown) => {
          if (!(await isDestroyed(working, config))) throw error;
          return false;
        },
      ),
    );
    if (!attached) return;
    if (writesRows(view, record.type)) await showAttached(working, ref);
    await storage.destroySr(record.uuid, call);
  });
  working.settle((tx) => forgetRows(tx, self));
};

/**
 * One that was cut off may have cleared the storage, and asked again it ends the same way. Where there are
 * rows of disks, storage that is not there may have gone otherwise.
 */
const isDestroyed = async ({ record, services }: Working<'SR'>, config: DeviceConfig): Promise<boolean> =>
  record.VDIs.length === 0 &&
  (await findRepository(services.storage, record, config).then(
    (found) => found === undefined,
    () => false,
  ));

/** Drivers that write rows clear their storage only where it is said to be attached. */
const showAttached = async (working: Working<'SR'>, pbd: Ref<'PBD'>): Promise<void> => {
  const show = (currently_attached: boolean) => (tx: Tx) => tx.patch('PBD', pbd, { currently_attached });
  working.undo(() => working.commit(show(false)));
  await working.commit(show(true));
};

/** The row, its connections and its disks; what is on the storage stays. */
export const forgetRows = (tx: Tx, self: Ref<'SR'>): void => {
  const { PBDs, VDIs } = tx.require('SR', self);
  for (const ref of PBDs) forgetConnection(tx, ref);
  for (const ref of VDIs) tx.delete('VDI', ref);
  tx.delete('SR', self);
};
