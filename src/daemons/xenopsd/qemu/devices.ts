// Where each device of a guest sits. A place follows from the position alone, never from the order of
// plugging, because a saved guest fits only a machine whose devices are where they were.
//
//   PCI slot 2 display, 3 USB, 4 to 11 network cards, 12 to 31 disks; IDE: CD drives and emulated disks
import { imageNode } from '../../../drivers/disk-image.ts';
import type { Vbd, Vif } from '../../../drivers/hypervisor/hypervisor.ts';
import type { GuestDisk } from '../backend.ts';

export const DISPLAY_SLOT = 2;
export const USB_SLOT = 3;
const FIRST_VIF_SLOT = 4;
const VIFS_MAX = 8;
const FIRST_DISK_SLOT = 12;
const DISKS_MAX = 20;
const IDE_MAX = 4;

/** A device as the state file keeps it. `id` is its name inside the emulator. */
export interface Device {
  readonly key: string;
  readonly id: string;
  readonly kind: 'disk' | 'cd' | 'vif';
  /** Only on PCI can devices come and go while the guest runs. */
  readonly bus: 'pci' | 'ide';
  /** PCI slot, or number of the IDE drive. */
  readonly place: number;
  /** Its backend was taken by force; the guest has not let go of it yet. */
  readonly isDead?: boolean;
}

/** What a guest's devices look like to it: `virtio` needs drivers that Linux has and Windows lacks. */
export type Flavour = 'virtio' | 'emulated';

export const vbdDevices = (vbds: readonly Vbd[], flavour: Flavour): Device[] => {
  const taken = new Set<number>();
  const sorted = [...vbds].sort((one, other) => one.position - other.position);
  const ide = sorted.filter((vbd) => isOnIde(vbd, flavour));
  // Positions that name an IDE drive get it; the rest fill up what is left.
  const first = ide.filter((vbd) => vbd.position < IDE_MAX);
  const places = new Map<Vbd, number>();
  for (const vbd of [...first, ...ide.filter((other) => !first.includes(other))]) {
    const free = [vbd.position, 0, 1, 2, 3].find((place) => place < IDE_MAX && !taken.has(place));
    if (free === undefined) throw new Error(`a guest has at most ${IDE_MAX} CD drives and emulated disks`);
    taken.add(free);
    places.set(vbd, free);
  }
  return sorted.map((vbd) => vbdDevice(vbd, places.get(vbd)));
};

const isOnIde = (vbd: Vbd, flavour: Flavour): boolean =>
  vbd.ty === 'CDROM' || (flavour === 'emulated' && vbd.position < IDE_MAX && vbd.mode === 'ReadWrite');

/** The device of a disk; without an IDE place it sits on PCI. */
export const vbdDevice = (vbd: Vbd, idePlace?: number): Device => {
  const { position, ty } = vbd;
  if (ty === 'Floppy') throw new Error('floppy drives are not supported by this hypervisor');
  checkPosition('disk', position, idePlace === undefined ? DISKS_MAX : Number.MAX_SAFE_INTEGER);
  const common = { key: vbd.id[1], id: `vbd${position}`, kind: ty === 'CDROM' ? 'cd' : 'disk' } as const;
  return idePlace === undefined
    ? { ...common, bus: 'pci', place: FIRST_DISK_SLOT + position }
    : { ...common, bus: 'ide', place: idePlace };
};

export const vifDevice = (vif: Vif): Device => {
  checkPosition('network interface', vif.position, VIFS_MAX);
  return {
    key: vif.id[1],
    id: `vif${vif.position}`,
    kind: 'vif',
    bus: 'pci',
    place: FIRST_VIF_SLOT + vif.position,
  };
};

const checkPosition = (what: string, position: number, max: number): void => {
  if (Number.isInteger(position) && position >= 0 && position < max) return;
  throw new Error(`${what} ${position}: positions are 0 to ${max - 1}`);
};

/** The disk, or the CD drive with or without a medium, as the guest sees it. */
export const driveArguments = (device: Device, node: string | undefined, bootIndex?: number): object => {
  const common = {
    id: device.id,
    ...(node === undefined ? {} : { drive: node }),
    ...(bootIndex === undefined ? {} : { bootindex: bootIndex }),
  };
  if (device.bus === 'ide') {
    const driver = device.kind === 'cd' ? 'ide-cd' : 'ide-hd';
    const errors = device.kind === 'cd' ? {} : ON_ERROR;
    const place = { bus: `ide.${Math.floor(device.place / 2)}`, unit: device.place % 2 };
    return { driver, ...common, ...errors, ...place };
  }
  return { driver: 'virtio-blk-pci', ...common, ...ON_ERROR, ...pciPlace(device.place) };
};

/** Like a real disk, a failing one tells its guest; QEMU would rather stop the guest when space runs out. */
const ON_ERROR = { werror: 'report', rerror: 'report' };

export const pciPlace = (slot: number): object => ({ bus: 'pci.0', addr: `0x${slot.toString(16)}` });

/**
 * A node for a disk's bytes, as `blockdev-add` takes it. The outermost one does nothing: it is what the
 * device holds, so that the storage below can be taken away while the device is still there.
 */
export const blockNode = (node: string, disk: GuestDisk & { readonly path: string }): object => ({
  driver: 'raw',
  'node-name': node,
  'read-only': disk.vbd.mode === 'ReadOnly' || disk.vbd.ty === 'CDROM',
  discard: 'unmap',
  file: imageNode(disk),
});

/** What a device holds whose storage was taken away: everything fails. */
export const deadNode = (node: string): object => ({
  driver: 'blkdebug',
  'node-name': `${node}-dead`,
  image: { driver: 'null-co', size: 512 },
  'inject-error': [{ event: 'none', errno: 5, once: false }],
});

export const cardArguments = (
  device: Device,
  vif: Vif,
  flavour: Flavour,
  boots: boolean,
  bootIndex?: number,
): object => {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(vif.mac)) {
    throw new Error(`network interface ${device.key} has ${JSON.stringify(vif.mac)} as its MAC address`);
  }
  return {
    driver: flavour === 'virtio' ? 'virtio-net-pci' : 'e1000',
    id: device.id,
    netdev: netdevOf(device),
    mac: vif.mac,
    ...pciPlace(device.place),
    // The ROM boots from the network; without need of it, a machine without ROM files does as well.
    ...(boots ? {} : { romfile: '' }),
    ...(bootIndex === undefined ? {} : { bootindex: bootIndex }),
  };
};

export const netdevOf = (device: Device): string => `${device.id}-net`;
