import type { Vbd, Vif, XenopsDisk } from '../drivers/hypervisor/hypervisor.ts';
import type { RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { View } from '../store/view.ts';
import { deviceNumberOf, linuxDevice } from './device-numbers.ts';

// Rows of drives and network cards as the hypervisor takes them.

/** Emulated firmware or a kernel of its own: it decides where disks with low numbers sit. */
export const isHvm = (vm: RecordNamed<'VM'>): boolean =>
  vm.domain_type === 'unspecified' ? vm.HVM_boot_policy !== '' : vm.domain_type === 'hvm';

/** A disk by the repository it is in and its name there. */
export const xenopsDisk = (view: View, vdi: Ref<'VDI'>): XenopsDisk => {
  const { SR, location } = view.require('VDI', vdi);
  return ['VDI', `${view.require('SR', SR).uuid}/${location}`];
};

/** The key by which the hypervisor knows a drive: the name a Linux guest would give it. */
export const vbdKey = (vbd: RecordNamed<'VBD'>, vm: RecordNamed<'VM'>): string => {
  const number = deviceNumberOf(vbd.userdevice, isHvm(vm));
  if (number === undefined || number.disk < 0) throw new Fault('INVALID_DEVICE', [vbd.userdevice]);
  return linuxDevice(number);
};

const types = { Disk: 'Disk', CD: 'CDROM', Floppy: 'Floppy' } as const;

export const vbdForGuest = (view: View, vbd: RecordNamed<'VBD'>, vm: RecordNamed<'VM'>): Vbd => {
  const vdi = vbd.empty ? undefined : view.get('VDI', vbd.VDI);
  return {
    id: [vm.uuid, vbdKey(vbd, vm)],
    position: deviceNumberOf(vbd.userdevice, isHvm(vm))?.disk ?? 0,
    mode: vbd.mode === 'RW' ? 'ReadWrite' : 'ReadOnly',
    ...(vbd.empty ? {} : { backend: xenopsDisk(view, vbd.VDI) }),
    ty: types[vbd.type],
    unpluggable: vbd.unpluggable,
    persistent: vdi?.on_boot !== 'reset',
  };
};

export const vifKey = (vif: RecordNamed<'VIF'>): string => vif.device;

const lockingOf = (view: View, vif: RecordNamed<'VIF'>): Vif['locking_mode'] => {
  const mode =
    vif.locking_mode === 'network_default'
      ? (view.get('network', vif.network)?.default_locking_mode ?? 'unlocked')
      : vif.locking_mode;
  if (mode === 'locked') return { ipv4: vif.ipv4_allowed, ipv6: vif.ipv6_allowed };
  return mode === 'disabled' ? 'Disabled' : 'Unlocked';
};

export const vifForGuest = (view: View, vif: RecordNamed<'VIF'>, vm: RecordNamed<'VM'>): Vif => {
  const network = view.require('network', vif.network);
  return {
    id: [vm.uuid, vifKey(vif)],
    position: Number(vif.device),
    mac: vif.MAC,
    carrier: true,
    mtu: Number(network.MTU),
    backend: network.bridge,
    other_config: vif.other_config,
    locking_mode: lockingOf(view, vif),
  };
};
