// Goal: whatever fails, hangs or is cancelled, no row, volume, open disk, mark or pending task is left behind.
// Method: the whole runtime over storage in memory, each step of which is made to fail or hang in turn.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Storage } from '../../../src/drivers/storage/storage.ts';
import type { Ref } from '../../../src/model/types.ts';
import { DiskFull } from '../../../src/store/durable.ts';
import type { World } from '../../world.ts';
import { clientOf, streamed } from '../client.ts';
import { type FakeStorage, failing, fakeStorage, hanging } from '../fake-storage.ts';
import {
  createSr,
  createVdi,
  idle,
  noRef,
  pending,
  refusal,
  srOf,
  storageWorld,
  vdiOf,
} from '../storage-world.ts';

let w: World;
let fake: FakeStorage;
let sr: Ref<'SR'>;
let vdi: Ref<'VDI'>;

beforeEach(async () => {
  fake = fakeStorage();
  w = await storageWorld(fake.storage);
  sr = await createSr(w, '/fake', 'fake');
  vdi = await createVdi(w, sr);
});

afterEach(() => w.close());

const volumes = (): readonly string[] => [...(fake.volumes.get(srOf(w, sr).uuid)?.keys() ?? [])].sort();
const rows = (): readonly string[] =>
  srOf(w, sr)
    .VDIs.map((ref) => vdiOf(w, ref).location)
    .sort();

/** As it was before: one disk, nothing open, nothing running. */
const untouched = (): void => {
  expect(volumes()).toEqual(rows());
  expect(rows()).toEqual([vdiOf(w, vdi).location]);
  expect([...fake.open]).toEqual([]);
  expect(idle(w)).toBe(true);
  expect(srOf(w, sr).virtual_allocation).toBe(vdiOf(w, vdi).virtual_size);
};

const works: readonly (readonly [string, keyof Storage, () => readonly unknown[]])[] = [
  ['VDI.snapshot', 'snapshotVolume', () => [vdi]],
  ['VDI.clone', 'cloneVolume', () => [vdi]],
  ['VDI.clone', 'setVolumeName', () => [vdi]],
  ['VDI.copy', 'createVolume', () => [vdi, sr]],
  ['VDI.copy', 'openVolume', () => [vdi, sr]],
  ['VDI.copy', 'statVolume', () => [vdi, sr]],
  ['VDI.resize', 'resizeVolume', () => [vdi, 8n << 20n]],
  ['VDI.update', 'updateVolume', () => [vdi]],
  ['VDI.set_name_label', 'setVolumeName', () => [vdi, 'other']],
  ['VDI.destroy', 'destroyVolume', () => [vdi]],
  ['SR.scan', 'scanSr', () => [sr]],
  ['SR.update', 'updateSr', () => [sr]],
  ['PBD.unplug', 'detachSr', () => [srOf(w, sr).PBDs[0]]],
];

describe.each(works)('%s', (method, step, args) => {
  test(`leaves nothing behind when ${step} fails`, async () => {
    fake.disturb(step, failing);
    expect((await refusal(w.call(method, ...args())))[0]).toBe('SR_BACKEND_FAILURE');
    untouched();
  });

  test(`leaves nothing behind when it is cancelled while ${step} hangs`, async () => {
    const started = new Promise<void>((resolve) => {
      fake.disturb(step, (call) => {
        resolve();
        return hanging(call);
      });
    });
    const task = await w.callAsync(method, ...args());
    await started;
    // What is undone may need the very step that hung.
    fake.restore();
    expect(w.services.cancel(task)).toBe(true);
    expect(await w.finished(task)).toMatchObject({
      status: 'cancelled',
      error_info: [],
    });
    untouched();
  });
});

test.each(works.filter(([method]) => /snapshot|clone/.test(method)))(
  '%s takes its volume away when the disk of the database is full',
  async (method, _, args) => {
    w.disk.refuseWrites(new DiskFull('no space'));
    const answer = await refusal(w.call(method, ...args())).finally(() => w.disk.refuseWrites(undefined));
    expect(answer[0]).toBe('OUT_OF_SPACE');
    untouched();
  },
);

