// The command line of a guest's emulator, as a list. What came from outside goes in as JSON, or as an
// argument of its own, or with its commas doubled: it can never become another option.
import type { Vm } from '../../../drivers/hypervisor/hypervisor.ts';
import { type Allowed, allowed, isAllowed, said } from '../../../std/allowed.ts';
import type { CpuFeatures } from '../../../std/cpu-features.ts';
import { own } from '../../../std/own.ts';
import type { GuestSpec } from '../backend.ts';
import { notSupported } from '../refusal.ts';
import { type Argument, alone, fixed, inList, json, option } from './arguments.ts';
import {
  agent,
  blockNode,
  cardArguments,
  type Device,
  DISPLAY_SLOT,
  driveArguments,
  type Flavour,
  fixtureArguments,
  fixturesFor,
  has,
  isFixture,
  pciPlace,
  queuesOf,
  USB_SLOT,
  vbdDevices,
  vifDevice,
} from './devices.ts';
import { type Emulator, type Firmware, processorOf } from './emulator.ts';
import { fileNames } from './folder.ts';
import type { Handed } from './guest-users.ts';
import { processorWith } from './processor.ts';
import { tpmArguments } from './tpm.ts';
import type { QmpWire } from './wiring.ts';

const MIB = 1024n * 1024n;
export const VCPUS_MAX = 255;
/** Its firmware does not start with less. */
export const MEMORY_MIB_MIN = 4n;

