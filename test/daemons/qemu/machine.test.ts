// Goal: nothing that a client may name becomes part of another option of the emulator, and devices sit
//   where their position says, in whatever order they are listed.
// Method: command lines are made and read back, with values chosen to break out; a machine that must not
//   be made is refused by its reason.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GuestSpec } from '../../../src/daemons/xenopsd/backend.ts';
import { option } from '../../../src/daemons/xenopsd/qemu/arguments.ts';
import { vbdDevices } from '../../../src/daemons/xenopsd/qemu/devices.ts';
import { checkStateFolder, folderOf } from '../../../src/daemons/xenopsd/qemu/folder.ts';
import { commandLine, devicesOf, flavourOf } from '../../../src/daemons/xenopsd/qemu/machine.ts';
import type { Vm, VmBoot } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { allowed, said } from '../../../src/std/allowed.ts';
import type { CpuFeatures } from '../../../src/std/cpu-features.ts';
import { anyText } from '../../any-text.ts';
import { cdOf, diskOf, VM, vifOf, vmOf } from './guests.ts';

const emulator = {
  file: 'qemu-system-x86_64',
  version: '7.2.0',
  accelerator: 'tcg',
  processors: { tcg: { argument: option`max`, features: [0x201, 0, 0, 0, 0, 0x20] } },
  machine: allowed('name', 'pc-i440fx-7.2', Error),
  sandbox: [],
  userNetwork: true,
} as const;

const linesOf = (
  spec: GuestSpec,
  nowMs = 0,
  features: CpuFeatures = emulator.processors.tcg.features,
): readonly string[] =>
  commandLine({
    spec,
    name: allowed('name', 'xenact-test', Error),
    emulator,
    features,
    firmware: undefined,
    devices: devicesOf(spec),
    wires: spec.vifs.map(() => ({ netdev: said({ type: 'user', id: 'n' }) })),
    flavour: flavourOf(spec.vm),
    isIncoming: false,
    nowMs,
  });
const specOf = (vm: Partial<Vm> = {}, disks = [diskOf('/d')], vifs = [vifOf()]): GuestSpec => ({
  domid: 1,
  vm: vmOf(vm),
  disks,
  vifs,
});
const valuesOf = (line: readonly string[], option: string): string[] =>
  line.flatMap((one, index) => (line[index - 1] === option ? [one] : []));
const boot = (changes: Partial<Extract<VmBoot, { type: 'HVM' }>>): Partial<Vm> => ({
  boot: { ...(vmOf().boot as Extract<VmBoot, { type: 'HVM' }>), ...changes },
});

describe('the command line of an emulator', () => {
  test('the processor lacks, by name, what the guest is not to have', () => {
    const processorOf = (features?: CpuFeatures) => valuesOf(linesOf(specOf(), 0, features), '-cpu');
    expect(processorOf()).toEqual(['max']);
    expect(processorOf([0x200])).toEqual(['max,fpu=off,avx2=off']);
    expect(processorOf([0x1, 0, 0, 0, 0, 0xffff])).toEqual(['max,apic=off']);
  });

  test('it has as many arguments whatever text the client chose, and JSON gives paths back unchanged', () => {
    const plain = linesOf(specOf({ bios_strings: new Map([['bios-vendor', 'a']]) })).length;
    const text = anyText.filter((one) => !one.includes('\0'));
    fc.assert(
      fc.property(text, text, text, (vendor, path, name) => {
        const bios_strings = new Map([['bios-vendor', vendor]]);
        const line = linesOf(specOf({ name, bios_strings }, [diskOf(`/${path}`)]));
        expect(line).toHaveLength(plain);
        const [node] = valuesOf(line, '-blockdev').map((one) => JSON.parse(one));
        expect(node.file.file.filename).toBe(`/${path}`);
        const [smbios] = valuesOf(line, '-smbios');
        expect(smbios?.replaceAll(',,', '')).not.toMatch(/,(?!vendor=)/);
      }),
    );
  });

  test('a kernel is read from the folder of the guest, and gets its command line as one argument', () => {
    const kernel = {
      how: 'Direct',
      kernel: '/vmlinuz,x',
      cmdline: 'a=b -S "c"',
      ramdisk: '/initrd',
    } as const;
    const line = linesOf(specOf({ boot: { type: 'PVH', kernel } }));
    expect(valuesOf(line, '-kernel')).toEqual(['kernel']);
    expect(valuesOf(line, '-append')).toEqual(['a=b -S "c"']);
    expect(valuesOf(line, '-initrd')).toEqual(['ramdisk']);
  });

  test('the boot order ranks disks, CD drives and network cards', () => {
    const ranks = (boot_order: string) =>
      valuesOf(linesOf(specOf(boot({ boot_order }), [cdOf('/cd'), diskOf('/d')])), '-device')
        .flatMap((one) => (one.startsWith('{') ? [JSON.parse(one)] : []))
        .filter((one) => one.bootindex !== undefined)
        .sort((one, other) => one.bootindex - other.bootindex)
        .map((one) => one.id);
    expect(ranks('cd')).toEqual(['vbd0', 'vbd3']);
    expect(ranks('dc')).toEqual(['vbd3', 'vbd0']);
    expect(ranks('ncdx')).toEqual(['vif0', 'vbd0', 'vbd3']);
    expect(ranks('')).toEqual([]);
  });

  test('the clock of the guest is moved by its time offset', () => {
    const base = (timeoffset: string) => valuesOf(linesOf(specOf(boot({ timeoffset })), 86_400_000), '-rtc');
    expect(base('0')).toEqual(['base=utc']);
    expect(base('-3600')).toEqual(['base=1970-01-01T23:00:00']);
    expect(base('nonsense')).toEqual(['base=utc']);
  });

  test.each([
    ['more VCPUs than it may have', specOf({ vcpus: 3, vcpu_max: 2 }), '1 to 255 VCPUs'],
    ['no memory', specOf({ memory_static_max: 1n }), 'least is 4 MiB'],
    ['a disk without storage', specOf({}, [diskOf(undefined)]), 'has no storage'],
    ['a keymap that is a path', specOf(boot({ keymap: '../x' })), 'no keymap'],
    ['a MAC address with an option in it', specOf({}, [], [vifOf({ mac: '02:00:00:00:00:01,x=y' })]), 'MAC'],
    ['devices at one position', specOf({}, [diskOf('/a'), diskOf('/b', { id: [VM, 'b'] })]), 'same position'],
    [
      'an unknown kind of devices',
      specOf({ platformdata: new Map([['qemu-devices', 'x']]) }),
      'qemu-devices',
    ],
    [
      'a zero in a BIOS string',
      specOf({ bios_strings: new Map([['bios-vendor', 'a\0']]) }),
      'zero character',
    ],
  ])('a guest with %s is refused', (_, spec, reason) => {
    expect(() => linesOf(spec)).toThrow(reason);
  });
});

