// Goal: setters and constructors do what depends on the field besides setting it, and leave to the start of a VM
// what only its settings together can tell.
// Method: the real behaviours, asked as clients ask; the rows and what the hypervisor was told are looked at.

import { afterEach, describe, expect, test } from 'vitest';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { type Bench, bench, fakeDisks, fakeHypervisor } from './vm-bench.ts';

let made: Bench | undefined;
afterEach(() => made?.close());

const setUp = async (fields: Record<string, unknown> = {}) => {
  const hypervisor = fakeHypervisor();
  made = await bench(hypervisor, { disks: fakeDisks() });
  const vm = await made.newVm(fields);
  const at = made;
  return {
    at,
    vm,
    hypervisor,
    row: () => at.store.committed.require('VM', vm),
    set: (field: string, value: unknown) => at.call(`VM.set_${field}`, vm, value),
    start: () => at.call('VM.start', vm, false, false),
  };
};
const mib = 1n << 20n;

describe('A VM is made of whatever it is given, and its start says what does not go together', () => {
  for (const [fields, code, params] of [
    [{ memory_dynamic_min: 2048n * mib }, 'MEMORY_CONSTRAINT_VIOLATION', []],
    [{ memory_static_min: 2048n * mib }, 'MEMORY_CONSTRAINT_VIOLATION', []],
    [{ VCPUs_max: 0n }, 'INVALID_VALUE', ['VCPUs_max', '0']],
    [{ VCPUs_at_startup: 0n }, 'INVALID_VALUE', ['VCPUs-at-startup', '0']],
    [{ VCPUs_at_startup: 3n }, 'VALUE_NOT_SUPPORTED', ['VCPUs-at-startup', '3', expect.any(String)]],
    [{ HVM_shadow_multiplier: 0.5 }, 'INVALID_VALUE', ['HVM_shadow_multiplier', '0.5']],
  ] as const) {
    test(
      JSON.stringify(fields, (_, value) => (typeof value === 'bigint' ? Number(value) : value)),
      async () => {
        const { at, vm, start } = await setUp(fields);
        await expect(start()).rejects.toMatchObject({ code, params });
        await expect(at.call('VM.assert_can_boot_here', vm, at.host)).rejects.toMatchObject({ code });
        expect(await at.call('VM.get_possible_hosts', vm)).toEqual([]);
      },
    );
  }

  test('a dynamic range beyond the static one is taken as far as that goes', async () => {
    const { at, vm, start, hypervisor } = await setUp({
      memory_dynamic_min: 2048n * mib,
      memory_dynamic_max: 4096n * mib,
    });
    await start();
    const { memory_dynamic_min, memory_dynamic_max } =
      hypervisor.machines.get(at.uuid(vm))?.metadata.vm ?? {};
    expect([memory_dynamic_min, memory_dynamic_max]).toEqual([1024n * mib, 1024n * mib]);
  });

  for (const action of ['rename_restart', 'coredump_and_destroy', 'coredump_and_restart']) {
    test(`nothing follows ${action} of a guest with emulated firmware`, async () => {
      const { set, start } = await setUp();
      await set('actions_after_crash', action);
      await expect(start()).rejects.toMatchObject({
        code: 'VALUE_NOT_SUPPORTED',
        params: ['VM.actions_after_crash', action, expect.any(String)],
      });
    });
  }
});

describe('Memory', () => {
  test('is aimed at where the dynamic range begins', async () => {
    const { at, vm, row } = await setUp();
    await at.call('VM.set_memory_limits', vm, 64n * mib, 512n * mib, 128n * mib, 256n * mib);
    expect(row().memory_target).toBe(128n * mib);
    await at.call('VM.set_memory_dynamic_range', vm, 192n * mib, 256n * mib);
    expect(row().memory_target).toBe(192n * mib);
    await at.call('VM.set_memory_static_range', vm, 32n * mib, 512n * mib);
    expect(row().memory_target).toBe(192n * mib);
  });

  test('has an older target of a running guest that is taken and changes nothing', async () => {
    const { at, vm, row, start } = await setUp();
    await start();
    const before = row().memory_target;
    await at.call('VM.set_memory_target_live', vm, 512n * mib);
    expect(row().memory_target).toBe(before);
    expect(await at.call('VM.get_cooperative', vm)).toBe(true);
  });
});

