import type { Volume } from '../../src/drivers/storage/storage.ts';
import { dateTimeOf, epoch, nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { allocate, requireReached, sizesOf, uuidFor, type Vdi, type VolumeOf, volumeOf } from './volume.ts';

/** A new disk on the same storage that shares what the old one has now. */
const branch = async (
  working: Working<'VDI'>,
  operation: 'snapshot' | 'clone',
  make: (volume: VolumeOf) => Promise<Volume>,
  different: Partial<Vdi>,
): Promise<Ref<'VDI'>> => {
  const { record, services } = working;
  requireReached(working, record.SR);
  const volume = volumeOf(working, operation);
  const made = await volume.ask(() => make(volume));
  working.undo(() => services.storage.destroyVolume(volume.sr, made.key, volume.later));
  await rename(working, volume, made, record);

  const ref = newRef<'VDI'>(services);
  working.settle((tx) => {
    tx.create('VDI', ref, {
      ...inherited(record),
      ...sizesOf(made),
      uuid: uuidFor(tx, made, working),
      location: made.key,
      managed: true,
      read_only: record.read_only,
      ...different,
    });
    allocate(tx, record.SR, made.virtualSizeBytes);
  });
  return ref;
};

/** What a disk hands on to those that are made from it. */
export const inherited = (record: Vdi) => ({
  name_label: record.name_label,
  name_description: record.name_description,
  SR: record.SR,
  type: record.type,
  sharable: record.sharable,
  other_config: record.other_config,
  xenstore_data: record.xenstore_data,
  sm_config: record.sm_config,
  tags: record.tags,
});

/** The storage keeps names too, and a scan believes it. */
const rename = async (
  { services }: Working<'VDI'>,
  volume: VolumeOf,
  made: Volume,
  { name_label, name_description }: Vdi,
): Promise<void> => {
  const { storage } = services;
  const { sr, call } = volume;
  if (made.name !== name_label) {
    await volume.ask(() => storage.setVolumeName(sr, made.key, name_label, call));
  }
  if (made.description !== name_description) {
    await volume.ask(() => storage.setVolumeDescription(sr, made.key, name_description, call));
  }
};

export const snapshot = (working: Working<'VDI'>): Promise<Ref<'VDI'>> =>
  branch(working, 'snapshot', ({ sr, key, call }) => working.services.storage.snapshotVolume(sr, key, call), {
    is_a_snapshot: true,
    snapshot_of: working.self,
    snapshot_time: dateTimeOf(working.services.clock.now()),
    cbt_enabled: working.record.cbt_enabled,
  });

export const clone = (working: Working<'VDI'>): Promise<Ref<'VDI'>> =>
  branch(working, 'clone', ({ sr, key, call }) => working.services.storage.cloneVolume(sr, key, call), {
    is_a_snapshot: false,
    snapshot_of: nullRef as Ref<'VDI'>,
    snapshot_time: epoch,
  });
