// Where each device of a guest sits. A place follows from the position alone, never from the order of
// plugging, because a saved guest fits only a machine whose devices are where they were.
//
//   PCI slot 1, beside the board's own, the agent's line and the balloon, 2 display, 3 USB, 4 to 10 network
//   cards, 11 a bridge with more of them, 12 to 30 disks, 31 a SCSI controller with more of them;
//   IDE: CD drives and emulated disks
import { imageNode } from '../../../drivers/disk-image.ts';
import type { Vbd, Vif } from '../../../drivers/hypervisor/hypervisor.ts';
import { type Allowed, allowed, type Said, said } from '../../../std/allowed.ts';
import type { GuestDisk } from '../backend.ts';
import { notReleased, notSupported } from '../refusal.ts';

const BOARD_SLOT = 1;
export const DISPLAY_SLOT = 2;
export const USB_SLOT = 3;
const FIRST_VIF_SLOT = 4;
/** Cards beyond these sit behind the bridge. */
const DIRECT_VIFS_MAX = 7;
export const VIFS_MAX = 16;
const BRIDGE_SLOT = 11;
const FIRST_BRIDGED_SLOT = 1;
const FIRST_DISK_SLOT = 12;
/** Disks beyond these sit on the SCSI controller, which has 256 targets. */
const DIRECT_DISKS_MAX = 19;
export const DISKS_MAX = 255;
const CONTROLLER_SLOT = 31;
const IDE_MAX = 4;

/** The name of a device inside the emulator. */
export type DeviceName = `vbd${number}` | `vif${number}` | FixtureName;
/** What is no disk and no card: the machine's own, which the guest finds from its start on. */
export type FixtureName = 'bridge' | 'scsi' | 'agent' | 'balloon';
/** The name of what a device holds: its own, or one of a medium. */
export type NodeName = DeviceName | `${DeviceName}-medium${number}`;

/**
 * The name of an image under a disk, which another one may follow while the guest runs: they are counted
 * from 0, as what the disk began with.
 */
export const imageNodeName = (node: NodeName, count: number): Allowed =>
  allowed('text', `${node}-image${count}`, (why) => new Error(why));

/** What an image of this number stands on, where that was opened after the image was put on top. */
export const belowNodeName = (node: NodeName, count: number): Allowed =>
  allowed('text', `${node}-below${count}`, (why) => new Error(why));

/** A device as the state file keeps it. */
export interface Device {
  readonly key: string;
  readonly id: DeviceName;
  readonly kind: 'disk' | 'cd' | 'vif' | 'fixture';
  /** On IDE no device comes or goes while the guest runs. */
  readonly bus: 'pci' | 'bridge' | 'ide' | 'scsi';
  /** PCI slot, number of the IDE drive or SCSI target. */
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
    if (free === undefined) continue;
    taken.add(free);
    places.set(vbd, free);
  }
  return sorted.map((vbd) => vbdDevice(vbd, places.get(vbd)));
};

const isOnIde = (vbd: Vbd, flavour: Flavour): boolean =>
  vbd.ty === 'CDROM' || (flavour === 'emulated' && vbd.position < IDE_MAX && vbd.mode === 'ReadWrite');

/** Fixtures are devices as well, as a guest that was saved wants them back where they were. */
const fixture = (id: FixtureName, place: number): Device => ({
  key: '',
  id,
  kind: 'fixture',
  bus: 'pci',
  place,
});
export const bridge = fixture('bridge', BRIDGE_SLOT);
export const controller = fixture('scsi', CONTROLLER_SLOT);
/** A serial line by which an agent in the guest is spoken with. */
export const agent = fixture('agent', BOARD_SLOT);
export const balloon = fixture('balloon', BOARD_SLOT);
export const fixtures: readonly Device[] = [bridge, controller, agent, balloon];

/** The buses that devices sit on, where the machine does not have them by itself. */
export const fixturesFor = (devices: readonly Device[]): readonly Device[] => [
  ...[bridge, agent, balloon],
  ...(devices.some(({ bus }) => bus === 'scsi') ? [controller] : []),
];

/**
 * A guest is not saved or moved while it holds on to what was taken from it: nothing could be put there
 * again.
 */
export const stillHeld = ({ kind, key }: Device): Error =>
  notReleased(
    kind === 'vif' ? 'VIF' : 'VBD',
    key,
    'it was taken from the guest, which has not let go of it yet',
  );

export const isFixture = ({ kind }: Device): boolean => kind === 'fixture';

export const has = (devices: readonly Device[], { id }: Device): boolean =>
  devices.some((device) => device.id === id);

const QUEUES_MAX = 16;

/**
 * By itself the emulator gives a disk as many queues as there are processors at that moment, and a guest
 * that is saved with more does not fit. A guest that an earlier version started, which has no line for an
 * agent, has it so.
 */
export const queuesOf = (devices: readonly Device[], vcpusMax: number): number | undefined =>
  has(devices, agent) ? Math.min(vcpusMax, QUEUES_MAX) : undefined;

