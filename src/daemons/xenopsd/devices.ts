import {
  type DeviceId,
  type Vbd,
  type Vif,
  type XenopsDisk,
  XenopsError,
} from '../../drivers/hypervisor/hypervisor.ts';
import type { DeviceState } from '../../rpc/xenops/devices.ts';
import { announceVm, badPowerState, type Core } from './core.ts';
import { closeDisk, openDisk } from './disks.ts';
import { type LiveGuest, type Machine, vbdOfMachine, vifOfMachine } from './machines.ts';
import type { Work } from './tasks.ts';

// Disks and network cards of one VM. Its queue has let the operation in. Of a VM that has no guest only
// the description changes: the next start takes the devices from there.

const guestOf = (machine: Machine): LiveGuest => {
  if (machine.guest === undefined) throw badPowerState(machine, 'Running');
  return machine.guest;
};

const isVbdPlugged = (machine: Machine, device: string): boolean => machine.guest?.vbds.has(device) ?? false;
const isVifPlugged = (machine: Machine, device: string): boolean => machine.guest?.vifs.has(device) ?? false;

export const vbdState = (machine: Machine, device: string): DeviceState => {
  const plugged = isVbdPlugged(machine, device);
  return { active: plugged, plugged };
};

export const vifState = (machine: Machine, device: string): DeviceState => {
  const plugged = isVifPlugged(machine, device);
  return { active: plugged, plugged };
};

const announceVbd = (core: Core, id: DeviceId): void => core.updates.add(['Vbd', id]);
const announceVif = (core: Core, id: DeviceId): void => core.updates.add(['Vif', id]);

export const addVbd = async (core: Core, machine: Machine, vbd: Vbd): Promise<void> => {
  const device = vbd.id[1];
  if (isVbdPlugged(machine, device)) throw new XenopsError('Already_exists', ['vbd', device]);
  machine.vbds.set(device, vbd);
  await core.machines.save(machine);
  announceVbd(core, vbd.id);
};

export const removeVbd = async (core: Core, machine: Machine, id: DeviceId): Promise<void> => {
  if (isVbdPlugged(machine, id[1])) throw new XenopsError('Device_is_connected', []);
  machine.vbds.delete(id[1]);
  await core.machines.save(machine);
  core.updates.gone(['Vbd', id]);
};

/** Plugging what is plugged succeeds. */
export const plugVbd = async (core: Core, machine: Machine, id: DeviceId, work: Work): Promise<void> => {
  work.check();
  const vbd = vbdOfMachine(machine, id);
  const guest = guestOf(machine);
  if (guest.vbds.has(id[1])) return;
  const disk = await openDisk(core, machine, vbd, machine.domid ?? 0, work.debugInfo);
  try {
    work.check();
    await core.backend.plugVbd(machine.id, disk);
  } catch (error) {
    await closeDisk(core, machine, id[1], work.debugInfo);
    throw error;
  }
  guest.vbds.add(id[1]);
  announceVbd(core, id);
};

export const unplugVbd = async (
  core: Core,
  machine: Machine,
  id: DeviceId,
  force: boolean,
  work: Work,
): Promise<void> => {
  work.check();
  const vbd = vbdOfMachine(machine, id);
  const guest = guestOf(machine);
  if (!guest.vbds.has(id[1])) {
    if (force) return;
    throw new XenopsError('Device_not_connected', []);
  }
  if (!vbd.unpluggable && !force) {
    throw new XenopsError('Device_detach_rejected', ['VBD', id[1], 'The disk is marked as not unpluggable']);
  }
  await core.backend.unplugVbd(machine.id, id, force);
  guest.vbds.delete(id[1]);
  await closeDisk(core, machine, id[1], work.debugInfo);
  announceVbd(core, id);
};

export const insertVbd = async (
  core: Core,
  machine: Machine,
  id: DeviceId,
  disk: XenopsDisk,
  work: Work,
): Promise<void> => {
  work.check();
  const drive = vbdOfMachine(machine, id);
  if (drive.ty === 'Disk') throw new XenopsError('Media_not_ejectable', []);
  if (drive.backend !== undefined) throw new XenopsError('Media_present', []);
  const filled: Vbd = { ...drive, backend: disk };
  if (isVbdPlugged(machine, id[1])) {
    const medium = await openDisk(core, machine, filled, machine.domid ?? 0, work.debugInfo);
    try {
      await core.backend.changeMedium(machine.id, id, medium);
    } catch (error) {
      await closeDisk(core, machine, id[1], work.debugInfo);
      throw error;
    }
  }
  machine.vbds.set(id[1], filled);
  await core.machines.save(machine);
  announceVbd(core, id);
};

