import { type DeviceId, LIVE_DISKS } from '../drivers/hypervisor/hypervisor.ts';
import type { Ref } from '../model/types.ts';
import type { Services } from '../objects/services.ts';
import type { View } from '../store/view.ts';
import { vbdKey } from './guest-devices.ts';
import { drivesInUse } from './storage-rows.ts';

/** The drive by which a guest of this host writes to a disk, alone, while the guest is there. */
export const guestDrive = (view: View, vdi: Ref<'VDI'>, host: Ref<'host'>): DeviceId | undefined => {
  const [drive, other] = drivesInUse(view, view.require('VDI', vdi));
  if (drive === undefined || other !== undefined || drive.type !== 'Disk') return undefined;
  if (drive.mode !== 'RW') return undefined;
  const vm = view.get('VM', drive.VM);
  if (vm === undefined || vm.is_control_domain || vm.resident_on !== host) return undefined;
  const isThere = vm.power_state === 'Running' || vm.power_state === 'Paused';
  return isThere ? [vm.uuid, vbdKey(drive, vm)] : undefined;
};

/** Whether the hypervisor of this host can change what is under a disk while its guest runs. */
export const changesLive = async ({ hypervisor }: Services): Promise<boolean> =>
  (await hypervisor.query()).features.includes(LIVE_DISKS);
