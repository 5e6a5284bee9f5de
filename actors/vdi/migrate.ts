import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import type { Working } from '../../src/objects/implement.ts';
import { writing } from '../../src/rules/disk-use.ts';
import { xenopsDisk } from '../../src/rules/guest-devices.ts';
import { changesLive, guestDrive } from '../../src/rules/guest-disk.ts';
import { asked, unattendedWork, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { featuresOf } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { copyBytes, newTarget, withOpen } from './copy.ts';
import { forgetRow, requireReached, volumeOf } from './volume.ts';

export interface MigrateArgs {
  readonly sr: Ref<'SR'>;
}

const drivesOf = (view: View, self: Ref<'VDI'>): readonly RecordNamed<'VBD'>[] =>
  view.require('VDI', self).VBDs.flatMap((ref) => view.get('VBD', ref) ?? []);

/** A disk moves with its VM, which keeps its power state meanwhile. */
export const migrateHolds = (_: MigrateArgs, view: View, self: Ref<'VDI'>): readonly Hold[] => {
  const vms = new Set(drivesOf(view, self).map(({ VM }) => VM));
  return [...vms]
    .filter((vm) => isLive(view, vm))
    .map((ref) => ({ cls: 'VM', ref, operation: 'migrate_send' }));
};

const isLive = (view: View, vm: Ref<'VM'>): boolean => {
  const state = view.get('VM', vm)?.power_state;
  return state === 'Running' || state === 'Paused';
};

export const migrateRefusal = (view: View, self: Ref<'VDI'>, { sr }: MigrateArgs): Fault | undefined => {
  const { SR, type, is_a_snapshot, on_boot } = view.require('VDI', self);
  const drives = drivesOf(view, self);
  if (drives.length === 0) return new Fault('VDI_NEEDS_VM_FOR_MIGRATE', [self]);
  if (type === 'cbt_metadata') return new Fault('VDI_INCOMPATIBLE_TYPE', [self, 'CBT metadata']);
  if (is_a_snapshot) return new Fault('OPERATION_NOT_ALLOWED', [`VDI is a snapshot: ${self}`]);
  if (drives.some((drive) => drive.type === 'CD')) {
    return new Fault('OPERATION_NOT_ALLOWED', [`VDI is in a CD drive: ${self}`]);
  }
  const isUsed = drives.some((drive) => drive.currently_attached || drive.reserved);
  if (isUsed && on_boot === 'reset') return new Fault('VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION');
  const into = view.get('SR', sr);
  if (into === undefined) return new Fault('HANDLE_INVALID', ['SR', sr]);
  if (sr !== SR && !featuresOf(view, into.type).has('VDI_CREATE')) {
    return new Fault('SR_OPERATION_NOT_SUPPORTED', [sr]);
  }
  return undefined;
};

/**
 * The disk is copied into another repository, while its guest runs by a mirror, and takes the place of the
 * old one everywhere. Until then the old one is as it was.
 */
export const migrate = async (working: Working<'VDI'>, { sr }: MigrateArgs): Promise<Ref<'VDI'>> => {
  const { self, record, view } = working;
  requireReached(working, record.SR);
  if (sr === record.SR) return self;
  let isMoved = false;
  const target = await newTarget(working, sr, () => isMoved);
  await working.hold(writing(target));
  await fill(working, target, () => isMoved);
  await working.commit((tx) => replace(tx, self, target));
  // There is no way back from here: nothing that fails may take the new disk away.
  isMoved = true;
  const volume = volumeOf(working, 'pool_migrate');
  const old = { ...volume, sr: view.require('SR', record.SR).uuid };
  await working.services.storage.destroyVolume(old.sr, old.key, old.later).catch((error: unknown) => {
    // The disk has moved: what is left of it is found by the next scan.
    working.services.log.warn({ error, vdi: self }, 'A disk that has moved could not be removed');
  });
  working.settle((tx) => forgetRow(tx, self));
  return target;
};

const fill = async (working: Working<'VDI'>, target: Ref<'VDI'>, isMoved: () => boolean): Promise<void> => {
  const { self, view, services } = working;
  const isUsed = drivesOf(view, self).some((drive) => drive.currently_attached || drive.reserved);
  if (!isUsed) {
    await withOpen(working, self, 'read', async (source) => {
      await withOpen(working, target, 'write', (into) => copyBytes(working, source, into, undefined));
    });
    return;
  }
  const drive = guestDrive(view, self, services.host);
  if (drive === undefined || !(await changesLive(services))) throw new Fault('VDI_IN_USE', [self, 'mirror']);
  const how = xenopsWork(working, 'VDI.pool_migrate');
  const { mirrorVbd } = services.hypervisor;
  await asked('VDI.pool_migrate', mirrorVbd(drive, xenopsDisk(view, target), how));
  const old = xenopsDisk(view, self);
  // Rows that still name the old disk must find in it what the guest has written since.
  working.undo(() => (isMoved() ? undefined : mirrorVbd(drive, old, unattendedWork('VDI.pool_migrate'))));
};

/** Whatever names the old disk names the new one. */
const replace = (tx: Tx, self: Ref<'VDI'>, target: Ref<'VDI'>): void => {
  const { VBDs, snapshots, crash_dumps: _, ...old } = tx.require('VDI', self);
  for (const ref of VBDs) tx.patch('VBD', ref, { VDI: target });
  for (const ref of snapshots) tx.patch('VDI', ref, { snapshot_of: target });
  for (const [ref, { suspend_VDI }] of tx.all('VM')) {
    if (suspend_VDI === self) tx.patch('VM', ref, { suspend_VDI: target });
  }
  tx.patch('VDI', target, { name_label: old.name_label, name_description: old.name_description });
};