export const ejectVbd = async (core: Core, machine: Machine, id: DeviceId, work: Work): Promise<void> => {
  work.check();
  const { backend, ...empty } = vbdOfMachine(machine, id);
  if (empty.ty === 'Disk') throw new XenopsError('Media_not_ejectable', []);
  if (backend === undefined) throw new XenopsError('Media_not_present', []);
  const plugged = isVbdPlugged(machine, id[1]);
  if (plugged) await core.backend.changeMedium(machine.id, id, undefined);
  machine.vbds.set(id[1], empty);
  if (plugged) await closeDisk(core, machine, id[1], work.debugInfo);
  else await core.machines.save(machine);
  announceVbd(core, id);
};

export const addVif = async (core: Core, machine: Machine, vif: Vif): Promise<void> => {
  const device = vif.id[1];
  if (isVifPlugged(machine, device)) throw new XenopsError('Already_exists', ['vif', device]);
  machine.vifs.set(device, vif);
  await core.machines.save(machine);
  announceVif(core, vif.id);
};

export const removeVif = async (core: Core, machine: Machine, id: DeviceId): Promise<void> => {
  if (isVifPlugged(machine, id[1])) throw new XenopsError('Device_is_connected', []);
  machine.vifs.delete(id[1]);
  await core.machines.save(machine);
  core.updates.gone(['Vif', id]);
};

/** Plugging what is plugged succeeds. */
export const plugVif = async (core: Core, machine: Machine, id: DeviceId, work: Work): Promise<void> => {
  work.check();
  const vif = vifOfMachine(machine, id);
  const guest = guestOf(machine);
  if (guest.vifs.has(id[1])) return;
  await core.backend.plugVif(machine.id, vif);
  guest.vifs.add(id[1]);
  announceVif(core, id);
};

export const unplugVif = async (
  core: Core,
  machine: Machine,
  id: DeviceId,
  force: boolean,
  work: Work,
): Promise<void> => {
  work.check();
  vifOfMachine(machine, id);
  const guest = guestOf(machine);
  if (!guest.vifs.has(id[1])) {
    if (force) return;
    throw new XenopsError('Device_not_connected', []);
  }
  await core.backend.unplugVif(machine.id, id, force);
  guest.vifs.delete(id[1]);
  announceVif(core, id);
};

export const moveVif = async (
  core: Core,
  machine: Machine,
  id: DeviceId,
  bridge: string,
  work: Work,
): Promise<void> => {
  work.check();
  const vif = vifOfMachine(machine, id);
  if (isVifPlugged(machine, id[1])) {
    await core.backend.moveVif(machine.id, vif, bridge);
  }
  machine.vifs.set(id[1], { ...vif, backend: bridge });
  await core.machines.save(machine);
  announceVif(core, id);
};

export const lockVif = async (
  core: Core,
  machine: Machine,
  id: DeviceId,
  locking_mode: Vif['locking_mode'],
  work: Work,
): Promise<void> => {
  work.check();
  const vif = { ...vifOfMachine(machine, id), locking_mode };
  if (isVifPlugged(machine, id[1])) await core.backend.lockVif(machine.id, vif);
  machine.vifs.set(id[1], vif);
  await core.machines.save(machine);
  announceVif(core, id);
};

export const setVcpus = async (core: Core, machine: Machine, count: number, work: Work): Promise<void> => {
  work.check();
  if (count < 1 || count > machine.vm.vcpu_max)
    throw new XenopsError('Invalid_vcpus', [BigInt(machine.vm.vcpu_max)]);
  if (machine.guest !== undefined) {
    if (core.backend.setVcpus === undefined) throw new XenopsError('Unimplemented', ['VM.set_vcpus']);
    await core.backend.setVcpus(machine.id, count);
  }
  machine.vm = { ...machine.vm, vcpus: count };
  await core.machines.save(machine);
  announceVm(core, machine);
};

export const setMemory = async (
  core: Core,
  machine: Machine,
  minimum: bigint,
  maximum: bigint,
  work: Work,
): Promise<void> => {
  work.check();
  if (minimum > maximum || maximum > machine.vm.memory_static_max) {
    throw new XenopsError('Internal_error', [
      `the memory range ${minimum} to ${maximum} is not within the VM's own`,
    ]);
  }
  if (machine.guest !== undefined) {
    if (core.backend.setMemory === undefined) {
      throw new XenopsError('Unimplemented', ['VM.set_memory_dynamic_range']);
    }
    machine.guest.memoryActual = await core.backend.setMemory(machine.id, minimum, maximum);
  }
  machine.vm = { ...machine.vm, memory_dynamic_min: minimum, memory_dynamic_max: maximum };
  await core.machines.save(machine);
  announceVm(core, machine);
};
