// Goal: settings of VMs are checked, kept, and refused with faults that clients know.
// Method: the real behaviours, asked as clients ask; the rows are read back.

import { afterEach, describe, expect, test } from 'vitest';
import type { Ref } from '../../src/model/types.ts';
import { type Bench, bench, fakeHypervisor } from './vm-bench.ts';

let made: Bench | undefined;
afterEach(() => made?.close());

const setUp = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
  made = await bench(fakeHypervisor());
  return [made, await made.newVm()];
};
const row = ({ store }: Bench, vm: Ref<'VM'>) => store.committed.require('VM', vm);
const gib = 1024n ** 3n;

describe('Maps of a VM', () => {
  for (const [field, key] of [
    ['other_config', 'note'],
    ['platform', 'acpi'],
    ['blocked_operations', 'start'],
    ['NVRAM', 'EFI-variables'],
  ] as const) {
    test(`${field} refuses a key that is there and forgives one that is not`, async () => {
      const [at, vm] = await setUp();
      await at.call(`VM.add_to_${field}`, vm, key, '1');
      await expect(at.call(`VM.add_to_${field}`, vm, key, '2')).rejects.toMatchObject({
        code: 'MAP_DUPLICATE_KEY',
        params: ['VM', field, vm, key],
      });
      expect(new Map<string, string>(row(at, vm)[field]).get(key)).toBe('1');
      await at.call(`VM.remove_from_${field}`, vm, key);
      await at.call(`VM.remove_from_${field}`, vm, key);
      expect(new Map<string, string>(row(at, vm)[field]).has(key)).toBe(false);
    });
  }

  test('a blocked operation is refused with its reason and not listed', async () => {
    const [at, vm] = await setUp();
    await at.call('VM.add_to_blocked_operations', vm, 'start', 'not today');
    expect(row(at, vm).allowed_operations).not.toContain('start');
    await expect(at.call('VM.start', vm, false, false)).rejects.toMatchObject({
      code: 'OPERATION_BLOCKED',
      params: [vm, 'not today'],
    });
  });
});

describe('Memory and virtual CPUs of a halted VM', () => {
  test('change together, in order, or not at all', async () => {
    const [at, vm] = await setUp();
    await at.call('VM.set_memory_limits', vm, gib, 4n * gib, 2n * gib, 3n * gib);
    const limits = row(at, vm);
    expect([limits.memory_static_max, limits.memory_dynamic_max, limits.memory_target]).toEqual([
      4n * gib,
      3n * gib,
      2n * gib,
    ]);
    await expect(at.call('VM.set_memory_static_max', vm, gib)).rejects.toMatchObject({
      code: 'MEMORY_CONSTRAINT_VIOLATION_ORDER',
    });
    await at.call('VM.set_memory', vm, 2n * gib);
    expect(row(at, vm).memory_dynamic_min).toBe(2n * gib);
    await expect(at.call('VM.set_VCPUs_at_startup', vm, 3n)).rejects.toMatchObject({ code: 'INVALID_VALUE' });
    await at.call('VM.set_VCPUs_max', vm, 8n);
    await at.call('VM.set_VCPUs_at_startup', vm, 3n);
    expect([row(at, vm).VCPUs_max, row(at, vm).VCPUs_at_startup]).toEqual([8n, 3n]);
  });

  test('the memory that fits beside its overhead really fits', async () => {
    const [at, vm] = await setUp();
    const most = await at.call('VM.maximise_memory', vm, 8n * gib, true);
    await at.call('VM.set_memory', vm, most);
    expect(most + (await at.call('VM.compute_memory_overhead', vm))).toBeLessThanOrEqual(8n * gib);
    expect(most).toBeGreaterThan(7n * gib);
  });

  test('stay fixed while it runs', async () => {
    const [at, vm] = await setUp();
    await at.call('VM.start', vm, false, false);
    await expect(at.call('VM.set_VCPUs_max', vm, 8n)).rejects.toMatchObject({
      code: 'VM_BAD_POWER_STATE',
      params: [vm, 'halted', 'running'],
    });
  });
});

describe('Templates', () => {
  test('are made of halted VMs, are not started, and are VMs again', async () => {
    const [at, vm] = await setUp();
    await at.call('VM.set_is_a_template', vm, true);
    await expect(at.call('VM.start', vm, false, false)).rejects.toMatchObject({
      code: 'VM_IS_TEMPLATE',
      params: [vm, 'start'],
    });
    await at.call('VM.set_is_a_template', vm, false);
    await at.call('VM.start', vm, false, false);
    await expect(at.call('VM.set_is_a_template', vm, true)).rejects.toMatchObject({
      code: 'VM_BAD_POWER_STATE',
    });
  });
});

test('BIOS strings are set once', async () => {
  const [at, vm] = await setUp();
  await at.call('VM.set_bios_strings', vm, new Map([['bios-vendor', 'Us']]));
  expect(row(at, vm).bios_strings.get('bios-vendor')).toBe('Us');
  await expect(at.call('VM.set_bios_strings', vm, new Map())).rejects.toMatchObject({
    code: 'VM_BIOS_STRINGS_ALREADY_SET',
  });
});

test('What is asked about a VM is answered from its rows', async () => {
  const [at, vm] = await setUp();
  expect(await at.call('VM.get_possible_hosts', vm)).toEqual([at.host]);
  await at.call('VM.assert_can_boot_here', vm, at.host);
  await at.store.commit((tx) => tx.patch('host', at.host, { enabled: false }));
  await expect(at.call('VM.assert_can_boot_here', vm, at.host)).rejects.toMatchObject({
    code: 'HOST_DISABLED',
    params: [at.host],
  });
  await at.call('VM.assert_operation_valid', vm, 'clone');
  await expect(at.call('VM.assert_operation_valid', vm, 'pause')).rejects.toMatchObject({
    code: 'VM_BAD_POWER_STATE',
  });
  const record = await at.call('VM.get_boot_record', vm);
  expect([record.get('name_label'), record.has('allowed_operations')]).toEqual(['guest', true]);
});
