import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import type { Working } from '../../src/objects/implement.ts';
import { featuresOf } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { allocate, requireReached, sizesOf, unmanaged, volumeOf } from './volume.ts';

// A disk becomes what its snapshot is, and stays the disk that it is: same row, same place on the storage.

/** The disk that the snapshot was taken of, which nobody may use meanwhile. */
export const revertHolds = (_: object, view: View, self: Ref<'VDI'>): readonly Hold[] => {
  const { snapshot_of } = view.require('VDI', self);
  return view.get('VDI', snapshot_of) === undefined
    ? []
    : [{ cls: 'VDI', ref: snapshot_of, operation: 'revert_from' }];
};

export const revertRefusal = (view: View, self: Ref<'VDI'>): Fault | undefined => {
  const snapshot = view.require('VDI', self);
  if (!canRevert(view, snapshot)) return new Fault('UNIMPLEMENTED_IN_SM_BACKEND', ['VDI.revert']);
  const disk = view.get('VDI', snapshot.snapshot_of);
  if (disk === undefined) return new Fault('HANDLE_INVALID', ['VDI', snapshot.snapshot_of]);
  if (disk.SR !== snapshot.SR) {
    const why = 'The disk is in another repository than its snapshot by now: clone the snapshot instead';
    return new Fault('OPERATION_NOT_ALLOWED', [why]);
  }
  return unmanaged(view, snapshot.snapshot_of);
};

const canRevert = (view: View, { SR }: RecordNamed<'VDI'>): boolean =>
  featuresOf(view, view.get('SR', SR)?.type).has('VDI_REVERT');

/** There is no way back from it; one that was cut off is asked for again. */
export const revert = async (working: Working<'VDI'>): Promise<void> => {
  const { record, view, services } = working;
  const disk = record.snapshot_of;
  requireReached(working, record.SR);
  const { sr, key, call, ask } = volumeOf(working, 'revert');
  const { location, virtual_size } = view.require('VDI', disk);
  if (services.storage.datapaths(sr, location).length > 0)
    throw new Fault('VDI_IN_USE', [disk, 'revert_from']);
  const volume = await ask(() => services.storage.revertVolume(sr, location, key, call));
  working.settle((tx) => {
    tx.patch('VDI', disk, sizesOf(volume));
    allocate(tx, record.SR, volume.virtualSizeBytes - virtual_size);
  });
};
