import { type DeviceId, isLost } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import type { Working } from '../../src/objects/implement.ts';
import { writing } from '../../src/rules/disk-use.ts';
import { xenopsDisk } from '../../src/rules/guest-devices.ts';
import { changesLive, guestDrive } from '../../src/rules/guest-disk.ts';
import { asked, unattendedWork, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { noteMade, strike } from '../../src/rules/leftovers.ts';
import { putInPlace, rowOfDisk } from '../../src/rules/moved-disks.ts';
import { featuresOf } from '../../src/rules/storage-rows.ts';
import { sleep } from '../../src/std/clock.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
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

/** Which of the two disks has all that was written; the guest alone can say while a mirror was cut off. */
type Whole = 'old' | 'new' | 'unknown';

/** How far a move has come. */
interface Move {
  readonly working: Working<'VDI'>;
  readonly vm: Ref<'VM'>;
  readonly target: Ref<'VDI'>;
  whole: Whole;
}

/**
 * The disk is copied into another repository, while its guest runs by a mirror, and takes the place of the
 * old one everywhere. Until then the old one is as it was.
 */
export const migrate = async (working: Working<'VDI'>, { sr }: MigrateArgs): Promise<Ref<'VDI'>> => {
  const { self, record, view, services } = working;
  requireReached(working, record.SR);
  if (sr === record.SR) return self;
  const [drive] = drivesOf(view, self);
  if (drive === undefined) throw new Fault('VDI_NEEDS_VM_FOR_MIGRATE', [self]);
  let isNoted = false;
  const target = await newTarget(working, sr, { call: working.making(drive.VM), isKept: () => isNoted });
  const move: Move = { working, vm: drive.VM, target, whole: 'old' };
  await noteMade(working, move.vm, target, () => move.whole !== 'old');
  isNoted = true;
  await working.hold(writing(target));
  await fill(move);
  await working.commit((tx) => {
    // A guest that ended meanwhile has told so by then.
    const isOpen = tx.get('VM', move.vm)?.leftovers.has(target) !== false;
    if (isOpen) putInPlace(tx, move.vm, { old: self, made: target, host: services.host });
  });
  // There is no way back from here: nothing that fails may take the new disk away.
  move.whole = 'new';
  const volume = volumeOf(working, 'pool_migrate');
  const removed = await services.storage.destroyVolume(volume.sr, volume.key, volume.later).then(
    () => true,
    (error: unknown) => {
      services.log.warn({ error, vdi: self }, 'A disk that has moved could not be removed yet');
      return false;
    },
  );
  working.settle((tx) => {
    // One that is still there keeps its row, and its note for the next start.
    if (!removed) return;
    strike(tx, move.vm, [self]);
    forgetRow(tx, working, self);
  });
  return target;
};

const fill = async (move: Move): Promise<void> => {
  const { working, target } = move;
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
  requireReached(working, view.require('VDI', target).SR);
  const old = xenopsDisk(view, self);
  // Rows that still name the old disk must find in it what the guest has written since.
  working.undo(async () => {
    if (move.whole !== 'new' || drivesOf(view, self).length === 0) return;
    await services.hypervisor.mirrorVbd(drive, old, unattendedWork('VDI.pool_migrate'));
    move.whole = 'old';
  });
  await mirror(move, drive);
};

/** The guest writes to the target once this resolves, and does not when it rejects unless that is unknown. */
const mirror = async (move: Move, drive: DeviceId): Promise<void> => {
  const { working, target } = move;
  const { hypervisor } = working.services;
  const how = xenopsWork(working, 'VDI.pool_migrate');
  move.whole = 'unknown';
  try {
    await asked('VDI.pool_migrate', hypervisor.mirrorVbd(drive, xenopsDisk(working.view, target), how));
    move.whole = 'new';
  } catch (error) {
    move.whole = await wholeOf(move, drive);
    if (move.whole !== 'new') throw error;
  }
};

/** How long a daemon that went away may take to come back and say which disk its guest has. */
const awayMsMax = 60_000;
const askAgainMs = 250;

/** Whatever a daemon was told before has ended once it answers, which may be another one by then. */
const wholeOf = async ({ working, target }: Move, drive: DeviceId): Promise<Whole> => {
  const { clock, hypervisor, log } = working.services;
  const deadline = clock.monotonicMs() + awayMsMax;
  for (;;) {
    try {
      await hypervisor.turn(drive[0], unattendedWork('VDI.pool_migrate')).catch((error: unknown) => {
        if (isLost(error)) throw error;
      });
      const disk = (await hypervisor.statVbd(drive))?.disk;
      // Of a guest that ended meanwhile the rows have been told.
      if (disk === undefined) return drivesOf(working.view, target).length > 0 ? 'new' : 'old';
      return rowOfDisk(working.view, disk) === target ? 'new' : 'old';
    } catch (error) {
      if (isLost(error) && clock.monotonicMs() < deadline) await sleep(clock, askAgainMs);
      else {
        log.warn({ error, drive }, 'Which disk a guest has is not known; both are kept until it is');
        return 'unknown';
      }
    }
  }
};
