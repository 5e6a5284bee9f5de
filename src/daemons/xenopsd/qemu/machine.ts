// The command line of a guest's emulator, as a list. What came from outside goes in as JSON, or as an
// argument of its own, or with its commas doubled: it can never become another option.
import type { Vm } from '../../../drivers/hypervisor/hypervisor.ts';
import { own } from '../../../std/own.ts';
import type { GuestSpec } from '../backend.ts';
import { notSupported } from '../refusal.ts';
import {
  blockNode,
  busArguments,
  busesFor,
  cardArguments,
  type Device,
  DISPLAY_SLOT,
  driveArguments,
  type Flavour,
  isBus,
  pciPlace,
  USB_SLOT,
  vbdDevices,
  vifDevice,
} from './devices.ts';
import type { Emulator, Firmware } from './emulator.ts';
import { fileNames } from './folder.ts';
import type { Handed } from './guest-users.ts';
import type { Wire } from './wiring.ts';

const MIB = 1024n * 1024n;
export const VCPUS_MAX = 255;
/** Its firmware does not start with less. */
export const MEMORY_MIB_MIN = 4n;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export interface Machine {
  readonly spec: GuestSpec;
  /** What the process is called, and known again by. */
  readonly name: string;
  readonly emulator: Emulator;
  readonly firmware: Firmware | undefined;
  readonly devices: readonly Device[];
  /** One for each network interface, in the order of the specification. */
  readonly wires: readonly Wire[];
  readonly flavour: Flavour;
  /** Wait to be told where memory comes from. */
  readonly isIncoming: boolean;
  readonly nowMs: number;
  /** Set where the emulator inherits its disks, as it may not open them. */
  readonly handed?: Pick<Handed, 'arguments' | 'named'> | undefined;
}

/** `qemu-devices` in the platform decides; without it, what is set up for Windows gets emulated ones. */
export const flavourOf = (vm: Vm): Flavour => {
  const wanted = vm.platformdata.get('qemu-devices');
  if (wanted === 'virtio' || wanted === 'emulated') return wanted;
  if (wanted !== undefined) throw notSupported('platform:qemu-devices', wanted, 'it is virtio or emulated');
  return vm.platformdata.get('viridian') === 'true' ? 'emulated' : 'virtio';
};

/** The devices of a specification; refuses two of one key or at one place. */
export const devicesOf = (spec: GuestSpec): Device[] => {
  const vbds = vbdDevices(
    spec.disks.map((disk) => disk.vbd),
    flavourOf(spec.vm),
  );
  const devices = [...vbds, ...spec.vifs.map(vifDevice)];
  const twice = devices.find(({ id }, index) => devices.findIndex((one) => one.id === id) < index);
  if (twice !== undefined) {
    const setting = twice.kind === 'vif' ? 'VIF.device' : 'VBD.userdevice';
    throw notSupported(setting, twice.key, 'another device of the guest has the same position');
  }
  return [...busesFor(devices), ...devices];
};

export const bootsFromNetwork = (vm: Vm): boolean =>
  vm.boot.type === 'HVM' && vm.boot.boot_order.includes('n');

export const memoryMib = (vm: Vm): bigint => {
  const mib = vm.memory_static_max / MIB;
  if (mib < MEMORY_MIB_MIN) {
    throw notSupported('memory_static_max', vm.memory_static_max, `the least is ${MEMORY_MIB_MIN} MiB`);
  }
  return mib;
};

export const commandLine = (machine: Machine): string[] => [
  ...['-name', machine.name, '-nodefaults', '-no-user-config', '-S', ...machine.emulator.sandbox],
  ...base(machine),
  ...processor(machine),
  ...identity(machine.spec.vm),
  ...kernel(machine.spec.vm),
  ...firmwareFlash(machine),
  ...channels(),
  ...display(machine.spec.vm),
  ...machine.devices.filter(isBus).flatMap((device) => json('-device', busArguments(device))),
  ...(machine.handed?.arguments ?? []),
  ...drives(machine),
  ...cards(machine),
  ...(machine.isIncoming ? ['-incoming', 'defer'] : []),
];

