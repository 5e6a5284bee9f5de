// Goal: a revert gives the VM back as it was, destroys no disk but those that it replaces, and leaves every link
// between disks and snapshots right; one that fails changes nothing.
// Method: the real behaviours; disks are rows of a stand-in whose messages fail where a test says so.

import { afterEach, expect, test } from 'vitest';
import type { Ref } from '../../src/model/types.ts';
import { nullRef } from '../../src/model/types.ts';
import { clearLeftovers } from '../../src/rules/leftovers.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Bench, bench, fakeDisks, fakeHypervisor, vbdFields } from './vm-bench.ts';

const disks = fakeDisks();
let made: Bench | undefined;
afterEach(async () => {
  disks.faults.clear();
  await made?.close();
});

const setUp = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
  made = await bench(fakeHypervisor(), { disks });
  return [made, await made.newVm()];
};

const rows = ({ store }: Bench) => store.committed;
const vmRow = (at: Bench, vm: Ref<'VM'>) => rows(at).require('VM', vm);
const disksOf = (at: Bench, vm: Ref<'VM'>): readonly Ref<'VDI'>[] =>
  vmRow(at, vm).VBDs.flatMap((ref) => {
    const { VDI, type } = rows(at).require('VBD', ref);
    return type === 'Disk' ? [VDI] : [];
  });
const isThere = (at: Bench, vdi: Ref<'VDI'> | undefined): boolean =>
  rows(at).get('VDI', vdi as Ref<'VDI'>) !== undefined;
const newDisk = ({ call, sr }: Bench, more: object = {}): Promise<Ref<'VDI'>> =>
  call(
    'VDI.create',
    new Map<string, unknown>(
      Object.entries({
        SR: sr,
        virtual_size: 1n,
        type: 'user',
        sharable: false,
        read_only: false,
        other_config: new Map(),
        ...more,
      }),
    ),
  );
const attach = ({ call }: Bench, VM: Ref<'VM'>, VDI: Ref<'VDI'>, userdevice: string): Promise<Ref<'VBD'>> =>
  call('VBD.create', vbdFields({ VM, VDI, userdevice }));

test('a disk that was attached later loses its drive and nothing else', async () => {
  const [at, vm] = await setUp();
  const snapshot = await at.call('VM.snapshot', vm, 'before');
  const later = await newDisk(at);
  await attach(at, vm, later, '5');
  await at.call('VM.revert', snapshot);
  expect(rows(at).require('VDI', later).VBDs).toEqual([]);
  expect(disksOf(at, vm).length).toBe(1);
});

test('a disk that the snapshot was told to leave out survives, as one that was detached since does', async () => {
  const [at, vm] = await setUp();
  const left = await newDisk(at);
  await attach(at, vm, left, '5');
  const [detached] = disksOf(at, vm) as readonly [Ref<'VDI'>];
  const snapshot = await at.call('VM.snapshot', vm, 'before', [left]);
  const drive = vmRow(at, vm).VBDs.find((ref) => rows(at).require('VBD', ref).VDI === detached);
  await at.call('VBD.destroy', drive);
  await at.call('VM.revert', snapshot);
  expect([isThere(at, left), isThere(at, detached)]).toEqual([true, true]);
  expect(disksOf(at, vm).length).toBe(1);
});

test('a disk that another VM has in a drive survives with that drive, and keeps the snapshots of that VM', async () => {
  const [at, vm] = await setUp();
  const other = await at.newVm();
  const shared = await newDisk(at, { sharable: true });
  await attach(at, vm, shared, '5');
  const drive = await attach(at, other, shared, '5');
  const theirs = await at.call('VM.snapshot', other, 'theirs');
  const snapshot = await at.call('VM.snapshot', vm, 'before');
  await at.call('VM.revert', snapshot);
  expect(rows(at).require('VDI', shared).VBDs).toEqual([drive]);
  expect(disksOf(at, vm)).not.toContain(shared);
  expect(rows(at).require('VDI', shared).snapshots).toEqual([disksOf(at, theirs)[1]]);
  const ours = disksOf(at, vm)[1] as Ref<'VDI'>;
  expect(rows(at).require('VDI', ours).snapshots).toEqual([disksOf(at, snapshot)[1]]);
});

test('snapshots of the replaced disk are those of the new one, however many there are and whichever is taken', async () => {
  const [at, vm] = await setUp();
  const [old] = disksOf(at, vm);
  const taken = [await at.call('VM.snapshot', vm, 'one'), await at.call('VM.snapshot', vm, 'two')];
  for (const snapshot of [...taken, taken[0]]) {
    await at.call('VM.revert', snapshot);
    const [now] = disksOf(at, vm) as readonly [Ref<'VDI'>];
    expect([...rows(at).require('VDI', now).snapshots].sort()).toEqual(
      taken.flatMap((one) => disksOf(at, one)).sort(),
    );
    expect(vmRow(at, vm).parent).toBe(snapshot);
  }
  expect(isThere(at, old)).toBe(false);
  expect([...rows(at).all('VDI')].length).toBe(3);
});

