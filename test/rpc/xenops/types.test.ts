// Goal: what goes over the wire is what a real xenopsd and a real toolstack write and read.
// Method: samples that the original's own encoder printed are read and written again; everything the
// interface's types can hold goes out and comes back, by property, in both flavours of the encoding.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readJson } from '../../../src/codec/jsonrpc-reader.ts';
import { jsonValue } from '../../../src/codec/jsonrpc-writer.ts';
import { readXmlRpcValue } from '../../../src/codec/xmlrpc-reader.ts';
import { xmlValue } from '../../../src/codec/xmlrpc-writer.ts';
import { type Vbd, type Vif, type Vm, XenopsError } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { vbdOf, vbdValue, vifOf, vifValue } from '../../../src/rpc/xenops/devices.ts';
import {
  errorValue,
  taskOf,
  taskValue,
  updatesValue,
  xenopsErrorOf,
  xenopsUpdatesOf,
} from '../../../src/rpc/xenops/tasks.ts';
import {
  metadataOf,
  metadataText,
  vmOf,
  vmStateOf,
  vmStateValue,
  vmValue,
} from '../../../src/rpc/xenops/types.ts';
import { present } from '../../../src/rpc/xenops/values.ts';
import { member, tupleOf } from '../../../src/std/reader.ts';
import { struct, type Value } from '../../../src/std/value.ts';
import { referenceText } from '../../reference.ts';

const samples = sampleList(referenceText('xenops_storage_json.txt'));