const base = ({ spec, emulator, nowMs, firmware }: Machine): string[] => {
  const { boot } = spec.vm;
  const acpi = boot.type === 'HVM' && !boot.acpi ? ',acpi=off' : '';
  const flash = firmware ? ',pflash0=firmware-code,pflash1=firmware-variables' : '';
  // Whatever ends the guest leaves it standing where it ended, so that a daemon that was away finds it.
  const ends = 'reboot=shutdown,shutdown=pause,panic=pause';
  return [
    ...['-machine', `${emulator.machine},usb=off,dump-guest-core=off${acpi}${flash}`],
    ...['-accel', emulator.accelerator, '-m', `${memoryMib(spec.vm)}M`, '-action', ends],
    ...['-boot', 'menu=off,strict=on', '-rtc', `base=${clockBase(boot, nowMs)}`],
    ...['-device', 'pvpanic'],
  ];
};

/** The guest's clock is UTC, moved by as many seconds as its time offset says. */
const clockBase = (boot: Vm['boot'], nowMs: number): string => {
  const offset = boot.type === 'HVM' ? Number(boot.timeoffset) : 0;
  if (!Number.isSafeInteger(offset)) return 'utc';
  return offset === 0 ? 'utc' : new Date(nowMs + offset * 1000).toISOString().slice(0, 19);
};

const processor = ({ spec: { vm }, emulator }: Machine): string[] => {
  const { vcpus, vcpu_max: most } = vm;
  const fits = [vcpus, most].every((count) => Number.isInteger(count) && count >= 1 && count <= VCPUS_MAX);
  if (!fits || vcpus > most) throw notSupported('VCPUs_max', most, `a guest has 1 to ${VCPUS_MAX} VCPUs`);
  const perSocket = Number(vm.platformdata.get('cores-per-socket') ?? 1);
  const cores = Number.isInteger(perSocket) && perSocket >= 1 && most % perSocket === 0 ? perSocket : 1;
  const topology = `cpus=${vcpus},maxcpus=${most},sockets=${most / cores},cores=${cores},threads=1`;
  const isWindows = vm.platformdata.get('viridian') === 'true';
  const hyperV = isWindows ? ',hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-time=on' : '';
  return ['-smp', topology, '-cpu', emulator.accelerator === 'kvm' ? `host${hyperV}` : 'max'];
};

/** BIOS strings and where SMBIOS keeps them. */
const SMBIOS: readonly (readonly [type: number, field: string, key: string])[] = [
  [0, 'vendor', 'bios-vendor'],
  [0, 'version', 'bios-version'],
  [1, 'manufacturer', 'system-manufacturer'],
  [1, 'product', 'system-product-name'],
  [1, 'version', 'system-version'],
  [1, 'serial', 'system-serial-number'],
  [2, 'manufacturer', 'baseboard-manufacturer'],
  [2, 'product', 'baseboard-product-name'],
  [2, 'version', 'baseboard-version'],
  [2, 'serial', 'baseboard-serial-number'],
  [3, 'asset', 'enclosure-asset-tag'],
];

const identity = (vm: Vm): string[] => {
  const tables = [0, 1, 2, 3].flatMap((type) => {
    const fields = SMBIOS.filter(([of]) => of === type).flatMap(([, field, key]) => {
      const value = vm.bios_strings.get(key);
      return value === undefined ? [] : [`,${field}=${escaped(value)}`];
    });
    return fields.length > 0 ? ['-smbios', `type=${type}${fields.join('')}`] : [];
  });
  return [...(UUID.test(vm.id) ? ['-uuid', vm.id] : []), ...tables];
};

const escaped = (value: string): string => withoutZero(value).replaceAll(',', ',,');

const withoutZero = (value: string): string => {
  if (value.includes('\0')) throw notSupported('text', value, 'it has a zero character in it');
  return value;
};

/**
 * Copies in the guest's folder: for a multiboot kernel even the name of its RAM disk is a list of options.
 */
const kernel = (vm: Vm): string[] => {
  const boot = directBoot(vm);
  if (!boot) return [];
  const initial = boot.ramdisk === undefined ? [] : ['-initrd', fileNames.ramdisk];
  return ['-kernel', fileNames.kernel, '-append', withoutZero(boot.cmdline), ...initial];
};

/** A guest whose boot loader Xen would read from its disk runs that loader itself, by BIOS. */
export const directBoot = ({ boot }: Vm) =>
  boot.type !== 'HVM' && boot.kernel.how === 'Direct' ? boot.kernel : undefined;

const firmwareFlash = ({ firmware }: Machine): string[] => {
  if (!firmware) return [];
  const node = (name: string, filename: string, readOnly: boolean) =>
    json('-blockdev', {
      driver: 'raw',
      'node-name': name,
      'read-only': readOnly,
      file: { driver: 'file', filename },
    });
  return [
    ...node('firmware-code', firmware.code, true),
    ...node('firmware-variables', fileNames.variables, false),
  ];
};