test('what is in CD drives comes back, and a CD that is gone by then leaves an empty drive', async () => {
  const [at, vm] = await setUp();
  const [iso, gone] = [await newDisk(at), await newDisk(at)];
  for (const [VDI, userdevice] of [
    [iso, '6'],
    [gone, '7'],
  ]) {
    await at.call('VBD.create', vbdFields({ VM: vm, VDI, type: 'CD', mode: 'RO', userdevice }));
  }
  const snapshot = await at.call('VM.snapshot', vm, 'before');
  await at.store.commit((tx) => tx.delete('VDI', gone));
  await at.call('VM.revert', snapshot);
  const drives = vmRow(at, vm).VBDs.map((ref) => rows(at).require('VBD', ref));
  expect(drives.filter(({ type }) => type === 'CD').map(({ VDI }) => VDI)).toEqual([nullRef, iso, nullRef]);
  expect(isThere(at, iso)).toBe(true);
});

test('name, settings and blocked operations are as they were; tags and affinity are as they are', async () => {
  const [at, vm] = await setUp();
  await at.call('VM.add_tags', vm, 'early');
  await at.call('VM.add_to_blocked_operations', vm, 'clean_reboot', 'because');
  const snapshot = await at.call('VM.snapshot', vm, 'before');
  await at.call('VM.set_name_label', vm, 'another');
  await at.call('VM.set_order', vm, 9n);
  await at.call('VM.add_tags', vm, 'late');
  await at.call('VM.remove_from_blocked_operations', vm, 'clean_reboot');
  await at.call('VM.add_to_other_config', vm, 'late', 'note');
  await at.call('VM.revert', snapshot);
  const { name_label, order, tags, blocked_operations, other_config } = vmRow(at, vm);
  expect([name_label, order, tags]).toEqual(['guest', 0n, ['early', 'late']]);
  expect([blocked_operations.get('clean_reboot'), other_config.has('late')]).toEqual(['because', false]);
});

test('a VM that is gone comes back under its uuid with all its snapshots, once', async () => {
  const [at, vm] = await setUp();
  const { uuid } = vmRow(at, vm);
  const [old] = disksOf(at, vm) as readonly [Ref<'VDI'>];
  const taken = [await at.call('VM.snapshot', vm, 'one'), await at.call('VM.snapshot', vm, 'two')];
  await at.call('VM.destroy', vm);
  await at.call('VDI.destroy', old);
  const results = await Promise.allSettled(taken.map((snapshot) => at.call('VM.revert', snapshot)));
  expect(results.some(({ status }) => status === 'fulfilled')).toBe(true);
  const again = rows(at).byUuid('VM', uuid) as Ref<'VM'>;
  expect([...vmRow(at, again).snapshots].sort()).toEqual([...taken].sort());
  expect([vmRow(at, again).name_label, vmRow(at, again).is_a_template]).toEqual(['guest', false]);
  const [disk] = disksOf(at, again) as readonly [Ref<'VDI'>];
  expect(rows(at).require('VDI', disk).snapshots.length).toBe(2);
  expect([...rows(at).all('VDI')].length).toBe(3);
  await at.call('VM.start', again, false, false);
  expect(at.state(again)).toBe('Running');
});

test('a guest runs on when its disks cannot be made, and nothing is left of the attempt', async () => {
  const [at, vm] = await setUp();
  const snapshot = await at.call('VM.snapshot', vm, 'before');
  await at.call('VM.start', vm, false, false);
  const [before, count] = [vmRow(at, vm), [...rows(at).all('VDI')].length];
  disks.faults.set('clone', new Fault('SR_FULL', ['1', '2']));
  await expect(at.call('VM.revert', snapshot)).rejects.toMatchObject({ code: 'SR_FULL' });
  expect(vmRow(at, vm)).toEqual(before);
  expect([...rows(at).all('VDI')].length).toBe(count);
});

test('a disk from before that cannot be destroyed does not undo the revert', async () => {
  const [at, vm] = await setUp();
  const snapshot = await at.call('VM.snapshot', vm, 'before');
  const [old] = disksOf(at, vm);
  disks.faults.set('destroy', new Fault('SR_BACKEND_FAILURE', ['broken', '', '']));
  await at.call('VM.revert', snapshot);
  expect([isThere(at, old), disksOf(at, vm).includes(old as Ref<'VDI'>)]).toEqual([true, false]);
  expect(vmRow(at, vm).current_operations.size).toBe(0);
});