export interface QemuCommandLine {
  readonly spec: GuestSpec;
  /** What the process is called, and known again by. */
  readonly name: Allowed;
  readonly emulator: Emulator;
  /** Of its processor, as the guest sees it. */
  readonly features: CpuFeatures;
  readonly firmware: Firmware | undefined;
  readonly devices: readonly Device[];
  /** One for each network interface, in the order of the specification. */
  readonly wires: readonly QmpWire[];
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
  return [...fixturesFor(devices), ...devices];
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

export const commandLine = (machine: QemuCommandLine): readonly Argument[] => [
  ...fixed('-name'),
  alone(machine.name),
  ...fixed('-nodefaults', '-no-user-config', '-S'),
  ...machine.emulator.sandbox,
  ...base(machine),
  ...processor(machine),
  ...identity(machine.spec.vm),
  ...kernel(machine.spec.vm),
  ...firmwareFlash(machine),
  ...channels(),
  ...(has(machine.devices, agent) ? agentLine() : []),
  ...display(machine.spec.vm),
  ...(hasTpm(machine.spec.vm) ? tpmArguments() : []),
  ...machine.devices
    .filter(isFixture)
    .flatMap((device) => json('-device', fixtureArguments(device, queues(machine)))),
  ...(has(machine.devices, agent) ? json('-device', AGENT_PORT) : []),
  ...(machine.handed?.arguments ?? []),
  ...drives(machine),
  ...cards(machine),
  ...(machine.isIncoming ? fixed('-incoming', 'defer') : []),
];

export const hasTpm = ({ boot }: Vm): boolean => boot.type === 'HVM' && boot.tpm !== undefined;

const base = ({ spec, emulator, nowMs, firmware }: QemuCommandLine): readonly Argument[] => {
  const { boot } = spec.vm;
  const hasAcpi = boot.type !== 'HVM' || boot.acpi;
  const acpi = hasAcpi ? option`` : option`,acpi=off`;
  const flash = firmware ? option`,pflash0=firmware-code,pflash1=firmware-variables` : option``;
  return [
    ...fixed('-machine'),
    option`${inList(emulator.machine)},usb=off,dump-guest-core=off${acpi}${flash}`,
    ...fixed('-accel', emulator.accelerator),
    ...fixed('-m'),
    option`${Number(memoryMib(spec.vm))}M`,
    // Whatever ends the guest leaves it standing where it ended, so that a daemon that was away finds it.
    ...fixed('-action', 'reboot=shutdown,shutdown=pause,panic=pause', '-boot', 'menu=off,strict=on'),
    ...fixed('-rtc'),
    option`base=${clockBase(boot, nowMs)}`,
    ...fixed('-device', 'pvpanic'),
  ];
};

/**
 * The guest's clock is UTC, moved by as many seconds as its time offset says, in the years that QEMU knows.
 */
const clockBase = (boot: Vm['boot'], nowMs: number): Argument => {
  const offset = boot.type === 'HVM' ? Number(boot.timeoffset) : 0;
  if (!Number.isSafeInteger(offset) || offset === 0) return option`utc`;
  const moved = new Date(nowMs + offset * 1000);
  const instant = Number.isNaN(moved.getTime()) ? '' : moved.toISOString().slice(0, 19);
  return isAllowed('instant', instant) ? inList(instant) : option`utc`;
};

const processor = ({ spec: { vm }, emulator, features }: QemuCommandLine): readonly Argument[] => {
  const { vcpus, vcpu_max: most } = vm;
  const fits = [vcpus, most].every((count) => Number.isInteger(count) && count >= 1 && count <= VCPUS_MAX);
  if (!fits || vcpus > most) throw notSupported('VCPUs_max', most, `a guest has 1 to ${VCPUS_MAX} VCPUs`);
  const perSocket = Number(vm.platformdata.get('cores-per-socket') ?? 1);
  const cores = Number.isInteger(perSocket) && perSocket >= 1 && most % perSocket === 0 ? perSocket : 1;
  const topology = option`cpus=${vcpus},maxcpus=${most},sockets=${most / cores},cores=${cores},threads=1`;
  const isWindows = vm.platformdata.get('viridian') === 'true';
  const hyperV = isWindows ? option`,hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-time=on` : option``;
  const model = processorWith(processorOf(emulator), features);
  const enlightened = emulator.accelerator === 'kvm' ? option`${model}${hyperV}` : model;
  return [...fixed('-smp'), topology, ...fixed('-cpu'), enlightened];
};

/** BIOS strings and where SMBIOS keeps them. */
const SMBIOS: readonly (readonly [type: number, field: Argument, key: string])[] = [
  [0, option`vendor`, 'bios-vendor'],
  [0, option`version`, 'bios-version'],
  [1, option`manufacturer`, 'system-manufacturer'],
  [1, option`product`, 'system-product-name'],
  [1, option`version`, 'system-version'],
  [1, option`serial`, 'system-serial-number'],
  [2, option`manufacturer`, 'baseboard-manufacturer'],
  [2, option`product`, 'baseboard-product-name'],
  [2, option`version`, 'baseboard-version'],
  [2, option`serial`, 'baseboard-serial-number'],
  [3, option`asset`, 'enclosure-asset-tag'],
];

const identity = (vm: Vm): readonly Argument[] => {
  const tables = [0, 1, 2, 3].flatMap((type) => {
    const fields = SMBIOS.filter(([of]) => of === type).flatMap(([, field, key]) => {
      const value = vm.bios_strings.get(key);
      return value === undefined ? [] : [option`,${field}=${inList(textOf(`bios_strings:${key}`, value))}`];
    });
    const all = fields.reduce((before, one) => option`${before}${one}`, option`type=${type}`);
    return fields.length > 0 ? [...fixed('-smbios'), all] : [];
  });
  return [...(isAllowed('uuid', vm.id) ? [...fixed('-uuid'), alone(vm.id)] : []), ...tables];
};

const textOf = (setting: string, value: string): Allowed =>
  allowed('text', value, (why) => notSupported(setting, value.slice(0, SHOWN_MAX), why));

const SHOWN_MAX = 100;

/**
 * Copies in the guest's folder: for a multiboot kernel even the name of its RAM disk is a list of options.
 */
const kernel = (vm: Vm): readonly Argument[] => {
  const boot = directBoot(vm);
  if (!boot) return [];
  const initial = boot.ramdisk === undefined ? [] : fixed('-initrd', fileNames.ramdisk);
  return [
    ...fixed('-kernel', fileNames.kernel, '-append'),
    alone(textOf('PV_args', boot.cmdline)),
    ...initial,
  ];
};

/** A guest whose boot loader Xen would read from its disk runs that loader itself, by BIOS. */
export const directBoot = ({ boot }: Vm) =>
  boot.type !== 'HVM' && boot.kernel.how === 'Direct' ? boot.kernel : undefined;

const firmwareFlash = ({ firmware }: QemuCommandLine): readonly Argument[] => {
  if (!firmware) return [];
  const driver = { driver: 'raw' } as const;
  const code = { driver: 'file', filename: firmware.code } as const;
  const variables = { driver: 'file', filename: fileNames.variables } as const;
  return [
    ...json('-blockdev', said({ ...driver, 'node-name': 'firmware-code', 'read-only': true, file: code })),
    ...json(
      '-blockdev',
      said({ ...driver, 'node-name': 'firmware-variables', 'read-only': false, file: variables }),
    ),
  ];
};

/** Sockets are named relative to the guest's folder, in which the emulator runs. */
const channels = (): readonly Argument[] => {
  const { qmp, qmpLog, serial, serialLog, vnc } = fileNames;
  return [
    ...fixed('-chardev', `socket,id=qmp,path=${qmp},server=on,wait=off,logfile=${qmpLog},logappend=on`),
    ...fixed('-mon', 'chardev=qmp,mode=control'),
    ...fixed(
      '-chardev',
      `socket,id=serial,path=${serial},server=on,wait=off,logfile=${serialLog},logappend=on`,
    ),
    ...fixed('-device', 'isa-serial,chardev=serial'),
    ...fixed('-vnc', `unix:${vnc},share=force-shared`),
  ];
};

/** The line's bus is a fixture, which comes with the others. */
const agentLine = (): readonly Argument[] =>
  fixed('-chardev', `socket,id=agent,path=${fileNames.agent},server=on,wait=off`);
const AGENT_PORT = said({
  ...{ driver: 'virtserialport', bus: 'agent.0', nr: 1, chardev: 'agent' },
  name: 'org.qemu.guest_agent.0',
});

const display = ({ boot, platformdata }: Vm): readonly Argument[] => {
  const isCirrus = boot.type === 'HVM' && boot.video === 'Cirrus';
  const wantedMib = boot.type === 'HVM' ? boot.video_mib : 0;
  const sizes = isCirrus ? [4, 8, 16] : [8, 16, 32, 64, 128, 256];
  const memory = sizes.find((size) => size >= wantedMib) ?? sizes[sizes.length - 1];
  const card = { driver: isCirrus ? 'cirrus-vga' : 'VGA', id: 'video', vgamem_mb: memory } as const;
  const wanted = boot.type === 'HVM' ? boot.keymap : undefined;
  const keymap =
    wanted === undefined
      ? []
      : [
          ...fixed('-k'),
          alone(allowed('keymap', wanted, (why) => notSupported('platform:keymap', wanted, why))),
        ];
  // A tablet tells where the pointer is, which a remote screen needs; a mouse tells only how it moved.
  const hasTablet = platformdata.get('usb') !== 'false' && platformdata.get('usb_tablet') !== 'false';
  const usb = said({ driver: 'qemu-xhci', id: 'usb', ...pciPlace({ bus: 'pci', place: USB_SLOT }) });
  return [
    ...keymap,
    ...json('-device', said({ ...card, ...pciPlace({ bus: 'pci', place: DISPLAY_SLOT }) })),
    ...(hasTablet
      ? [...json('-device', usb), ...json('-device', said({ driver: 'usb-tablet', bus: 'usb.0' }))]
      : []),
  ];
};

const queues = ({ spec, devices }: QemuCommandLine): number | undefined =>
  queuesOf(devices, spec.vm.vcpu_max);

const drives = (machine: QemuCommandLine): readonly Argument[] => {
  const { spec, devices, handed } = machine;
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
      ...json('-device', driveArguments(device, node, queues(machine), order.get(device.id))),
    ];
  });
};

const cards = ({ spec, devices, wires, flavour }: QemuCommandLine): readonly Argument[] => {
  const order = bootIndexes(spec, devices);
  return spec.vifs.flatMap((vif, index) => {
    const device = byKey(devices, 'vif', vif.id[1]);
    const card = cardArguments(device, vif, flavour, bootsFromNetwork(spec.vm), order.get(device.id));
    return [...json('-netdev', (wires[index] as QmpWire).netdev), ...json('-device', card)];
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