test('a disk that is larger than asked for is taken, one that did not grow enough is said to be so', async () => {
  fake.storage.resizeVolume = async () => 5n << 20n;
  await w.call('VDI.resize', vdi, 4n << 20n);
  expect(vdiOf(w, vdi).virtual_size).toBe(5n << 20n);
  const sizes = [`${9n << 20n}`, `${5n << 20n}`];
  expect(await refusal(w.call('VDI.resize', vdi, 9n << 20n))).toEqual([
    'SR_BACKEND_FAILURE',
    'Disk too small',
    ...sizes,
  ]);
});

test('a scan waits for a clone under way, and does not see its volume as a new disk', async () => {
  let go = (): void => {};
  const naming = new Promise<void>((started) => {
    fake.disturb('setVolumeName', () => {
      started();
      return new Promise((resolve) => {
        go = resolve;
      });
    });
  });
  const before = fake.calls.length;
  const clone = w.call('VDI.clone', vdi);
  await naming;
  expect(volumes()).toHaveLength(2);
  const scan = w.call('SR.scan', sr);
  await w.until(() => pending(w).length === 2);
  expect(fake.calls.slice(before)).not.toContain('scanSr');
  go();
  await Promise.all([clone, scan]);
  expect(rows()).toHaveLength(2);
  expect(rows()).toEqual(volumes());
});

test('disks are made one after the other, and each of many callers gets one', async () => {
  const made = await Promise.all(Array.from({ length: 20 }, () => createVdi(w, sr)));
  expect(new Set(made).size).toBe(20);
  expect(rows()).toEqual(volumes());
  await Promise.all(made.map((one) => w.call('VDI.destroy', one)));
  untouched();
});

test('a copy that waits its turn can be cancelled', async () => {
  fake.disturb('resizeVolume', hanging);
  const resize = await w.callAsync('VDI.resize', vdi, 8n << 20n);
  await w.until(() => vdiOf(w, vdi).current_operations.size === 1);
  const copy = await w.callAsync('VDI.copy', vdi, sr);
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  expect(w.services.cancel(copy)).toBe(true);
  expect(await w.finished(copy)).toMatchObject({ status: 'cancelled' });
  expect(w.services.cancel(resize)).toBe(true);
  await w.finished(resize);
  untouched();
});

test('a use of a disk ends with its task, and closes what it opened', async () => {
  const task = 'OpaqueRef:task' as Ref<'task'>;
  const body = async function* () {
    yield Buffer.from('x');
    expect(vdiOf(w, vdi).current_operations.size).toBe(1);
    w.services.cancel(task);
    yield Buffer.from('y');
  };
  const use = streamed(w, 'put_import_raw_vdi', [vdi], clientOf(body()).client, { task });
  expect(await refusal(use)).toEqual(['TASK_CANCELLED', task]);
  untouched();
});

test('a use waits for the disk and is refused while a guest has it', async () => {
  const drive = 'OpaqueRef:drive' as Ref<'VBD'>;
  const take = () => streamed(w, 'get_export_raw_vdi', [vdi], clientOf().client);
  await w.store.commit((tx) => tx.create('VBD', drive, { VDI: vdi, currently_attached: true, mode: 'RO' }));
  await take();
  const give = streamed(w, 'put_import_raw_vdi', [vdi], clientOf().client);
  expect((await refusal(give))[0]).toBe('VDI_IN_USE');
  await w.store.commit((tx) => tx.patch('VBD', drive, { mode: 'RW' }));
  expect((await refusal(take()))[0]).toBe('VDI_IN_USE');
  expect(await refusal(w.call('PBD.unplug', srOf(w, sr).PBDs[0]))).toEqual(['VDI_IN_USE', vdi]);
  // That of a checkpoint says the same, and no guest writes by it.
  const checkpoint = 'OpaqueRef:checkpoint' as Ref<'VM'>;
  await w.store.commit((tx) => {
    tx.create('VM', checkpoint, { is_a_snapshot: true, power_state: 'Suspended' });
    tx.patch('VBD', drive, { VM: checkpoint });
  });
  await take();
});