test('a snapshot without a record of its VM, as old releases made them, turns back what its own row says', async () => {
  const [at, vm] = await setUp();
  const snapshot = await at.call('VM.snapshot', vm, 'before');
  await at.store.commit((tx) => tx.patch('VM', snapshot, { snapshot_metadata: '' }));
  await at.call('VM.set_VCPUs_max', vm, 4n);
  await at.call('VM.set_name_label', vm, 'another');
  await at.call('VM.revert', snapshot);
  const { VCPUs_max, name_label, is_a_snapshot, is_a_template } = vmRow(at, vm);
  expect([VCPUs_max, name_label, is_a_snapshot, is_a_template]).toEqual([2n, 'another', false, false]);
  await at.call('VM.destroy', vm);
  await expect(at.call('VM.revert', snapshot)).rejects.toMatchObject({
    code: 'VM_REVERT_FAILED',
    params: [snapshot, vm],
  });
});

test('a name of what is gone by then names nothing', async () => {
  const [at, vm] = await setUp();
  const sr = 'OpaqueRef:other-sr' as Ref<'SR'>;
  await at.store.commit((tx) => tx.create('SR', sr, { uuid: 'other-sr' }));
  await at.call('VM.set_suspend_SR', vm, sr);
  const snapshot = await at.call('VM.snapshot', vm, 'before');
  await at.store.commit((tx) => tx.delete('SR', sr));
  await at.call('VM.revert', snapshot);
  expect(vmRow(at, vm).suspend_SR).toBe(nullRef);
});

test('the largest VM has snapshots too, and what their record has no room for is taken from their own row', async () => {
  const [at, vm] = await setUp();
  const large = new Map(Array.from({ length: 8 }, (_, i) => [`note ${i}`, "'".repeat(125_000)]));
  for (const [name, value] of [
    ['other_config', large],
    ['xenstore_data', large],
  ] as const) {
    await at.call(`VM.set_${name}`, vm, value);
    const snapshot = await at.call('VM.snapshot', vm, 'large');
    await at.call(`VM.set_${name}`, vm, new Map());
    await at.call('VM.revert', snapshot);
    expect(vmRow(at, vm)[name].get('note 7')).toBe(large.get('note 7'));
  }
});

test('what a host that ended in the middle of it left is destroyed when it starts again, unless somebody has it', async () => {
  const [at, vm] = await setUp();
  const [held] = disksOf(at, vm) as readonly [Ref<'VDI'>];
  const [orphan, image, theirs] = [await newDisk(at), await newDisk(at), await newDisk(at)];
  await at.store.commit((tx) => {
    const host = (vdi: Ref<'VDI'>) => [vdi, at.host] as const;
    const elsewhere = [theirs, 'OpaqueRef:other-host' as Ref<'host'>] as const;
    const leftovers = new Map([
      host(held),
      host(orphan),
      host(image),
      host('OpaqueRef:no' as Ref<'VDI'>),
      elsewhere,
    ]);
    tx.patch('VM', vm, { leftovers, suspend_VDI: image, power_state: 'Suspended' });
  });
  await clearLeftovers(at);
  expect([held, orphan, image, theirs].map((vdi) => isThere(at, vdi))).toEqual([true, false, true, true]);
  expect([...vmRow(at, vm).leftovers.keys()]).toEqual([theirs]);
});

test('what a guest was falling asleep in as its host ended stays until it is known whether it sleeps', async () => {
  const [at, vm] = await setUp();
  const image = await newDisk(at);
  const leftovers = new Map([[image, at.host] as const]);
  await at.store.commit((tx) =>
    tx.patch('VM', vm, { leftovers, suspend_VDI: image, power_state: 'Running' }),
  );
  await clearLeftovers(at);
  expect([isThere(at, image), vmRow(at, vm).leftovers.size]).toEqual([true, 1]);
  await at.store.commit((tx) => tx.patch('VM', vm, { power_state: 'Halted' }));
  await clearLeftovers(at);
  expect([isThere(at, image), vmRow(at, vm).leftovers.size]).toEqual([false, 0]);
});

test("work notes the disks that it makes and replaces until they are somebody's or gone", async () => {
  const [at, vm] = await setUp();
  const noted: number[] = [];
  const stop = at.store.watch(() => {
    for (const [, { leftovers }] of rows(at).all('VM')) if (leftovers.size > 0) noted.push(leftovers.size);
  });
  const snapshot = await at.call('VM.snapshot', vm, 'before');
  const taken = noted.length;
  await at.call('VM.revert', snapshot);
  const [old] = disksOf(at, vm);
  disks.faults.set('destroy', new Fault('SR_BACKEND_FAILURE', ['broken', '', '']));
  await at.call('VM.revert', snapshot);
  stop();
  expect([taken > 0, noted.length > taken, isThere(at, old)]).toEqual([true, true, true]);
  await clearLeftovers(at);
  expect(isThere(at, old)).toBe(false);
  for (const [, { leftovers }] of rows(at).all('VM')) expect(leftovers.size).toBe(0);
});
