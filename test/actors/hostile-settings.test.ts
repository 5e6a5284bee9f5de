// Goal: no text that a client sets, in whatever field of whatever object a guest is made of, changes what the
// emulator is told: which options, with which settings, by which drivers.
// Method: the fields of those classes, and the keys of their maps, are given texts that would break out, together
// and apart where one of them is refused; the guest is started through the real client and daemon up to the
// process, and what that was to be started with is read back and compared with what a plain text makes of it.
// Devices that are plugged later likewise, over QMP.
import { writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { fixed } from '../../src/daemons/xenopsd/qemu/arguments.ts';
import { qemuBackend } from '../../src/daemons/xenopsd/qemu/backend.ts';
import type { Emulator } from '../../src/daemons/xenopsd/qemu/emulator.ts';
import { plugVbd, plugVif } from '../../src/daemons/xenopsd/qemu/hotplug.ts';
import type { QemuGuest, QemuHost } from '../../src/daemons/xenopsd/qemu/live.ts';
import type { Disk } from '../../src/drivers/disk.ts';
import { guestKernelsIn } from '../../src/drivers/guest-kernels.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import type { Processes } from '../../src/drivers/processes.ts';
import type { AnyClass } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { allowed, said } from '../../src/std/allowed.ts';
import { Fault } from '../../src/std/fault.ts';
import { struct } from '../../src/std/value.ts';
import { anyText } from '../any-text.ts';
import { diskOf, noQemu, vifOf } from '../daemons/qemu/guests.ts';
import { connectClient, serveStorage, startDaemon, useBench } from '../daemons/xenopsd/harness.ts';
import { type Bench, bench as benchOf } from './vm-bench.ts';

const folder = useBench();

const hostile = [
  ',x=y',
  ',,x=y',
  'x,,,driver=y',
  'x\n-device pvpanic',
  '-daemonize',
  '"},"driver":"host_device',
  '/etc/shadow',
  '../../../../etc/shadow',
  'json:{"driver":"nbd"}',
  'x'.repeat(40_000),
];
const plain = 'zz';

/** Each field that is refused anyway gets a third of them, and fields beside it the others. */
const hostileAt = (place: number): readonly string[] =>
  hostile.filter((_, index) => (index + place) % 3 === 0);

/** Keys under which a value may mean something to the hypervisor. */
const keysOf: Readonly<Record<string, readonly string[]>> = {
  platform: [
    ...[
      'acpi',
      'cores-per-socket',
      'device-model',
      'device_id',
      'hap',
      'hvm_serial',
      'keymap',
      'nested-virt',
    ],
    ...['nic_type', 'parallel', 'qemu-devices', 'secureboot', 'timeoffset', 'usb', 'usb_tablet', 'vga'],
    ...['vgpu_config', 'videoram', 'viridian', 'vtpm', 'xenguest', 'featureset', 'revision'],
  ],
  HVM_boot_params: ['order', 'firmware'],
  bios_strings: ['bios-vendor', 'bios-version', 'system-serial-number', 'enclosure-asset-tag', 'oem-1'],
  VCPUs_params: ['weight', 'cap', 'mask'],
  xenstore_data: ['vm-data/x'],
  other_config: ['hvm_serial', 'ethtool-rx', 'mtu', 'backend-kind', 'owner', 'polling-duration'],
  device_config: ['location', 'type', 'path'],
  sm_config: ['vmhint', 'image-format', 'type'],
};
const anyKey = ['x'];

type Row = Readonly<Record<string, unknown>>;
interface Attempt {
  readonly cls: string;
  readonly field: string;
  readonly key: string | undefined;
  readonly value: (text: string, now: unknown) => unknown;
}

const involved = ['VM', 'VBD', 'VIF', 'VDI', 'SR', 'PBD', 'network'];

/** Every text that a client chooses, by a constructor, a setter or a key of a map. */
const attempts: readonly Attempt[] = (classes as readonly AnyClass[])
  .filter(({ name }) => involved.includes(name))
  .flatMap(({ name: cls, fields }) =>
    Object.entries(fields).flatMap(([field, { access, type, internal, computed }]): Attempt[] => {
      if (access === 'DYN' || internal === true || computed === true || field === 'uuid') return [];
      const base = { cls, field };
      if (type.kind === 'string') return [{ ...base, key: undefined, value: (text) => text }];
      if (type.kind === 'set' && type.item?.kind === 'string')
        return [{ ...base, key: undefined, value: (text) => [text] }];
      if (type.kind !== 'map' || type.item?.kind !== 'string') return [];
      const set = (key: (text: string) => string): Attempt['value'] => {
        return (text, now) => new Map([...(now as ReadonlyMap<string, string>), [key(text), text]]);
      };
      const known = (keysOf[field] ?? anyKey).map((key) => ({ ...base, key, value: set(() => key) }));
      return [...known, { ...base, key: 'a key of its own', value: set((text) => text.slice(0, 200)) }];
    }),
  );

/** Options whose argument is no list of settings. */
const whole = ['-append', '-name', '-uuid', '-k'];

/** What is left of an argument without the values: a value that breaks out adds to it. */
const shapeOf = (argument: string, index: number, all: readonly string[]): unknown => {
  if (whole.includes(all[index - 1] ?? '')) return 'text';
  if (argument.startsWith('{')) return outline(JSON.parse(argument));
  if (argument.startsWith('-')) return argument;
  const [first, ...settings] = argument.replaceAll(',,', '').split(',');
  return [first?.split('=')[0]?.length === first?.length ? '' : first?.split('=')[0], ...settings.map(keyOf)];
};
const keyOf = (setting: string): string | undefined => setting.split('=')[0];
const outline = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(outline);
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'bootindex' && key !== 'romfile')
      .map(([key, item]) => [key, key === 'driver' || key === 'type' ? item : outline(item)]),
  );
};