/** Sockets are named relative to the guest's folder, in which the emulator runs. */
const channels = (): string[] => {
  const socket = (id: string, path: string, log: string) => [
    '-chardev',
    `socket,id=${id},path=${path},server=on,wait=off,logfile=${log},logappend=on`,
  ];
  return [
    ...socket('qmp', fileNames.qmp, fileNames.qmpLog),
    ...['-mon', 'chardev=qmp,mode=control'],
    ...socket('serial', fileNames.serial, fileNames.serialLog),
    ...['-device', 'isa-serial,chardev=serial'],
    ...['-vnc', `unix:${fileNames.vnc},share=force-shared`],
  ];
};

const display = ({ boot, platformdata }: Vm): string[] => {
  const isCirrus = boot.type === 'HVM' && boot.video === 'Cirrus';
  const wantedMib = boot.type === 'HVM' ? boot.video_mib : 0;
  const sizes = isCirrus ? [4, 8, 16] : [8, 16, 32, 64, 128, 256];
  const memory = sizes.find((size) => size >= wantedMib) ?? sizes[sizes.length - 1];
  const card = { driver: isCirrus ? 'cirrus-vga' : 'VGA', id: 'video', vgamem_mb: memory };
  const keymap = boot.type === 'HVM' ? boot.keymap : undefined;
  if (keymap !== undefined && !/^[a-z]{2}(-[a-z]{2})?$/.test(keymap)) {
    throw notSupported('platform:keymap', keymap, 'it is no keymap, such as en-us');
  }
  // A tablet tells where the pointer is, which a remote screen needs; a mouse tells only how it moved.
  const hasTablet = platformdata.get('usb') !== 'false' && platformdata.get('usb_tablet') !== 'false';
  const usb = { driver: 'qemu-xhci', id: 'usb', ...pciPlace({ bus: 'pci', place: USB_SLOT }) };
  return [
    ...(keymap === undefined ? [] : ['-k', keymap]),
    ...json('-device', { ...card, ...pciPlace({ bus: 'pci', place: DISPLAY_SLOT }) }),
    ...(hasTablet
      ? [...json('-device', usb), ...json('-device', { driver: 'usb-tablet', bus: 'usb.0' })]
      : []),
  ];
};

const drives = ({ spec, devices, handed }: Machine): string[] => {
  const order = bootIndexes(spec, devices);
  return spec.disks.flatMap((disk) => {
    const device = byKey(devices, 'vbd', disk.vbd.id[1]);
    const { path } = disk;
    const node = path === undefined ? undefined : device.id;
    if (node === undefined && device.kind === 'disk') throw new Error(`disk ${device.key} has no storage`);
    return [
      ...(path === undefined
        ? []
        : json('-blockdev', blockNode(device.id, { ...disk, path }, handed?.named(device.key)))),
      ...json('-device', driveArguments(device, node, order.get(device.id))),
    ];
  });
};

const cards = ({ spec, devices, wires, flavour }: Machine): string[] => {
  const order = bootIndexes(spec, devices);
  return spec.vifs.flatMap((vif, index) => {
    const device = byKey(devices, 'vif', vif.id[1]);
    const card = cardArguments(device, vif, flavour, bootsFromNetwork(spec.vm), order.get(device.id));
    return [...json('-netdev', (wires[index] as Wire).netdev), ...json('-device', card)];
  });
};

export const byKey = (devices: readonly Device[], what: 'vbd' | 'vif', key: string): Device => {
  const isVif = what === 'vif';
  const found = devices.find((device) => device.key === key && (device.kind === 'vif') === isVif);
  if (!found) throw new Error(`the guest has no ${isVif ? 'network interface' : 'disk'} ${key}`);
  return found;
};

/** Ranks what the boot order names: c the disks, d the CD drives, n the network, each by position. */
const bootIndexes = (
  { vm: { boot } }: GuestSpec,
  devices: readonly Device[],
): ReadonlyMap<string, number> => {
  const kinds: Readonly<Record<string, Device['kind']>> = { c: 'disk', d: 'cd', n: 'vif' };
  const order = boot.type === 'HVM' ? boot.boot_order : 'c';
  const ranked = [...new Set(order.toLowerCase())].flatMap((letter) =>
    devices.filter((device) => device.kind === own(kinds, letter)),
  );
  return new Map(ranked.map((device, index) => [device.id, index]));
};

const json = (option: string, value: object): string[] => [option, JSON.stringify(value)];
