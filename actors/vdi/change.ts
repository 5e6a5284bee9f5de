import type { Working } from '../../src/objects/implement.ts';
import { guestDrive } from '../../src/rules/guest-disk.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { allocate, forgetRow, requireReached, sizesOf, volumeOf } from './volume.ts';

/** The disk and its data. One whose data is gone already only loses its row. */
export const destroy = async (working: Working<'VDI'>): Promise<void> => {
  const { self, record, services } = working;
  requireReached(working, record.SR);
  const { sr, key, call, ask } = volumeOf(working, 'destroy');
  if (services.storage.datapaths(sr, key).length > 0) throw new Fault('VDI_IN_USE', [self, 'destroy']);
  // One that was cut off may have deleted the data or not; asked again it ends the same way.
  await ask(() => services.storage.destroyVolume(sr, key, call)).catch((error: unknown) => {
    if (!(error instanceof Fault && error.code === 'VDI_MISSING')) throw error;
  });
  working.settle((tx) => forgetRow(tx, working, self));
};

export const forget = async (working: Working<'VDI'>): Promise<void> =>
  working.settle((tx) => forgetRow(tx, working, working.self));

const wholeSectors = (sizeBytes: bigint): bigint => ((sizeBytes + 511n) / 512n) * 512n;

export const resize =
  (operation: 'resize' | 'resize_online') =>
  async (working: Working<'VDI'>, { size }: { readonly size: bigint }): Promise<void> => {
    const { self, record, services } = working;
    const { SR, virtual_size } = record;
    requireReached(working, SR);
    if (size <= 0n) throw new Fault('INVALID_VALUE', ['size', `${size}`]);
    const { sr, key, call, later, ask } = volumeOf(working, operation);
    const settle = (tx: Tx, bytes: bigint): void => {
      allocate(tx, SR, bytes - virtual_size);
      tx.patch('VDI', self, { virtual_size: bytes });
    };
    const drive = operation === 'resize_online' ? guestDrive(working.view, self, services.host) : undefined;
    if (drive !== undefined && size > virtual_size) {
      const sizeBytes = wholeSectors(size);
      const how = xenopsWork(working, 'VDI.resize_online');
      await asked('VDI.resize_online', services.hypervisor.growVbd(drive, sizeBytes, how)).catch(
        async (error: unknown) => {
          // A daemon that went away may have grown it all the same.
          const now = await services.storage.statVolume(sr, key, later);
          await working.commit((tx) => settle(tx, now.virtualSizeBytes));
          throw error;
        },
      );
    }
    const how = { ...call, ...(drive !== undefined && { live: true }) };
    const got = await ask(() => services.storage.resizeVolume(sr, key, size, how));
    if (got >= size) return working.settle((tx) => settle(tx, got));
    // The row tells what is so, also where that is not what was asked for.
    await working.commit((tx) => settle(tx, got));
    throw new Fault('SR_BACKEND_FAILURE', ['Disk too small', `${size}`, `${got}`]);
  };

export const update = async (working: Working<'VDI'>): Promise<void> => {
  const { self, record, services } = working;
  const { SR, virtual_size } = record;
  requireReached(working, SR);
  const { sr, key, call, ask } = volumeOf(working, 'update');
  const volume = await ask(() => services.storage.updateVolume(sr, key, call));
  working.settle((tx) => {
    tx.patch('VDI', self, { ...sizesOf(volume), missing: false });
    allocate(tx, SR, volume.virtualSizeBytes - virtual_size);
  });
};

type Text = 'name_label' | 'name_description';

/** The storage keeps names too, and a scan believes it, so both are changed or neither is. */
export const rename =
  (field: Text) =>
  async (working: Working<'VDI'>, { value }: { readonly value: string }): Promise<void> => {
    const { self, record, services } = working;
    requireReached(working, record.SR);
    const { sr, key, call, later, ask } = volumeOf(working, `set_${field}`);
    const { setVolumeName, setVolumeDescription } = services.storage;
    const set = field === 'name_label' ? setVolumeName : setVolumeDescription;
    const before = record[field];
    working.undo(() => set(sr, key, before, later));
    await ask(() => set(sr, key, value, call));
    working.settle((tx) => tx.patch('VDI', self, { [field]: value }));
  };
