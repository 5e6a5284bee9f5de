// Vbd.t and Vif.t as rpclib writes them, both ways; `xenops-types.ts` says what readers take.

import { variant, variantOf } from '../../codec/rpclib.ts';
import type { DeviceState, Vbd, VbdState, Vif } from '../../drivers/hypervisor/hypervisor.ts';
import { boolOf, listOf, member, optional, required, stringOf, tupleOf } from '../../std/reader.ts';
import { type Struct, struct, type Value } from '../../std/value.ts';
import { deviceIdOf, diskOf, diskValue, mapOf, nameOf, numberOf, present } from './values.ts';

/** How many disks of an HVM guest are on its IDE bus, where a BIOS finds them. */
const IDE_DISKS_MAX = 4;

const busOf = (vbd: Vbd, hvm: boolean): 'Xen' | 'Floppy' | 'Ide' => {
  if (vbd.ty === 'Floppy') return 'Floppy';
  return vbd.id[1].startsWith('hd') || (hvm && vbd.position < IDE_DISKS_MAX) ? 'Ide' : 'Xen';
};

/** `hvm` says whether the guest is one; a disk that is added alone is known by its key (`hda`, `xvda`). */
export const vbdValue = (vbd: Vbd, hvm = false): Struct =>
  struct({
    id: vbd.id,
    position: [busOf(vbd, hvm), BigInt(vbd.position), 0n],
    mode: vbd.mode,
    backend: vbd.backend === undefined ? undefined : diskValue(vbd.backend),
    ty: vbd.ty,
    unpluggable: vbd.unpluggable,
    extra_backend_keys: new Map(),
    extra_private_keys: new Map(),
    persistent: vbd.persistent,
    can_attach_early: false,
  });

export const vbdOf = (value: Value): Vbd => ({
  id: required(value, 'id', deviceIdOf),
  position:
    optional(value, 'position', (place) => numberOf(tupleOf(place, 3, 'position')[1] ?? 0n, 'position')) ?? 0,
  mode: nameOf(member(value, 'mode'), ['ReadOnly', 'ReadWrite'], 'mode'),
  ...present({ backend: optional(value, 'backend', diskOf) }),
  ty: nameOf(member(value, 'ty'), ['CDROM', 'Disk', 'Floppy'], 'ty'),
  unpluggable: optional(value, 'unpluggable', boolOf) ?? true,
  persistent: optional(value, 'persistent', boolOf) ?? true,
});

export const lockingValue = (mode: Vif['locking_mode']): Value =>
  typeof mode === 'string' ? mode : variant('Locked', struct({ ...mode }));

export const vifValue = (vif: Vif): Struct =>
  struct({
    id: vif.id,
    position: BigInt(vif.position),
    mac: vif.mac,
    carrier: vif.carrier,
    mtu: BigInt(vif.mtu),
    backend: ['Local', vif.backend],
    other_config: vif.other_config,
    locking_mode: lockingValue(vif.locking_mode),
    extra_private_keys: new Map(),
    ipv4_configuration: 'Unspecified4',
    ipv6_configuration: 'Unspecified6',
    trunks: [],
  });

export const lockingOf = (value: Value): Vif['locking_mode'] => {
  const mode = nameOf(value, ['Unlocked', 'Disabled', 'Locked'], 'locking_mode');
  if (mode !== 'Locked') return mode;
  const { payload = null } = variantOf(value, 'locking_mode');
  const addresses = (name: string): readonly string[] =>
    required(payload, name, listOf).map((address) => stringOf(address, name));
  return { ipv4: addresses('ipv4'), ipv6: addresses('ipv6') };
};

/** The bridge of a network on this host; the other kinds of back end have none. */
export const bridgeOf = (value: Value): string => {
  nameOf(value, ['Local'], 'the backend of a VIF');
  return stringOf(variantOf(value).payload ?? '', 'the backend of a VIF');
};

export const vifOf = (value: Value): Vif => ({
  id: required(value, 'id', deviceIdOf),
  position: required(value, 'position', numberOf),
  mac: required(value, 'mac', stringOf),
  carrier: required(value, 'carrier', boolOf),
  mtu: required(value, 'mtu', numberOf),
  backend: required(value, 'backend', bridgeOf),
  other_config: required(value, 'other_config', mapOf),
  locking_mode: required(value, 'locking_mode', lockingOf),
});

export const deviceStateOf = (value: Value): DeviceState => ({
  active: required(value, 'active', boolOf),
  plugged: required(value, 'plugged', boolOf),
});

export const vbdStateOf = (value: Value): VbdState => ({
  ...deviceStateOf(value),
  ...present({ disk: optional(value, 'backend_present', diskOf) }),
});

export const vbdStateValue = (state: DeviceState, vbd: Vbd): Struct =>
  struct({
    active: state.active,
    plugged: state.plugged,
    backend_present: vbd.backend === undefined ? undefined : diskValue(vbd.backend),
  });

export const vifStateValue = (state: DeviceState, vif: Vif): Struct =>
  struct({
    active: state.active,
    plugged: state.plugged,
    kthread_pid: 0n,
    media_present: vif.carrier,
    pvs_rules_active: false,
  });