test('a constructor that lacks a field leaves no task', async () => {
  expect((await refusal(w.call('VDI.create', new Map([['SR', sr]]))))[0]).toBe('INTERNAL_ERROR');
  expect((await refusal(createVdi(w, noRef)))[0]).toBe('HANDLE_INVALID');
  expect(pending(w)).toEqual([]);
});

test('a repository of 1,000 volumes is scanned in one commit, and again without one', async () => {
  const { uuid } = srOf(w, sr);
  const disks = fake.volumes.get(uuid);
  for (let i = 0; i < 999; i += 1) {
    const first = [...(disks?.values() ?? [])][0];
    if (first) disks?.set(`volume ${i}`, { ...first, key: `volume ${i}`, name: `disk ${i}` });
  }
  await w.call('SR.scan', sr);
  expect(rows()).toEqual(volumes());
  expect(srOf(w, sr).virtual_allocation).toBe(1000n * (4n << 20n));
  const before = srOf(w, sr).VDIs.map((ref) => vdiOf(w, ref));
  await w.call('SR.scan', sr);
  expect(srOf(w, sr).VDIs.every((ref, i) => vdiOf(w, ref) === before[i])).toBe(true);
});

/** As with a driver that can do it in place. */
const canRevert = async (): Promise<void> => {
  await w.store.commit((tx) => {
    for (const [sm, { type, features }] of [...tx.all('SM')])
      if (type === 'fake') tx.patch('SM', sm, { features: new Map([...features, ['VDI_REVERT', 1n]]) });
  });
};

test('a disk becomes what its snapshot is, and stays the disk that it is', async () => {
  const snapshot: Ref<'VDI'> = await w.call('VDI.snapshot', vdi);
  expect(await refusal(w.call('VDI.revert', snapshot))).toEqual([
    'UNIMPLEMENTED_IN_SM_BACKEND',
    'VDI.revert',
  ]);
  await canRevert();
  const before = vdiOf(w, vdi);
  await w.call('VDI.resize', vdi, 8n << 20n);
  await w.call('VDI.revert', snapshot);
  expect(vdiOf(w, vdi)).toEqual(before);
  expect(srOf(w, sr).virtual_allocation).toBe(2n * before.virtual_size);
  expect(await refusal(w.call('VDI.revert', vdi))).toEqual(['REVERT_ONLY_ALLOWED_ON_SNAPSHOT']);
  expect(idle(w)).toBe(true);
});

test('a disk is not reverted under a guest, nor once it is gone or elsewhere, nor when its driver fails', async () => {
  await canRevert();
  const snapshot: Ref<'VDI'> = await w.call('VDI.snapshot', vdi);
  const drive = 'OpaqueRef:drive' as Ref<'VBD'>;
  await w.store.commit((tx) => tx.create('VBD', drive, { VDI: vdi, currently_attached: true, mode: 'RO' }));
  expect(await refusal(w.call('VDI.revert', snapshot))).toEqual(['VDI_IN_USE', vdi, 'revert_from']);
  await w.store.commit((tx) => tx.delete('VBD', drive));
  fake.disturb('revertVolume', failing);
  expect((await refusal(w.call('VDI.revert', snapshot)))[0]).toBe('SR_BACKEND_FAILURE');
  await w.store.commit((tx) => tx.patch('VDI', snapshot, { snapshot_of: 'OpaqueRef:gone' as Ref<'VDI'> }));
  expect((await refusal(w.call('VDI.revert', snapshot)))[0]).toBe('HANDLE_INVALID');
  const other = await createSr(w, '/other', 'fake');
  const elsewhere = await createVdi(w, other);
  await w.store.commit((tx) => tx.patch('VDI', snapshot, { snapshot_of: elsewhere }));
  expect((await refusal(w.call('VDI.revert', snapshot)))[0]).toBe('OPERATION_NOT_ALLOWED');
  expect(idle(w)).toBe(true);
});
