import {
  type DeviceId,
  type DeviceState,
  type Vbd,
  type Vif,
  type XenopsDisk,
  XenopsError,
} from '../../drivers/hypervisor/hypervisor.ts';
import { announceVm, badPowerState, type Core, noted } from './core.ts';
import { closeDisk, openDisk } from './disks.ts';
import type { Work } from './tasks.ts';
import { type LiveGuest, type VmEntry, vbdOfEntry, vifOfEntry } from './vm-entries.ts';

// Disks and network cards of one VM. Its queue has let the operation in. Of a VM that has no guest only
// the description changes: the next start takes the devices from there.

const guestOf = (entry: VmEntry): LiveGuest => {
  if (entry.guest === undefined) throw badPowerState(entry, 'Running');
  return entry.guest;
};

const isVbdPlugged = (entry: VmEntry, device: string): boolean => entry.guest?.vbds.has(device) ?? false;
const isVifPlugged = (entry: VmEntry, device: string): boolean => entry.guest?.vifs.has(device) ?? false;

export const vbdState = (entry: VmEntry, device: string): DeviceState => {
  const plugged = isVbdPlugged(entry, device);
  return { active: plugged, plugged };
};

export const vifState = (entry: VmEntry, device: string): DeviceState => {
  const plugged = isVifPlugged(entry, device);
  return { active: plugged, plugged };
};

const announceVbd = (core: Core, id: DeviceId): void => core.updates.add(['Vbd', id]);
const announceVif = (core: Core, id: DeviceId): void => core.updates.add(['Vif', id]);

export const addVbd = async (core: Core, entry: VmEntry, vbd: Vbd): Promise<void> => {
  const device = vbd.id[1];
  if (isVbdPlugged(entry, device)) throw new XenopsError('Already_exists', ['vbd', device]);
  entry.vbds.set(device, vbd);
  await noted(core, entry, () => announceVbd(core, vbd.id));
};

export const removeVbd = async (core: Core, entry: VmEntry, id: DeviceId): Promise<void> => {
  if (isVbdPlugged(entry, id[1])) throw new XenopsError('Device_is_connected', []);
  entry.vbds.delete(id[1]);
  await noted(core, entry, () => core.updates.gone(['Vbd', id]));
};

/** Plugging what is plugged succeeds. */
export const plugVbd = async (core: Core, entry: VmEntry, id: DeviceId, work: Work): Promise<void> => {
  work.check();
  const vbd = vbdOfEntry(entry, id);
  const guest = guestOf(entry);
  if (guest.vbds.has(id[1])) return;
  const disk = await openDisk(core, entry, vbd, entry.domid ?? 0, work.debugInfo);
  try {
    work.check();
    await core.backend.plugVbd(entry.id, disk);
  } catch (error) {
    await closeDisk(core, entry, id[1], work.debugInfo);
    throw error;
  }
  guest.vbds.add(id[1]);
  announceVbd(core, id);
};

export const unplugVbd = async (
  core: Core,
  entry: VmEntry,
  id: DeviceId,
  force: boolean,
  work: Work,
): Promise<void> => {
  work.check();
  const vbd = vbdOfEntry(entry, id);
  const guest = guestOf(entry);
  if (!guest.vbds.has(id[1])) {
    if (force) return;
    throw new XenopsError('Device_not_connected', []);
  }
  if (!vbd.unpluggable && !force) {
    throw new XenopsError('Device_detach_rejected', ['VBD', id[1], 'The disk is marked as not unpluggable']);
  }
  await core.backend.unplugVbd(entry.id, id, force);
  guest.vbds.delete(id[1]);
  await closeDisk(core, entry, id[1], work.debugInfo);
  announceVbd(core, id);
};

export const insertVbd = async (
  core: Core,
  entry: VmEntry,
  id: DeviceId,
  disk: XenopsDisk,
  work: Work,
): Promise<void> => {
  work.check();
  const drive = vbdOfEntry(entry, id);
  if (drive.ty === 'Disk') throw new XenopsError('Media_not_ejectable', []);
  if (drive.backend !== undefined) throw new XenopsError('Media_present', []);
  const filled: Vbd = { ...drive, backend: disk };
  if (isVbdPlugged(entry, id[1])) {
    const medium = await openDisk(core, entry, filled, entry.domid ?? 0, work.debugInfo);
    try {
      await core.backend.changeMedium(entry.id, id, medium);
    } catch (error) {
      await closeDisk(core, entry, id[1], work.debugInfo);
      throw error;
    }
  }
  entry.vbds.set(id[1], filled);
  await noted(core, entry, () => announceVbd(core, id));
};