/** The texts under `### title` lines, in order. */
function sampleList(text: string): readonly { readonly title: string; readonly body: string }[] {
  return text
    .split(/^### /m)
    .slice(1)
    .map((part) => {
      const [title = '', ...lines] = part.split('\n');
      return { title: title.trim(), body: lines.join('\n').trim() };
    });
}

const sampled = (title: string): readonly Value[] =>
  samples.filter((sample) => sample.title === title).map(({ body }) => readJson(body));
const argument = (title: string, name: string): Value =>
  member(tupleOf(member(sampled(`request ${title}`)[0] ?? null, 'params'), 1)[0] ?? null, name);
const results = (title: string): readonly Value[] =>
  sampled(`response ${title}`).map((response) => member(response, 'result'));

/** What both have in common: what this client writes is the sample, less what it does not know. */
const expectSameMembers = (written: Value, sample: Value): void => {
  const [ours, theirs] = [written as ReadonlyMap<string, Value>, sample as ReadonlyMap<string, Value>];
  for (const [name, value] of ours) expect([name, value]).toEqual([name, theirs.get(name)]);
};

describe('samples of the original', () => {
  test('Vm.t is read and written as it was', () => {
    const sample = argument('VM.add', 'vm');
    const written = vmValue(vmOf(sample));
    expect([...written.keys()].sort()).toEqual([...(sample as Map<string, Value>).keys()].sort());
    expectSameMembers(written, sample);
  });

  test('Vm.state of VM.stat is read and written as it was', () => {
    const [vm = null, state = null] = tupleOf(results('VM.stat')[0] ?? null, 2);
    expect(vmOf(vm).name).toBe('small-hvm');
    const read = vmStateOf(state);
    expect(read).toMatchObject({ power_state: 'Running', domids: [3], last_start_time: 1_700_000_000.5 });
    expect(read.consoles).toEqual([{ protocol: 'Rfb', port: 5900, path: '/var/run/xen/vnc-3' }]);
    const { numa_node_memory: _, ...known } = Object.fromEntries(state as Map<string, Value>);
    expectSameMembers(
      struct({ ...Object.fromEntries(vmStateValue(read)), numa_node_memory: undefined }),
      struct(known),
    );
  });

  test('Vbd.t and Vif.t are read', () => {
    expect(vbdOf(argument('VBD.add', 'vbd'))).toMatchObject({
      id: ['7a3f0b1c-2222-4444-8888-0123456789ab', 'xvda'],
      position: 0,
      mode: 'ReadWrite',
      backend: ['VDI', 'sr-uuid/vdi-location'],
    });
    expect(vifOf(argument('VIF.add', 'vif'))).toMatchObject({
      backend: 'xenbr0',
      locking_mode: { ipv4: ['10.0.0.1'], ipv6: [] },
    });
  });

  test('what is written of a Vbd.t and a Vif.t has every required member', () => {
    const optionals = ['qos', 'rate', 'vlan', 'pvs_proxy'];
    for (const [written, sample] of [
      [vbdValue(vbdOf(argument('VBD.add', 'vbd'))), argument('VBD.add', 'vbd')],
      [vifValue(vifOf(argument('VIF.add', 'vif'))), argument('VIF.add', 'vif')],
    ] as const) {
      const needed = [...(sample as Map<string, Value>).keys()].filter((name) => !optionals.includes(name));
      expect([...written.keys()]).toEqual(expect.arrayContaining(needed));
    }
  });

  test('Metadata.t with devices of every kind is read', () => {
    const text = samples.find(({ title }) => title === 'Metadata')?.body ?? '';
    const metadata = metadataOf(text);
    expect(metadata).toMatchObject({
      vm: { name: 'small-hvm' },
      vbds: [{ position: 0 }],
      vifs: [{ mtu: 1500 }],
    });
    expect(metadataOf(metadataText(metadata))).toEqual(metadata);
  });

  test('the ways to boot are read', () => {
    const variants = sampled('ty/firmware variants').map((ty) => {
      const vm = argument('VM.add', 'vm') as ReadonlyMap<string, Value>;
      return vmOf(new Map([...vm, ['ty', ty]])).boot;
    });
    expect(variants).toMatchObject([
      { type: 'HVM', firmware: 'Uefi', video: 'Standard_VGA' },
      {
        type: 'PV',
        kernel: { how: 'Direct', kernel: '/boot/vmlinuz', cmdline: 'ro', ramdisk: '/boot/initrd' },
      },
      { type: 'PVinPVH', kernel: { how: 'Indirect', bootloader: 'pygrub', devices: [['VDI', 'sr/vdi']] } },
    ]);
  });

  test('the states of a task are read and written as they were', () => {
    const tasks = results('Task.stat');
    expect(tasks.map((task) => taskOf(task).state)).toEqual([
      { kind: 'Pending', progress: 0.5 },
      { kind: 'Completed', durationS: 1.25, result: undefined },
      { kind: 'Completed', durationS: 1.25, result: 'x' },
      { kind: 'Failed', error: new XenopsError('Bad_power_state', ['Running', 'Halted']) },
    ]);
    for (const task of tasks) {
      const { subtasks: _, ...known } = Object.fromEntries(taskValue(taskOf(task)));
      expectSameMembers(struct(known), task);
    }
  });

  test('updates with a barrier are read and written as they were', () => {
    const [sample = null] = results('UPDATES.get');
    const found = xenopsUpdatesOf(sample);
    expect(found.barriers).toEqual([{ id: 7, updates: [['Vm', '7a3f0b1c-2222-4444-8888-0123456789ab']] }]);
    expect(found.next).toBe(42);
    expect(updatesValue(found)).toEqual(sample);
  });

  test('every error is read and written as it was', () => {
    const errors = samples.filter(({ title }) => title.startsWith('error '));
    expect(errors.length).toBeGreaterThan(8);
    for (const { title, body } of errors) {
      const error = xenopsErrorOf(readJson(body));
      expect(`error ${error.tag}`).toBe(title);
      expect(jsonValue(errorValue(error))).toBe(body);
    }
  });
});

describe('by property', () => {
  const text = fc.string();
  const words = fc.dictionary(text, text).map((each) => new Map(Object.entries(each)));
  const bytes = fc.bigInt({ min: 0n, max: 2n ** 62n });
  const small = fc.nat(1_000);
  const exits = fc.array(fc.constantFrom('Coredump', 'Shutdown', 'Start', 'Pause', 'Softreboot'), {
    maxLength: 3,
  });
  const maybe = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });
  const disk = fc.tuple(fc.constantFrom('Local', 'VDI'), text);
  const hvm = fc
    .record({
      type: fc.constant('HVM' as const),
      hap: fc.boolean(),
      shadow_multiplier: fc.nat(80).map((each) => each / 8),
      timeoffset: text,
      video_mib: small,
      video: fc.constantFrom('Cirrus', 'Standard_VGA'),
      acpi: fc.boolean(),
      serial: maybe(text),
      keymap: maybe(text),
      boot_order: text,
      firmware: fc.constantFrom('Bios', 'Uefi'),
    })
    .map(present);
  const direct = fc
    .record({ how: fc.constant('Direct' as const), kernel: text, cmdline: text, ramdisk: maybe(text) })
    .map(present);
  const indirect = fc.record({
    how: fc.constant('Indirect' as const),
    bootloader: text,
    extra_args: text,
    legacy_args: text,
    bootloader_args: text,
    devices: fc.array(disk, { maxLength: 2 }),
  });
  const pv = fc.record({ type: fc.constantFrom('PV', 'PVinPVH', 'PVH'), kernel: fc.oneof(direct, indirect) });
  const vm = fc
    .record({
      id: fc.uuid(),
      name: text,
      xsdata: words,
      platformdata: words,
      bios_strings: words,
      boot: fc.oneof(hvm, pv),
      memory_static_max: bytes,
      memory_dynamic_max: bytes,
      memory_dynamic_min: bytes,
      vcpu_max: small,
      vcpus: small,
      scheduler_params: fc
        .record({
          priority: maybe(fc.tuple(small, small)),
          affinity: fc.array(fc.array(small, { maxLength: 3 }), { maxLength: 3 }),
        })
        .map(present),
      on_crash: exits,
      on_shutdown: exits,
      on_reboot: exits,
      on_softreboot: exits,
      has_vendor_device: fc.boolean(),
      generation_id: maybe(text),
    })
    .map((each) => present(each) as unknown as Vm);
  const vbd = fc
    .record({
      id: fc.tuple(fc.uuid(), text),
      position: small,
      mode: fc.constantFrom('ReadOnly', 'ReadWrite'),
      backend: maybe(disk),
      ty: fc.constantFrom('CDROM', 'Disk', 'Floppy'),
      unpluggable: fc.boolean(),
      persistent: fc.boolean(),
    })
    .map((each) => present(each) as unknown as Vbd);
  const addresses = fc.array(text, { maxLength: 2 });
  const vif = fc.record({
    id: fc.tuple(fc.uuid(), text),
    position: small,
    mac: text,
    carrier: fc.boolean(),
    mtu: small,
    backend: text,
    other_config: words,
    locking_mode: fc.oneof(
      fc.constantFrom('Unlocked', 'Disabled'),
      fc.record({ ipv4: addresses, ipv6: addresses }),
    ),
  }) as fc.Arbitrary<Vif>;

  const flavours: readonly (readonly [string, (value: Value) => Value])[] = [
    ['JSON', (value) => readJson(jsonValue(value))],
    ['XML', (value) => readXmlRpcValue(xmlValue(value))],
  ];
  test.each(flavours)(
    'a VM, a disk and a network card come back from %s as they were',
    (_flavour, travel) => {
      fc.assert(
        fc.property(vm, vbd, vif, (vm, vbd, vif) => {
          expect(vmOf(travel(vmValue(vm)))).toEqual(vm);
          expect(vbdOf(travel(vbdValue(vbd)))).toEqual(vbd);
          expect(vifOf(travel(vifValue(vif)))).toEqual(vif);
        }),
      );
    },
  );

  test('metadata come back from their text as they were', () => {
    fc.assert(
      fc.property(
        vm,
        fc.array(vbd, { maxLength: 3 }),
        fc.array(vif, { maxLength: 3 }),
        maybe(text),
        (vm, vbds, vifs, domains) => {
          const metadata = present({ vm, vbds, vifs, domains });
          expect(metadataOf(metadataText(metadata))).toEqual(metadata);
        },
      ),
    );
  });
});

