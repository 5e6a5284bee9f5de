import type { DeviceId } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { Volume } from '../../src/drivers/storage/storage.ts';
import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { fieldsFor } from '../../src/rules/fates/fate.ts';
import { vdiFates } from '../../src/rules/fates/vdi.ts';
import { changesLive, guestDrive } from '../../src/rules/guest-disk.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { featuresOf, smConfigOf } from '../../src/rules/storage-rows.ts';
import {
  keepRow,
  requireReached,
  rowFor,
  storedFields,
  type Vdi,
  type VolumeOf,
  volumeOf,
} from './volume.ts';

/** A new disk on the same storage that shares what the old one has now. */
const branch = async (
  working: Working<'VDI'>,
  operation: 'snapshot' | 'clone',
  make: (volume: VolumeOf) => Promise<Volume>,
): Promise<Ref<'VDI'>> => {
  const { self, record, services } = working;
  requireReached(working, record.SR);
  const volume = volumeOf(working, operation);
  const made = await volume.ask(() => make(volume));
  working.undo(() => services.storage.destroyVolume(volume.sr, made.key, volume.later));
  await rename(working, volume, made, record);

  const ref = rowFor(working, record.SR, made);
  working.settle((tx) => {
    const fields = fieldsFor('VDI', vdiFates, operation, record, {
      ...storedFields(tx, made, working),
      sm_config: smConfigOf(made),
      is_a_snapshot: true,
      snapshot_of: self,
      snapshot_time: dateTimeOf(services.clock.now()),
    });
    keepRow(tx, working, record.SR, ref, fields);
  });
  return ref;
};

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

interface DriverParams {
  readonly driver_params: ReadonlyMap<string, string>;
}

export const snapshot = async (
  working: Working<'VDI'>,
  { driver_params }: DriverParams,
): Promise<Ref<'VDI'>> => {
  const { storage, hypervisor } = working.services;
  const drive = await overlaid(working);
  return branch(working, 'snapshot', async ({ sr, key, call, later }) => {
    const settings = { ...call, settings: driver_params };
    if (drive === undefined) return storage.snapshotVolume(sr, key, settings);
    // The guest goes on with an image on top of what it had, which from then on is the snapshot's.
    const made = await storage.snapshotVolume(sr, key, { ...settings, live: true });
    try {
      await asked('VDI.snapshot', hypervisor.overlayVbd(drive, xenopsWork(working, 'VDI.snapshot')));
    } catch (error) {
      await storage.destroyVolume(sr, made.key, later);
      throw error;
    }
    return made;
  });
};

/** The drive of a guest that is to go on with another image, where storage and hypervisor do so. */
const overlaid = async ({ self, record, view, services }: Working<'VDI'>): Promise<DeviceId | undefined> => {
  const drive = guestDrive(view, self, services.host);
  // An image of whole bytes stands on nothing, and nothing stands on it: it is copied.
  if (drive === undefined || record.sm_config.get('image-format') === 'raw') return undefined;
  const { type } = view.require('SR', record.SR);
  const can = featuresOf(view, type).has('VDI_OVERLAY') && (await changesLive(services));
  return can ? drive : undefined;
};

export const clone = (working: Working<'VDI'>, { driver_params }: DriverParams): Promise<Ref<'VDI'>> =>
  branch(working, 'clone', ({ sr, key, call }) =>
    working.services.storage.cloneVolume(sr, key, { ...call, settings: driver_params }),
  );
