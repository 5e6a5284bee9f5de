import {
  type DeviceId,
  type Vbd,
  type XenopsDisk,
  XenopsError,
} from '../../drivers/hypervisor/hypervisor.ts';
import { badPowerState, type Core, noted } from './core.ts';
import { giveBack, leaveWith, openBeside, placeOfDisk, reopenDisk } from './disks.ts';
import type { Work } from './tasks.ts';
import { type VmEntry, vbdOfEntry } from './vm-entries.ts';

// What is under a disk of a guest changes while the guest runs: the toolstack's own calls, beside those that
// the interface has.

/** A disk that the guest has now. */
const plugged = (entry: VmEntry, id: DeviceId): Vbd => {
  const vbd = vbdOfEntry(entry, id);
  if (entry.guest === undefined) throw badPowerState(entry, 'Running');
  if (!entry.guest.vbds.has(id[1])) throw new XenopsError('Device_not_connected', []);
  if (vbd.ty !== 'Disk') throw new XenopsError('Unimplemented', ['disks alone have images that change']);
  return vbd;
};

/** The storage says anew where the disk is, which is an image on top of the one that the guest has. */
export const overlay = async (core: Core, entry: VmEntry, id: DeviceId, work: Work): Promise<void> => {
  work.check();
  const vbd = plugged(entry, id);
  const disk = await reopenDisk(core, entry, vbd, work.debugInfo);
  await core.backend.overlayVbd(entry.id, disk);
};

export const mirror = async (
  core: Core,
  entry: VmEntry,
  id: DeviceId,
  into: XenopsDisk,
  work: Work,
): Promise<void> => {
  work.check();
  const before = plugged(entry, id);
  const vbd: Vbd = { ...before, backend: into };
  const from = await placeOfDisk(core, entry, before, work.debugInfo);
  const { disk, path } = await openBeside(core, entry, vbd, work.debugInfo);
  // Power that is cut does not wait for a copy.
  const cut = new AbortController();
  entry.cut = cut;
  try {
    const signal = AbortSignal.any([work.signal, cut.signal]);
    await core.backend.mirrorVbd(entry.id, from, disk, { signal, progress: work.progress });
  } catch (error) {
    await giveBack(core, entry, path, work.debugInfo);
    throw error;
  } finally {
    if (entry.cut === cut) entry.cut = undefined;
  }
  entry.vbds.set(id[1], vbd);
  await noted(core, entry, () => core.updates.add(['Vbd', id]));
  await leaveWith(core, entry, id[1], path, work.debugInfo);
};

export const grow = async (
  core: Core,
  entry: VmEntry,
  id: DeviceId,
  sizeBytes: bigint,
  work: Work,
): Promise<void> => {
  work.check();
  plugged(entry, id);
  await core.backend.growVbd(entry.id, id, sizeBytes);
};
