// Goal: VMs are made, cloned, copied, snapshot, reverted, provisioned and destroyed with their disks, and a
// failure in between leaves neither rows nor disks behind.
// Method: the real behaviours; disks are rows of a stand-in whose messages fail where a test says so.

import { afterEach, describe, expect, test } from 'vitest';
import { readProvisionDisks } from '../../actors/vm/provision-disks.ts';
import type { Ref } from '../../src/model/types.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Bench, bench, fakeDisks, fakeHypervisor } from './vm-bench.ts';

const disks = fakeDisks();
let made: Bench | undefined;
afterEach(async () => {
  disks.faults.clear();
  await made?.close();
});

const setUp = async (fields: Record<string, unknown> = {}): Promise<readonly [Bench, Ref<'VM'>]> => {
  made = await bench(fakeHypervisor(), { disks });
  return [made, await made.newVm(fields)];
};

const vmRow = ({ store }: Bench, vm: Ref<'VM'>) => store.committed.require('VM', vm);
const disksOf = (at: Bench, vm: Ref<'VM'>): readonly Ref<'VDI'>[] =>
  vmRow(at, vm).VBDs.flatMap((ref) => {
    const { VDI, empty } = at.store.committed.require('VBD', ref);
    return empty ? [] : [VDI];
  });
const macsOf = (at: Bench, vm: Ref<'VM'>): readonly string[] =>
  vmRow(at, vm).VIFs.map((ref) => at.store.committed.require('VIF', ref).MAC);
const counts = ({ store }: Bench): readonly number[] =>
  (['VM', 'VBD', 'VIF', 'VDI', 'VM_metrics'] as const).map((cls) => [...store.committed.all(cls)].length);

describe('VM.create', () => {
  test('gives the VM a seed, figures of its own and a way to boot', async () => {
    const [at, vm] = await setUp({ HVM_boot_policy: '' });
    const row = vmRow(at, vm);
    expect(row.domain_type).toBe('pv');
    expect(row.other_config.get('mac_seed')).toMatch(/^[0-9a-f-]{36}$/);
    expect(at.store.committed.get('VM_metrics', row.metrics)).toBeDefined();
    expect(row.domid).toBe(-1n);
  });
});

describe('VM.clone and VM.copy', () => {
  for (const [method, args] of [
    ['VM.clone', ['twin']],
    ['VM.copy', ['twin', 'OpaqueRef:NULL']],
  ] as const) {
    test(`${method} makes new disks, drives and cards with addresses of their own`, async () => {
      const [at, vm] = await setUp({ is_a_template: true });
      const twin = await at.call(method, vm, ...args);
      const row = vmRow(at, twin);
      expect([row.name_label, row.is_a_template, row.power_state]).toEqual(['twin', true, 'Halted']);
      expect(row.VBDs.length).toBe(2);
      expect(disksOf(at, twin)).not.toEqual(disksOf(at, vm));
      expect(macsOf(at, twin)).not.toEqual(macsOf(at, vm));
      expect(row.uuid).not.toBe(vmRow(at, vm).uuid);
      expect(vmRow(at, vm).VBDs.length).toBe(2);
    });

    test(`${method} that fails leaves nothing behind`, async () => {
      const [at, vm] = await setUp();
      const before = counts(at);
      disks.faults.set(method === 'VM.clone' ? 'clone' : 'copy', new Fault('SR_FULL', ['1', '2']));
      await expect(at.call(method, vm, ...args)).rejects.toMatchObject({ code: 'SR_FULL' });
      expect(counts(at)).toEqual(before);
      expect(vmRow(at, vm).current_operations.size).toBe(0);
    });
  }
});

