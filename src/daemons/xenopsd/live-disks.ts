import {
  type DeviceId,
  type Vbd,
  type XenopsDisk,
  XenopsError,
} from '../../drivers/hypervisor/hypervisor.ts';
import { badPowerState, type Core } from './core.ts';
import { isUnsettled, leaveWith, openBeside, placeOfDisk, reopenDisk, settleDisks } from './disks.ts';
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
    // Noted before the guest has it: should the guest end in between, both are the same.
    const whole = async (): Promise<void> => {
      entry.vbds.set(id[1], vbd);
      await core.entries.save(entry);
    };
    await core.backend.mirrorVbd(entry.id, from, disk, { signal, progress: work.progress, whole });
  } catch (error) {
    await settledLater(core, entry, work.debugInfo);
    if (entry.vbds.get(id[1])?.backend?.[1] !== into[1] || isUnsettled(entry)) throw error;
    return;
  } finally {
    if (entry.cut === cut) entry.cut = undefined;
  }
  await leaveWith(core, entry, id[1], path, work.debugInfo).finally(() => core.updates.add(['Vbd', id]));
};

/** A guest that cannot be asked now is asked before the next work on it. */
const settledLater = (core: Core, entry: VmEntry, debugInfo: string): Promise<void> =>
  settleDisks(core, entry, debugInfo).catch((error: unknown) =>
    core.log.warn({ vm: entry.id, error }, 'which disk a guest has is not known yet'),
  );

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