export const ejectVbd = async (core: Core, entry: VmEntry, id: DeviceId, work: Work): Promise<void> => {
  work.check();
  const { backend, ...empty } = vbdOfEntry(entry, id);
  if (empty.ty === 'Disk') throw new XenopsError('Media_not_ejectable', []);
  if (backend === undefined) throw new XenopsError('Media_not_present', []);
  const plugged = isVbdPlugged(entry, id[1]);
  if (plugged) await core.backend.changeMedium(entry.id, id, undefined);
  entry.vbds.set(id[1], empty);
  const told = (): void => announceVbd(core, id);
  if (plugged) await closeDisk(core, entry, id[1], work.debugInfo).finally(told);
  else await noted(core, entry, told);
};

export const addVif = async (core: Core, entry: VmEntry, vif: Vif): Promise<void> => {
  const device = vif.id[1];
  if (isVifPlugged(entry, device)) throw new XenopsError('Already_exists', ['vif', device]);
  entry.vifs.set(device, vif);
  await noted(core, entry, () => announceVif(core, vif.id));
};

export const removeVif = async (core: Core, entry: VmEntry, id: DeviceId): Promise<void> => {
  if (isVifPlugged(entry, id[1])) throw new XenopsError('Device_is_connected', []);
  entry.vifs.delete(id[1]);
  await noted(core, entry, () => core.updates.gone(['Vif', id]));
};

/** Plugging what is plugged succeeds. */
export const plugVif = async (core: Core, entry: VmEntry, id: DeviceId, work: Work): Promise<void> => {
  work.check();
  const vif = vifOfEntry(entry, id);
  const guest = guestOf(entry);
  if (guest.vifs.has(id[1])) return;
  await core.backend.plugVif(entry.id, vif);
  guest.vifs.add(id[1]);
  announceVif(core, id);
};

export const unplugVif = async (
  core: Core,
  entry: VmEntry,
  id: DeviceId,
  force: boolean,
  work: Work,
): Promise<void> => {
  work.check();
  vifOfEntry(entry, id);
  const guest = guestOf(entry);
  if (!guest.vifs.has(id[1])) {
    if (force) return;
    throw new XenopsError('Device_not_connected', []);
  }
  await core.backend.unplugVif(entry.id, id, force);
  guest.vifs.delete(id[1]);
  announceVif(core, id);
};

export const moveVif = async (
  core: Core,
  entry: VmEntry,
  id: DeviceId,
  bridge: string,
  work: Work,
): Promise<void> => {
  work.check();
  const vif = vifOfEntry(entry, id);
  if (isVifPlugged(entry, id[1])) {
    await core.backend.moveVif(entry.id, vif, bridge);
  }
  entry.vifs.set(id[1], { ...vif, backend: bridge });
  await noted(core, entry, () => announceVif(core, id));
};

export const lockVif = async (
  core: Core,
  entry: VmEntry,
  id: DeviceId,
  locking_mode: Vif['locking_mode'],
  work: Work,
): Promise<void> => {
  work.check();
  const vif = { ...vifOfEntry(entry, id), locking_mode };
  if (isVifPlugged(entry, id[1])) await core.backend.lockVif(entry.id, vif);
  entry.vifs.set(id[1], vif);
  await noted(core, entry, () => announceVif(core, id));
};

export const setVcpus = async (core: Core, entry: VmEntry, count: number, work: Work): Promise<void> => {
  work.check();
  if (count < 1 || count > entry.vm.vcpu_max)
    throw new XenopsError('Invalid_vcpus', [BigInt(entry.vm.vcpu_max)]);
  if (entry.guest !== undefined) {
    if (core.backend.setVcpus === undefined) throw new XenopsError('Unimplemented', ['VM.set_vcpus']);
    await core.backend.setVcpus(entry.id, count);
  }
  entry.vm = { ...entry.vm, vcpus: count };
  await noted(core, entry, () => announceVm(core, entry));
};

export const setMemory = async (
  core: Core,
  entry: VmEntry,
  minimum: bigint,
  maximum: bigint,
  work: Work,
): Promise<void> => {
  work.check();
  if (minimum > maximum || maximum > entry.vm.memory_static_max) {
    throw new XenopsError('Internal_error', [
      `the memory range ${minimum} to ${maximum} is not within the VM's own`,
    ]);
  }
  if (entry.guest !== undefined) {
    if (core.backend.setMemory === undefined) {
      throw new XenopsError('Unimplemented', ['VM.set_memory_dynamic_range']);
    }
    entry.guest.memoryActual = await core.backend.setMemory(entry.id, minimum, maximum);
  }
  entry.vm = { ...entry.vm, memory_dynamic_min: minimum, memory_dynamic_max: maximum };
  await noted(core, entry, () => announceVm(core, entry));
};