describe('VM.snapshot', () => {
  test('is a template that remembers the VM, and the tree of snapshots grows', async () => {
    const [at, vm] = await setUp();
    await at.call('VM.start', vm, false, false);
    const first = await at.call('VM.snapshot', vm, 'first');
    const second = await at.call('VM.snapshot', vm, 'second');
    const row = vmRow(at, first);
    expect([row.is_a_snapshot, row.is_a_template, row.snapshot_of, row.power_state]).toEqual([
      true,
      true,
      vm,
      'Halted',
    ]);
    expect(row.snapshot_info.get('power-state-at-snapshot')).toBe('Running');
    expect(macsOf(at, first)).toEqual(macsOf(at, vm));
    expect(vmRow(at, vm).snapshots).toEqual([first, second]);
    expect([vmRow(at, second).parent, vmRow(at, vm).parent]).toEqual([first, second]);
    expect(row.allowed_operations).toContain('revert');
    await at.call('VM.set_is_a_template', second, false);
    await at.call('VM.destroy', second);
    expect(vmRow(at, vm).snapshots).toEqual([first]);
    expect(vmRow(at, vm).parent).toBe(first);
  });

  test('leaves out the disks it is told to', async () => {
    const [at, vm] = await setUp();
    const snapshot = await at.call('VM.snapshot', vm, 'none', disksOf(at, vm));
    expect(disksOf(at, snapshot)).toEqual([]);
  });

  test('turns the VM back: its settings and new disks from the snapshot, and the old disks are gone', async () => {
    const [at, vm] = await setUp();
    const snapshot = await at.call('VM.snapshot', vm, 'before');
    await at.call('VM.set_VCPUs_max', vm, 4n);
    await at.call('VM.start', vm, false, false);
    const [old] = disksOf(at, vm);
    await at.call('VM.revert', snapshot);
    const row = vmRow(at, vm);
    expect([row.VCPUs_max, row.power_state, row.name_label, row.parent]).toEqual([
      2n,
      'Halted',
      'guest',
      snapshot,
    ]);
    expect(at.store.committed.get('VDI', old as Ref<'VDI'>)).toBeUndefined();
    expect(disksOf(at, vm).length).toBe(1);
    expect(disksOf(at, vm)).not.toEqual(disksOf(at, snapshot));
    expect(row.current_operations.size).toBe(0);
    await at.call('VM.start', vm, false, false);
    expect(at.state(vm)).toBe('Running');
  });

  test('that cannot be reverted to leaves the VM as it was', async () => {
    const [at, vm] = await setUp();
    const snapshot = await at.call('VM.snapshot', vm, 'before');
    const [before, row] = [counts(at), vmRow(at, vm)];
    disks.faults.set('clone', new Fault('SR_FULL', ['1', '2']));
    await expect(at.call('VM.revert', snapshot)).rejects.toMatchObject({ code: 'SR_FULL' });
    expect(counts(at)).toEqual(before);
    expect(vmRow(at, vm)).toEqual(row);
  });
});

describe('VM.provision', () => {
  const wish = '<provision><disk device="1" size="1048576" sr="" bootable="true" type="system"/></provision>';

  test('makes the disks that the template asks for and a VM that can be started', async () => {
    const [at, vm] = await setUp({ is_a_template: true, other_config: new Map([['disks', wish]]) });
    await at.call('VM.provision', vm);
    const row = vmRow(at, vm);
    expect([row.is_a_template, row.other_config.has('disks'), row.VBDs.length]).toEqual([false, false, 3]);
    const drives = row.VBDs.map((ref) => at.store.committed.require('VBD', ref));
    const drive = drives.find(({ userdevice }) => userdevice === '1');
    expect(drive?.other_config.get('owner')).toBe('');
    const vdi = at.store.committed.require('VDI', drive?.VDI as Ref<'VDI'>);
    expect([vdi.virtual_size, vdi.SR, vdi.type]).toEqual([1_048_576n, at.sr, 'system']);
    await expect(at.call('VM.provision', vm)).rejects.toMatchObject({
      code: 'PROVISION_ONLY_ALLOWED_ON_TEMPLATE',
    });
  });

  test('leaves the template as it was when a disk cannot be made', async () => {
    const [at, vm] = await setUp({ is_a_template: true, other_config: new Map([['disks', wish]]) });
    const [before, row] = [counts(at), vmRow(at, vm)];
    disks.faults.set('create', new Fault('SR_FULL', ['1', '2']));
    await expect(at.call('VM.provision', vm)).rejects.toMatchObject({ code: 'SR_FULL' });
    expect(counts(at)).toEqual(before);
    expect(vmRow(at, vm)).toEqual(row);
  });

  test.each([
    ['', 'not a <provision> element'],
    ['<provision><disk/></provision>', 'no size'],
    ['<provision><disk size="0" device="0"/></provision>', 'not a size'],
    ['<provision><disk size="1" device="0" type="floppy"/></provision>', 'not a type'],
    ['<provision><disk size="1" size="2" device="0"/></provision>', 'twice'],
    ['<provision><cat/></provision>', 'not a <disk> element'],
    [`<provision>${'<disk device="0" size="1"/>'.repeat(65)}</provision>`, 'more than 64'],
  ])('says what is wrong with %s', (text, reason) => {
    expect(() => readProvisionDisks(text)).toThrow(reason);
  });

  test('reads quotes of both kinds, entities and a declaration', () => {
    const text = `<?xml version="1.0"?><provision> <disk device='0' size="2" sr="a&amp;b"></disk> </provision>`;
    expect(readProvisionDisks(text)).toEqual([
      { device: '0', sizeBytes: 2n, sr: 'a&b', bootable: false, type: 'user' },
    ]);
  });
});

describe('VM.destroy', () => {
  test('takes drives, cards and figures along and leaves the disks', async () => {
    const [at, vm] = await setUp();
    const [disk] = disksOf(at, vm);
    await at.call('VM.destroy', vm);
    expect(counts(at)).toEqual([0, 0, 0, 1, 0]);
    expect(at.store.committed.require('VDI', disk as Ref<'VDI'>).VBDs).toEqual([]);
  });

  test('is refused while the VM runs', async () => {
    const [at, vm] = await setUp();
    await at.call('VM.start', vm, false, false);
    await expect(at.call('VM.destroy', vm)).rejects.toMatchObject({
      code: 'VM_BAD_POWER_STATE',
      params: [vm, 'halted, suspended', 'running'],
    });
  });
});