describe('Virtual CPUs', () => {
  const rule = 'VCPU values must satisfy: 0 < VCPUs_at_startup ≤ VCPUs_max';

  test('of the next start are set while the guest runs, up to the most it can have', async () => {
    const { set, start, row } = await setUp();
    await start();
    await set('VCPUs_at_startup', 2n);
    expect(row().VCPUs_at_startup).toBe(2n);
    for (const count of [0n, -1n, 3n]) {
      await expect(set('VCPUs_at_startup', count)).rejects.toMatchObject({
        code: 'INVALID_VALUE',
        params: [rule, String(count)],
      });
    }
  });

  test('cannot be fewer at the most than at the start', async () => {
    const { set } = await setUp({ VCPUs_max: 4n, VCPUs_at_startup: 2n });
    await expect(set('VCPUs_max', 1n)).rejects.toMatchObject({ code: 'INVALID_VALUE', params: [rule, '1'] });
    await set('VCPUs_max', 2n);
  });
});

describe('High Availability', () => {
  test('protects from the start on, and until somebody stops the VM', async () => {
    const { at, vm, set, start, row } = await setUp();
    await set('ha_restart_priority', 'restart');
    expect(row().ha_always_run).toBe(false);
    await start();
    expect(row().ha_always_run).toBe(true);
    await set('ha_restart_priority', 'best-effort');
    expect(row().ha_always_run).toBe(false);
    await set('ha_always_run', true);
    expect([row().ha_restart_priority, row().ha_always_run]).toEqual(['restart', true]);
    await at.call('VM.hard_shutdown', vm);
    expect(row().ha_always_run).toBe(false);
    await set('ha_always_run', false);
    expect(row().ha_restart_priority).toBe('');
    await expect(set('ha_restart_priority', 'best_effort')).rejects.toMatchObject({ code: 'INVALID_VALUE' });
  });

  test('goes on with a guest that shut itself down, unless the pool says otherwise', async () => {
    const { at, vm, set, start, row, hypervisor } = await setUp();
    await set('ha_restart_priority', 'restart');
    await start();
    await hypervisor.become(at.uuid(vm), 'Halted');
    expect([row().power_state, row().ha_always_run]).toEqual(['Halted', true]);
    await at.store.commit((tx) => tx.patch('pool', at.pool, { ha_reboot_vm_on_internal_shutdown: false }));
    await start();
    await hypervisor.become(at.uuid(vm), 'Halted');
    expect(row().ha_always_run).toBe(false);
  });
});

describe('A template', () => {
  test('has no figures, is in no group, is protected by nothing and is not made twice', async () => {
    const { at, vm, set, row } = await setUp();
    const { metrics } = row();
    await at.store.commit((tx) => {
      tx.create('VM_group', 'OpaqueRef:group' as Ref<'VM_group'>, { uuid: 'group' });
      tx.patch('VM', vm, { ha_always_run: true, groups: ['OpaqueRef:group' as Ref<'VM_group'>] });
    });
    await set('is_a_template', true);
    expect([row().metrics, row().groups, row().ha_always_run]).toEqual([nullRef, [], false]);
    expect(at.store.committed.get('VM_metrics', metrics)).toBeUndefined();
    await expect(set('is_a_template', true)).rejects.toMatchObject({ code: 'VM_IS_TEMPLATE' });
    await expect(set('groups', [])).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' });
    await set('is_a_template', false);
    await at.call('VM.start', vm, false, false);
    expect(at.store.committed.get('VM_metrics', row().metrics)).toBeDefined();
  });

  test('of the installation is a template, and older clients find the mark where they look', async () => {
    const { set, row } = await setUp();
    await set('is_default_template', true);
    expect([row().is_a_template, row().other_config.get('default_template')]).toEqual([true, 'true']);
    await set('is_default_template', false);
    expect([row().is_a_template, row().other_config.get('default_template')]).toEqual([true, 'false']);
  });
});