export const fixtureArguments = (device: Device, queues: number | undefined): Said => {
  switch (device.id) {
    case 'bridge':
      return said({ driver: 'pci-bridge', id: device.id, chassis_nr: 1, ...pciPlace(device) });
    case 'agent':
      return said({ driver: 'virtio-serial-pci', id: 'agent', bus: 'pci.0', addr: '0x1.4' });
    case 'balloon':
      return said({ driver: 'virtio-balloon-pci', id: 'balloon', bus: 'pci.0', addr: '0x1.5' });
    default:
      return said({
        ...{ driver: 'virtio-scsi-pci', id: device.id, ...pciPlace(device) },
        ...(queues !== undefined && { num_queues: queues }),
      });
  }
};

/** The device of a disk; without an IDE place it sits on PCI or, where that has no place for it, on SCSI. */
export const vbdDevice = (vbd: Vbd, idePlace?: number): Device => {
  const { position, ty } = vbd;
  if (ty === 'Floppy') throw notSupported('VBD.type', 'Floppy', 'this hypervisor has no floppy drives');
  checkPosition('VBD.userdevice', position, DISKS_MAX);
  const common = { key: vbd.id[1], id: `vbd${position}`, kind: ty === 'CDROM' ? 'cd' : 'disk' } as const;
  if (idePlace !== undefined) return { ...common, bus: 'ide', place: idePlace };
  return common.kind === 'disk' && position < DIRECT_DISKS_MAX
    ? { ...common, bus: 'pci', place: FIRST_DISK_SLOT + position }
    : { ...common, bus: 'scsi', place: position };
};

export const vifDevice = (vif: Vif): Device => {
  const { position } = vif;
  checkPosition('VIF.device', position, VIFS_MAX);
  const common = { key: vif.id[1], id: `vif${position}`, kind: 'vif' } as const;
  return position < DIRECT_VIFS_MAX
    ? { ...common, bus: 'pci', place: FIRST_VIF_SLOT + position }
    : { ...common, bus: 'bridge', place: FIRST_BRIDGED_SLOT + position - DIRECT_VIFS_MAX };
};

const checkPosition = (what: string, position: number, max: number): void => {
  if (Number.isInteger(position) && position >= 0 && position < max) return;
  throw notSupported(what, position, `positions are 0 to ${max - 1}`);
};

/** The disk, or the CD drive with or without a medium, as the guest sees it. */
export const driveArguments = (
  device: Device,
  node: NodeName | undefined,
  queues: number | undefined,
  bootIndex?: number,
): Said => {
  const common = {
    id: device.id,
    ...(node === undefined ? {} : { drive: node }),
    ...(bootIndex === undefined ? {} : { bootindex: bootIndex }),
  };
  if (device.bus === 'ide') {
    const driver = device.kind === 'cd' ? 'ide-cd' : 'ide-hd';
    const errors = device.kind === 'cd' ? {} : ON_ERROR;
    const place = { bus: `ide.${Math.floor(device.place / 2)}`, unit: device.place % 2 } as const;
    return said({ driver, ...common, ...errors, ...place });
  }
  if (device.bus === 'scsi') {
    const driver = device.kind === 'cd' ? 'scsi-cd' : 'scsi-hd';
    const errors = device.kind === 'cd' ? {} : ON_ERROR;
    const place = { bus: 'scsi.0', 'scsi-id': device.place, lun: 0 } as const;
    return said({ driver, ...common, ...errors, ...place });
  }
  const many = queues === undefined ? {} : { 'num-queues': queues };
  return said({ driver: 'virtio-blk-pci', ...common, ...many, ...ON_ERROR, ...pciPlace(device) });
};

/** Like a real disk, a failing one tells its guest; QEMU would rather stop the guest when space runs out. */
const ON_ERROR = { werror: 'report', rerror: 'report' } as const;

export const pciPlace = ({ bus, place }: Pick<Device, 'bus' | 'place'>) => ({
  // The bus of a bridge has the bridge's name.
  bus: bus === 'bridge' ? ('bridge' as const) : ('pci.0' as const),
  addr: allowed('pciSlot', `0x${place.toString(16)}`, (why) => new Error(why)),
});

/**
 * A node for a disk's bytes, as `blockdev-add` takes it. The outermost one does nothing: it is what the
 * device holds, so that the storage below can be taken away while the device is still there.
 */
export const blockNode = (
  node: NodeName,
  disk: GuestDisk & { readonly path: string },
  named?: (path: string) => string,
): Said =>
  said({
    driver: 'raw',
    'node-name': node,
    'read-only': disk.vbd.mode === 'ReadOnly' || disk.vbd.ty === 'CDROM',
    discard: 'unmap',
    file: imageNode(disk, named, imageNodeName(node, 0)),
  });

/** What a device holds whose storage was taken away: everything fails. */
export const deadNode = (node: NodeName): Said =>
  said({
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
): Said => {
  return said({
    driver: flavour === 'virtio' ? 'virtio-net-pci' : 'e1000',
    id: device.id,
    netdev: netdevOf(device),
    mac: allowed('macAddress', vif.mac, (why) => notSupported('VIF.MAC', vif.mac, why)),
    ...pciPlace(device),
    // The ROM boots from the network; without need of it, a machine without ROM files does as well.
    ...(boots ? {} : { romfile: '' }),
    ...(bootIndex === undefined ? {} : { bootindex: bootIndex }),
  });
};

export const netdevOf = (device: Device): `${DeviceName}-net` => `${device.id}-net`;