describe.skipIf(noQemu)('What a guest is started with', () => {
  let at: Bench;
  let started: (readonly string[])[] = [];
  let guests: Readonly<Record<'hvm' | 'pvh', Ref<'VM'>>>;
  beforeEach(async () => {
    const processes: Processes = {
      ...nodeProcesses,
      detach: async (_, args) => {
        started.push(args);
        throw new Error('not started');
      },
    };
    const storage = await serveStorage(folder());
    const path = folder().path('disk.img');
    writeFileSync(path, Buffer.alloc(1 << 20));
    storage.places.get = () => struct({ implementations: [['File', struct({ path })]] });
    for (const name of ['q', 'kernels']) await nodeDisk.makeFolder(folder().path(name));
    const kernel = folder().path('kernels/vmlinuz');
    writeFileSync(kernel, 'kernel');
    const kernels = guestKernelsIn(nodeDisk, folder().path('kernels'));
    // What was never started is not looked for among all processes of the machine.
    const disk: Disk = { ...nodeDisk, list: async (at) => (at === '/proc' ? [] : nodeDisk.list(at)) };
    await startDaemon(folder(), {}, {}, async (machine) =>
      qemuBackend({ ...machine, disk, state: folder().path('q'), kernels, processes, random: nodeRandom }),
    );
    at = await benchOf(connectClient(folder()), { services: { guestKernels: kernels } });
    await at.reports.reconcile();
    const memory = 64n << 20n;
    const fields = {
      ...{ memory_static_min: memory, memory_static_max: memory },
      ...{ memory_dynamic_min: memory, memory_dynamic_max: memory },
    };
    guests = {
      hvm: await at.newVm(fields),
      pvh: await at.newVm({ ...fields, domain_type: 'pvh', PV_kernel: kernel }),
    };
  });
  afterEach(() => at.close());

  /** What the emulator was to be started with; undefined where the start was refused in words. */
  const startOf = async (vm: Ref<'VM'>): Promise<unknown> => {
    started = [];
    const failure = await at.call('VM.start', vm, false, false).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(started.length).toBeLessThan(2);
    if (started[0] !== undefined) return started[0].map(shapeOf);
    expect(failure).toBeInstanceOf(Fault);
    expect([(failure as Fault).code, ...(failure as Fault).params].join()).not.toContain('INTERNAL_ERROR');
    return undefined;
  };

  const rowsOf = (cls: string, vm: Ref<'VM'>): readonly string[] => {
    const view = at.store.committed;
    const row = view.require('VM', vm);
    if (cls === 'VM') return [vm];
    if (cls === 'VBD' || cls === 'VIF') return cls === 'VBD' ? row.VBDs : row.VIFs;
    return [...view.all(cls as 'VDI')].map(([ref]) => ref);
  };

  test('is the same for a plain text', async () => {
    for (const vm of Object.values(guests)) expect(await startOf(vm)).toBeInstanceOf(Array);
    expect(attempts.length).toBeGreaterThan(100);
  });

  /** Starts a guest with these set to a text; undefined where that is refused. */
  const startWith = async (vm: Ref<'VM'>, group: readonly Attempt[], text: string): Promise<unknown> => {
    const rows = new Map(group.map(({ cls }) => [cls, rowsOf(cls, vm)]));
    const all = [...rows].flatMap(([cls, refs]) =>
      refs.map((ref) => ({ cls: cls as 'VM', ref: ref as Ref<'VM'> })),
    );
    const before = all.map((one) => ({ ...one, row: at.store.committed.require(one.cls, one.ref) as Row }));
    const fields = new Set(group.map(({ field }) => field));
    const isSet = await at.store
      .commit((tx) => {
        for (const { field, value, cls } of group)
          for (const ref of rows.get(cls) as readonly Ref<'VM'>[]) {
            const now = (tx.require(cls as 'VM', ref) as Row)[field];
            tx.patch(cls as 'VM', ref, { [field]: value(text, now) });
          }
      })
      .then(
        () => true,
        // A text beyond the limits of a field is not even a row.
        () => false,
      );
    if (!isSet) return undefined;
    const shape = await startOf(vm);
    await at.store.commit((tx) => {
      for (const { cls, ref, row } of before)
        tx.patch(cls, ref, Object.fromEntries([...fields].map((field) => [field, row[field]])) as object);
    });
    return shape;
  };

  /** Those that are refused by themselves. */
  const refusedOf = async (
    vm: Ref<'VM'>,
    group: readonly Attempt[],
    text: string,
  ): Promise<readonly Attempt[]> => {
    if ((await startWith(vm, group, text)) !== undefined) return [];
    if (group.length < 2) return group;
    const half = Math.ceil(group.length / 2);
    return [
      ...(await refusedOf(vm, group.slice(0, half), text)),
      ...(await refusedOf(vm, group.slice(half), text)),
    ];
  };

  test.each(involved)('does not change its shape by anything in a %s', { timeout: 300_000 }, async (cls) => {
    const own = attempts.filter((one) => one.cls === cls);
    // The kernel and its arguments are of the VM.
    for (const kind of cls === 'VM' ? (['hvm', 'pvh'] as const) : (['hvm'] as const)) {
      const vm = guests[kind];
      const name = ({ field, key }: Attempt): string => `${kind} ${cls}.${field}:${key}`;
      const refused = await refusedOf(vm, own, plain);
      for (const [place, one] of refused.entries())
        for (const text of hostileAt(place))
          expect([name(one), text, await startWith(vm, [one], text)]).toEqual([name(one), text, undefined]);
      const taken = own.filter((one) => !refused.includes(one));
      const plainly = new Map<string, Promise<unknown>>();
      const plainStart = (group: readonly Attempt[]): Promise<unknown> => {
        const key = group.map(name).join();
        const known = plainly.get(key) ?? startWith(vm, group, plain);
        plainly.set(key, known);
        return known;
      };
      const apart = new Set<Attempt>();
      /** Those that a text breaks out of: all at once, and by halves where one of them is refused. */
      const broken = async (group: readonly Attempt[], text: string): Promise<readonly string[]> => {
        const shape = await startWith(vm, group, text);
        if (shape !== undefined && isDeepStrictEqual(shape, await plainStart(group))) return [];
        const [only, ...others] = group;
        if (only === undefined) return [];
        if (others.length === 0 && shape !== undefined) return [`${name(only)} = ${text.slice(0, 40)}`];
        // What refused one text is likely to refuse the others, which would hide them again.
        if (others.length === 0) {
          apart.add(only);
          return [];
        }
        const half = Math.ceil(group.length / 2);
        const found = [
          ...(await broken(group.slice(0, half), text)),
          ...(await broken(group.slice(half), text)),
        ];
        return found.length > 0 || shape === undefined ? found : [`${group.map(name)} together = ${text}`];
      };
      for (const text of hostile) {
        const alone = [...apart].map((one) => [one]);
        for (const group of [taken.filter((one) => !apart.has(one)), ...alone])
          expect(await broken(group, text)).toEqual([]);
      }
    }
  });
});

