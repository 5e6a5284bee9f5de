import { type DeviceId, LIVE_DISKS } from '../drivers/hypervisor/hypervisor.ts';
import type { RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import { isLive } from '../objects/places.ts';
import type { Services } from '../objects/services.ts';
import type { View } from '../store/view.ts';
import { vbdKey } from './guest-devices.ts';
import { drivesInUse, hostOfSr, pbdOf } from './storage-rows.ts';

/** The drive by which a guest writes to a disk, alone, while the guest is there. */
const writer = (
  view: View,
  vdi: RecordNamed<'VDI'>,
): { readonly drive: RecordNamed<'VBD'>; readonly vm: RecordNamed<'VM'> } | undefined => {
  const [drive, other] = drivesInUse(view, vdi);
  if (drive === undefined || other !== undefined || drive.type !== 'Disk') return undefined;
  const vm = view.get('VM', drive.VM);
  if (drive.mode !== 'RW' || vm === undefined || vm.is_control_domain) return undefined;
  return vm.power_state === 'Running' || vm.power_state === 'Paused' ? { drive, vm } : undefined;
};

/** The same as the hypervisor of its host knows it, if that is this host. */
export const guestDrive = (view: View, vdi: Ref<'VDI'>, host: Ref<'host'>): DeviceId | undefined => {
  const found = writer(view, view.require('VDI', vdi));
  if (found === undefined || found.vm.resident_on !== host) return undefined;
  return [found.vm.uuid, vbdKey(found.drive, found.vm)];
};

/**
 * The host that does the work of a disk: that of its repository, or of several that have it the one whose
 * guest writes to the disk, as the emulator there has a part in it.
 */
export const hostOfDisk = (view: View, vdi: RecordNamed<'VDI'>): Ref<'host'> | undefined => {
  const usual = hostOfSr(view, vdi.SR);
  if (usual !== undefined) return usual;
  const there = writer(view, vdi)?.vm.resident_on;
  if (there === undefined || !isLive(view, there)) return undefined;
  return pbdOf(view, vdi.SR, there) === undefined ? undefined : there;
};

/** Whether the hypervisor of this host can change what is under a disk while its guest runs. */
export const changesLive = async ({ hypervisor }: Services): Promise<boolean> =>
  (await hypervisor.query()).features.includes(LIVE_DISKS);