test('the vendor device raises the virtual hardware that is asked for, and is changed of halted VMs only', async () => {
  const { set, row, start } = await setUp({ has_vendor_device: false });
  expect(row().hardware_platform_version).toBe(0n);
  await set('has_vendor_device', true);
  expect(row().hardware_platform_version).toBe(2n);
  await set('has_vendor_device', false);
  expect(row().hardware_platform_version).toBe(2n);
  await start();
  await expect(set('has_vendor_device', true)).rejects.toMatchObject({ code: 'VM_BAD_POWER_STATE' });
});

test('boot policy and domain type go together, whatever the guest does now', async () => {
  const { set, row, start } = await setUp();
  await start();
  const both = () => [row().domain_type, row().HVM_boot_policy];
  await set('domain_type', 'pvh');
  expect(both()).toEqual(['pvh', '']);
  await set('HVM_boot_policy', 'BIOS order');
  expect(both()).toEqual(['hvm', 'BIOS order']);
  await set('HVM_boot_policy', '');
  expect(both()).toEqual(['pv', '']);
  await expect(set('domain_type', 'unspecified')).rejects.toMatchObject({ code: 'INVALID_VALUE' });
});

test('entries for the guest reach one that runs, whichever way they are changed', async () => {
  const { at, vm, set, row, start, hypervisor } = await setUp();
  await set('xenstore_data', new Map([['vm-data/a', '1']]));
  expect(hypervisor.calls).not.toContain('setXsdata');
  await start();
  const given = () => [...(hypervisor.given.get(at.uuid(vm)) ?? [])];
  await set(
    'xenstore_data',
    new Map([
      ['vm-data/b', '2'],
      ['note', 'not for the guest'],
    ]),
  );
  expect(given()).toEqual([['vm-data/b', '2']]);
  await at.call('VM.add_to_xenstore_data', vm, 'vm-data/c', '3');
  expect(given()).toEqual([
    ['vm-data/b', '2'],
    ['vm-data/c', '3'],
  ]);
  await expect(at.call('VM.add_to_xenstore_data', vm, 'vm-data/c', '4')).rejects.toMatchObject({
    code: 'MAP_DUPLICATE_KEY',
    params: ['VM', 'xenstore_data', vm, 'vm-data/c'],
  });
  await at.call('VM.remove_from_xenstore_data', vm, 'vm-data/b');
  expect(given()).toEqual([['vm-data/c', '3']]);
  expect([...row().xenstore_data.keys()].sort()).toEqual(['note', 'vm-data/c']);
});

describe('VBD.create', () => {
  const drive = (vm: Ref<'VM'>, more: Record<string, unknown>) =>
    new Map(
      Object.entries({
        VM: vm,
        VDI: nullRef,
        userdevice: 'autodetect',
        bootable: false,
        mode: 'RO',
        type: 'CD',
        empty: true,
        other_config: new Map(),
        qos_algorithm_type: '',
        qos_algorithm_params: new Map(),
        ...more,
      }),
    );

  test('makes only CD drives without a disk', async () => {
    const { at, vm } = await setUp();
    for (const type of ['Disk', 'Floppy']) {
      await expect(at.call('VBD.create', drive(vm, { type }))).rejects.toMatchObject({
        code: 'VBD_NOT_REMOVABLE_MEDIA',
        params: ['in constructor'],
      });
    }
    await at.call('VBD.create', drive(vm, {}));
  });

  test('takes no disk that only the pool itself uses', async () => {
    const { at, vm } = await setUp();
    const vdi = 'OpaqueRef:bitmap' as Ref<'VDI'>;
    await at.store.commit((tx) =>
      tx.create('VDI', vdi, { uuid: 'bitmap', type: 'cbt_metadata', managed: true, SR: at.sr }),
    );
    await expect(
      at.call('VBD.create', drive(vm, { type: 'Disk', empty: false, VDI: vdi })),
    ).rejects.toMatchObject({ code: 'VDI_INCOMPATIBLE_TYPE', params: [vdi, 'CBT metadata'] });
  });

  test('adds nothing to a VM that is on its way to another host', async () => {
    const { at, vm } = await setUp();
    await at.store.commit((tx) =>
      tx.patch('VM', vm, { current_operations: new Map([['OpaqueRef:move', 'pool_migrate']]) }),
    );
    await expect(at.call('VBD.create', drive(vm, {}))).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
      params: ['VM', vm, 'pool_migrate', 'OpaqueRef:move'],
    });
  });
});