describe('the places of devices', () => {
  test('they do not depend on the order in which devices are listed', () => {
    const disks = [0, 1, 2, 7].map((position) => diskOf('/d', { id: [VM, `${position}`], position }).vbd);
    const all = [...disks, cdOf(undefined).vbd];
    const expected = vbdDevices(all, 'emulated');
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (shuffled) => {
        expect(vbdDevices(shuffled, 'emulated')).toEqual(expected);
      }),
    );
    expect(expected.map(({ bus, place }) => [bus, place])).toEqual([
      ['ide', 0],
      ['ide', 1],
      ['ide', 2],
      ['ide', 3],
      ['pci', 19],
    ]);
  });

  test('a fifth CD drive, and a disk beyond the twentieth, sit on a controller of their own', () => {
    const drives = [0, 1, 2, 3, 4].map((position) => ({ ...cdOf(undefined).vbd, position }));
    expect(vbdDevices(drives.slice(1), 'virtio').map((one) => one.place)).toEqual([1, 2, 3, 0]);
    expect(vbdDevices(drives, 'virtio').at(-1)).toMatchObject({ bus: 'scsi', place: 4 });
    const disks = [18, 19, 254].map((position) => ({ ...diskOf('/a').vbd, position }));
    expect(vbdDevices(disks, 'virtio').map(({ bus, place }) => [bus, place])).toEqual([
      ['pci', 30],
      ['scsi', 19],
      ['scsi', 254],
    ]);
    expect(() => vbdDevices([{ ...diskOf('/a').vbd, position: 255 }], 'virtio')).toThrow('0 to 254');
  });

  test('network cards beyond the seventh sit behind a bridge, which every guest has', () => {
    const cards = [6, 7, 15].map((position) => vifOf({ position, id: [VM, String(position)] }));
    const devices = devicesOf(specOf({}, [], cards));
    expect(devices.map(({ id, bus, place }) => [id, bus, place])).toEqual([
      ['bridge', 'pci', 11],
      ['agent', 'pci', 1],
      ['balloon', 'pci', 1],
      ['vif6', 'pci', 10],
      ['vif7', 'bridge', 1],
      ['vif15', 'bridge', 9],
    ]);
    expect(() => devicesOf(specOf({}, [], [vifOf({ position: 16 })]))).toThrow('0 to 15');
  });

  test('what is set up for Windows gets devices that need no drivers, unless told otherwise', () => {
    const flavour = (...pairs: [string, string][]) => flavourOf(vmOf({ platformdata: new Map(pairs) }));
    expect(flavour()).toBe('virtio');
    expect(flavour(['viridian', 'true'])).toBe('emulated');
    expect(flavour(['viridian', 'true'], ['qemu-devices', 'virtio'])).toBe('virtio');
  });
});

describe('the folders of guests', () => {
  test('they are inside the state folder whatever the id of the guest is', () => {
    expect(folderOf('/state', '../../etc').path).toMatch(/^\/state\/[0-9a-f]{16}$/);
  });

  test('a state folder whose sockets could not be reached is refused', () => {
    checkStateFolder(`/${'x'.repeat(76)}`);
    expect(() => checkStateFolder(`/${'x'.repeat(77)}`)).toThrow('choose one of up to 77 bytes');
  });
});