describe('errors', () => {
  test('numbers in errors are numbers in the XML flavour too, where they have no tag', () => {
    const travel = (error: XenopsError): XenopsError =>
      xenopsErrorOf(readXmlRpcValue(xmlValue(errorValue(error))));
    for (const error of [
      new XenopsError('Cannot_free_this_much_memory', [2n ** 60n, 1n]),
      new XenopsError('Failed_to_shutdown', ['vm', 60]),
      new XenopsError('Invalid_vcpus', [4n]),
      new XenopsError('Storage_backend_error', ['SR_BACKEND_FAILURE_46', ['', 'x']]),
      new XenopsError('Domain_not_built', []),
      new XenopsError('Not_supported', ['VIF.MAC', 'x', 'it is no MAC address']),
    ]) {
      expect(travel(error)).toEqual(error);
    }
  });

  test('an error of another version is an unknown one, and case does not count', () => {
    expect(xenopsErrorOf(['Too_new', ['x']]).tag).toBe('Unknown_error');
    expect(xenopsErrorOf(['bad_power_state', ['Running', 'Halted']]).tag).toBe('Bad_power_state');
  });

  test('a disk on the IDE bus is one of the first four of an HVM guest, or one whose key says so', () => {
    const disk = { mode: 'ReadWrite', ty: 'Disk', unpluggable: true, persistent: true } as const;
    const bus = (device: string, position: number, hvm: boolean): Value =>
      tupleOf(member(vbdValue({ ...disk, id: ['a', device], position }, hvm), 'position'), 3)[0] ?? null;
    expect(bus('xvda', 0, true)).toBe('Ide');
    expect(bus('xvde', 4, true)).toBe('Xen');
    expect(bus('xvda', 0, false)).toBe('Xen');
    expect(bus('hda', 0, false)).toBe('Ide');
  });
});
