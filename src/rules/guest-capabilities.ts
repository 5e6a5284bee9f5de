import { assumedCapabilities, type Capabilities, capabilitiesFrom } from '../drivers/capabilities.ts';
import type { RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Refusal } from '../objects/refusal.ts';
import type { View } from '../store/view.ts';
import { deviceNumberOf } from './device-numbers.ts';
import { isHvm } from './guest-devices.ts';
import { isTrue } from './guests.ts';

// What hypervisors can do, as their daemons declared it, held against what a VM asks for.

type VmRow = RecordNamed<'VM'>;

/** Of a host that is not known nothing is held against a VM. */
export const capabilitiesOn = (view: View, host: Ref<'host'>): Capabilities => {
  const row = view.get('host', host);
  return row === undefined ? assumedCapabilities : capabilitiesFrom(row.guest_capabilities);
};

/** Drives that a host itself may have, which are nobody's hardware. */
export const hostDrivesMax = 256;

/** How many drives the VM may have: those of a guest are at most what the best host of the pool gives it. */
export const drivePositions = (view: View, vm: VmRow): number =>
  vm.is_control_domain ? hostDrivesMax : mostPositions(view, 'vbdPositions');

/** How many positions there are on the host of the pool that has the most of them. */
export const mostPositions = (view: View, which: 'vifPositions' | 'vbdPositions'): number => {
  const counts = [...view.all('host')].map(([host]) => capabilitiesOn(view, host)[which]);
  return counts.length === 0 ? assumedCapabilities[which] : Math.max(...counts);
};

export const vifRefusal = (vif: RecordNamed<'VIF'>, able: Capabilities): Refusal | undefined =>
  Number(vif.device) < able.vifPositions ? undefined : ['INVALID_DEVICE', vif.device];

export const vbdRefusal = (vbd: RecordNamed<'VBD'>, vm: VmRow, able: Capabilities): Refusal | undefined => {
  if (vm.is_control_domain) return undefined;
  if (vbd.type === 'Floppy' && !able.floppies) {
    return ['VALUE_NOT_SUPPORTED', 'VBD.type', vbd.type, 'the hypervisor has no floppy drives'];
  }
  const position = deviceNumberOf(vbd.userdevice, isHvm(vm))?.disk ?? 0;
  return position < able.vbdPositions ? undefined : ['INVALID_DEVICE', vbd.userdevice];
};

const firmwareRefusal = (vm: VmRow, able: Capabilities): Refusal | undefined => {
  if (!isHvm(vm)) return undefined;
  const firmware = vm.HVM_boot_params.get('firmware') ?? 'bios';
  if (firmware !== 'bios' && firmware !== 'uefi') {
    return ['INVALID_VALUE', "HVM-boot-params['firmware']", firmware];
  }
  if (firmware === 'bios') return undefined;
  if (!able.uefi) {
    return ['VALUE_NOT_SUPPORTED', 'HVM_boot_params:firmware', firmware, 'the host has no UEFI firmware'];
  }
  const secure = vm.platform.get('secureboot');
  return isTrue(secure) && !able.secureBoot
    ? ['VALUE_NOT_SUPPORTED', 'platform:secureboot', secure ?? '', 'the hypervisor does not enforce it']
    : undefined;
};

const devicesRefusal = (view: View, vm: VmRow, able: Capabilities): Refusal | undefined => {
  const positions = new Set<number>();
  for (const ref of vm.VBDs) {
    const vbd = view.get('VBD', ref);
    if (vbd === undefined) continue;
    const refusal = vbdRefusal(vbd, vm, able);
    if (refusal !== undefined) return refusal;
    const position = deviceNumberOf(vbd.userdevice, isHvm(vm))?.disk ?? 0;
    if (positions.has(position) && !able.sharedPositions) {
      return ['VM_DUPLICATE_VBD_DEVICE', vm.uuid, ref, vbd.userdevice];
    }
    positions.add(position);
  }
  for (const ref of vm.VIFs) {
    const vif = view.get('VIF', ref);
    const refusal = vif && vifRefusal(vif, able);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
};

/** Why a VM cannot run on a hypervisor, other than for want of memory or of what the host is connected to. */
export const guestRefusal = (view: View, vm: VmRow, able: Capabilities): Refusal | undefined => {
  if (vm.VCPUs_max > BigInt(able.vcpus)) {
    const why = `the hypervisor gives a guest at most ${able.vcpus}`;
    return ['VALUE_NOT_SUPPORTED', 'VCPUs_max', String(vm.VCPUs_max), why];
  }
  if (vm.memory_static_max < BigInt(able.memoryBytesMin)) {
    return ['MEMORY_CONSTRAINT_VIOLATION', `memory_static_max >= ${able.memoryBytesMin}`];
  }
  // Without what it keeps in its module a guest does not find its way into its own disks.
  if (vm.VTPMs.length > 0 && !able.vtpm) {
    return ['VALUE_NOT_SUPPORTED', 'VTPMs', String(vm.VTPMs.length), 'the host serves no TPM: install swtpm'];
  }
  return firmwareRefusal(vm, able) ?? devicesRefusal(view, vm, able);
};