describe('What is plugged', () => {
  const emulator: Emulator = {
    ...{ file: 'qemu', version: '7.2.0', accelerator: 'tcg', userNetwork: true },
    processors: {},
    machine: allowed('name', 'pc-i440fx-7.2', Error),
    sandbox: fixed(),
  };
  const told = async (
    plug: (host: QemuHost, guest: QemuGuest) => Promise<void>,
  ): Promise<readonly unknown[]> => {
    const commands: unknown[] = [];
    const disk: Partial<Disk> = { replaceText: async () => {}, exists: async () => false };
    const host = { disk, emulator: async () => emulator } as unknown as QemuHost;
    const qmp = {
      execute: async (command: string, args: object = said({})) =>
        void commands.push([command, outline(JSON.parse(JSON.stringify(args)))]),
    };
    const record = { devices: [{ id: 'bridge' }], flavour: 'virtio', domid: 1, bootsFromNetwork: false };
    const guest = { record, folder: { file: () => '/x' }, link: { qmp: () => qmp } } as unknown as QemuGuest;
    await plug(host, guest);
    return commands;
  };
  const text = fc.oneof(fc.constantFrom(...hostile), anyText).filter((one) => !one.includes('\0'));

  test('is what it is for a plain text, or refused', async () => {
    const disk = (path: string, key: string) => (host: QemuHost, guest: QemuGuest) =>
      plugVbd(host, guest, {
        ...diskOf(`/${path}`, { id: ['vm', key] }),
        format: 'qcow2',
        backing: [`/${key}`],
      });
    const card = (mac: string, backend: string) => (host: QemuHost, guest: QemuGuest) =>
      plugVif(host, guest, vifOf({ mac, backend, id: ['vm', backend] }));
    const goodMac = '02:00:00:00:00:01';
    const [plainDisk, plainCard] = [await told(disk(plain, plain)), await told(card(goodMac, plain))];
    expect([plainDisk.length, plainCard.length]).toEqual([2, 2]);
    await fc.assert(
      fc.asyncProperty(text, text, async (one, other) => {
        if (one.length < 4_000 && other.length < 4_000)
          expect(await told(disk(one, other))).toEqual(plainDisk);
        else await expect(told(disk(one, other))).rejects.toThrow('no absolute path');
        expect(await told(card(goodMac, one))).toEqual(plainCard);
        await expect(told(card(one, other))).rejects.toThrow('MAC');
        await expect(told(card(`${goodMac}${one}x`, other))).rejects.toThrow('MAC');
      }),
    );
  });
});
