import type { ChangeTracking } from '../../src/drivers/storage/storage.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import type { Working } from '../../src/objects/implement.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { asking } from '../../src/rules/storage-faults.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { requireReached, sizesOf, volumeOf } from './volume.ts';

// Which blocks of a disk have changed, for backups of those alone. The driver keeps track of it.

const trackingOf = ({ services }: Working<'VDI'>, sr: Ref<'SR'>): ChangeTracking => {
  const { tracking } = services.storage;
  if (tracking === undefined) throw new Fault('SR_OPERATION_NOT_SUPPORTED', [sr]);
  return tracking;
};

/** Asked for what is so already, nothing is done. */
export const track =
  (on: boolean) =>
  async (working: Working<'VDI'>): Promise<void> => {
    const { self, record } = working;
    if (record.cbt_enabled === on) return;
    requireReached(working, record.SR);
    const tracking = trackingOf(working, record.SR);
    const { sr, key, call, later, ask } = volumeOf(working, on ? 'enable_cbt' : 'disable_cbt');
    await ask(() => tracking.set(sr, key, on, call));
    // What was known of changes is lost once it is disabled, so only this way there is a way back.
    if (on) working.undo(() => tracking.set(sr, key, false, later));
    working.settle((tx) => tx.patch('VDI', self, { cbt_enabled: on }));
  };

/** From now on it tells what had changed, and nothing else; drives let it go. */
export const destroyData = async (working: Working<'VDI'>): Promise<void> => {
  const { self, record, services } = working;
  if (record.type === 'cbt_metadata') return;
  requireReached(working, record.SR);
  const tracking = trackingOf(working, record.SR);
  const { sr, key, call, ask } = volumeOf(working, 'data_destroy');
  if (services.storage.datapaths(sr, key).length > 0) throw new Fault('VDI_IN_USE', [self, 'data_destroy']);
  await ask(() => tracking.dropData(sr, key, call));
  const volume = await ask(() => services.storage.statVolume(sr, key, call));
  working.settle((tx) => {
    for (const ref of tx.require('VDI', self).VBDs) tx.delete('VBD', ref);
    tx.patch('VDI', self, { ...sizesOf(volume), type: 'cbt_metadata' });
  });
};

interface Compared {
  readonly vdi_to: Ref<'VDI'>;
}

/** Both must have been tracked, and neither may be written to meanwhile. */
export const compareRefusal = (view: View, self: Ref<'VDI'>, { vdi_to }: Compared): Fault | undefined => {
  const [from, to] = [view.require('VDI', self), view.require('VDI', vdi_to)];
  if (to.SR !== from.SR) {
    return new Fault('INVALID_VALUE', ['vdi_to', 'It is in another repository: compare disks of one']);
  }
  const untracked = [self, vdi_to].find((ref) => !view.require('VDI', ref).cbt_enabled);
  return untracked === undefined ? undefined : new Fault('VDI_NO_CBT_METADATA', [untracked]);
};

export const compareHolds = ({ vdi_to }: Compared, view: View, self: Ref<'VDI'>): readonly Hold[] =>
  vdi_to === self || view.get('VDI', vdi_to) === undefined
    ? []
    : [{ cls: 'VDI', ref: vdi_to, operation: 'list_changed_blocks' }];

export const listChangedBlocks = async (working: Working<'VDI'>, { vdi_to }: Compared): Promise<string> => {
  const { record, view } = working;
  const to = view.require('VDI', vdi_to);
  requireReached(working, record.SR);
  const { sr, key, call, ask } = volumeOf(working, 'list_changed_blocks');
  return ask(() => trackingOf(working, record.SR).changedBlocks(sr, key, to.location, call));
};

export const generateConfig = async (
  working: Working<'VDI'>,
  { host, vdi }: { readonly host: Ref<'host'>; readonly vdi: Ref<'VDI'> },
): Promise<string> => {
  const { view } = working;
  view.require('host', host);
  const { SR: sr, location } = view.require('VDI', vdi);
  requireReached(working, sr);
  const call = storageCall(working, 'VDI.generate_config');
  return asking({ sr, vdi, operation: 'generate_config' }, () =>
    trackingOf(working, sr).configurationOf(view.require('SR', sr).uuid, location, call),
  );
};
