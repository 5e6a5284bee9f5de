// Goal: disks are made, branched, copied, changed and deleted on real storage, and rows say what is so.
// Method: the whole runtime in process over the real storage layer and our file plugin as processes.

import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chainCollapser } from '../../../actors/sr/collapse.ts';
import type { OpenVolume } from '../../../src/drivers/storage/storage.ts';
import type { Ref } from '../../../src/model/types.ts';
import { openDiskHere } from '../../../src/rules/open-disk.ts';
import { DiskFull } from '../../../src/store/durable.ts';
import { type BuiltPlugins, buildPlugins } from '../../plugins/built-plugins.ts';
import { hasQemu } from '../../qemu-img.ts';
import { clientOf, streamed } from '../client.ts';
import {
  createSr,
  createVdi,
  idle,
  noRef,
  type RealWorld,
  realWorld,
  refusal,
  srOf,
  vdiOf,
} from '../storage-world.ts';

let plugins: BuiltPlugins;
let w: RealWorld;
let sr: Ref<'SR'>;
let folder: string;

beforeAll(async () => {
  plugins = await buildPlugins();
  w = await realWorld([plugins.scripts]);
  folder = w.newFolder();
  sr = await createSr(w, folder);
}, 60_000);

afterAll(async () => {
  await w.remove();
  await plugins.remove();
});

const promised = <T>() => {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
};

const used = async <T>(
  vdi: Ref<'VDI'>,
  how: 'read' | 'write',
  use: (open: OpenVolume) => Promise<T>,
): Promise<T> => {
  const { signal } = new AbortController();
  const disk = await openDiskHere(w.services, { vdi, how, operation: 'test' }, signal);
  try {
    return await use(disk);
  } finally {
    await disk.close();
  }
};

const write = (vdi: Ref<'VDI'>, text: string, at = 0n): Promise<void> =>
  used(vdi, 'write', (open) => open.write(Buffer.from(text), at));

const read = (vdi: Ref<'VDI'>, length: number, at = 0n): Promise<string> =>
  used(vdi, 'read', async (open) => {
    const into = Buffer.alloc(length);
    await open.read(into, at);
    return into.toString('latin1');
  });

test('a disk is never smaller than asked, and its repository knows what it promised', async () => {
  const asked = 4n * 1024n * 1024n + 1n;
  const vdi = await createVdi(w, sr, { virtual_size: asked, name_label: 'odd', tags: ['t'] });
  const record = vdiOf(w, vdi);
  expect(record.virtual_size).toBeGreaterThanOrEqual(asked);
  expect(record).toMatchObject({ name_label: 'odd', tags: ['t'], managed: true, SR: sr, missing: false });
  expect(record.allowed_operations).toContain('snapshot');
  expect(srOf(w, sr).virtual_allocation).toBe(record.virtual_size);
  await w.call('VDI.destroy', vdi);
  expect(srOf(w, sr)).toMatchObject({ VDIs: [], virtual_allocation: 0n });
  expect((await readdir(folder)).filter((name) => /qcow2|raw/.test(name))).toEqual([]);
});

test('snapshots and clones have the data and the tags of their disk at another location', async () => {
  const vdi = await createVdi(w, sr, { tags: ['x'] });
  await write(vdi, 'before');
  expect(vdiOf(w, vdi).physical_utilisation).toBeGreaterThan(0n);
  const snapshot: Ref<'VDI'> = await w.call('VDI.snapshot', vdi);
  await write(vdi, 'after!');
  const clone: Ref<'VDI'> = await w.call('VDI.clone', snapshot);
  expect(vdiOf(w, snapshot)).toMatchObject({ is_a_snapshot: true, snapshot_of: vdi, tags: ['x'] });
  expect(vdiOf(w, vdi).snapshots).toEqual([snapshot]);
  expect(vdiOf(w, clone)).toMatchObject({ is_a_snapshot: false, tags: ['x'] });
  expect(new Set([vdi, snapshot, clone].map((ref) => vdiOf(w, ref).location)).size).toBe(3);
  expect(await read(snapshot, 6)).toBe('before');
  expect(await read(clone, 6)).toBe('before');
  expect(await read(vdi, 6)).toBe('after!');
  const before = [snapshot, clone].map((ref) => vdiOf(w, ref));
  await w.call('SR.scan', sr);
  expect([snapshot, clone].map((ref) => vdiOf(w, ref))).toEqual(before);
  for (const ref of [clone, snapshot, vdi]) await w.call('VDI.destroy', ref);
  expect(idle(w)).toBe(true);
});

test('a copy has the data and stays thin, and a task reports its progress', async () => {
  const vdi = await createVdi(w, sr, { virtual_size: 64n << 20n });
  await write(vdi, 'start');
  await write(vdi, 'end', (64n << 20n) - 3n);
  const task = await w.callAsync('VDI.copy', vdi, sr);
  const done = await w.finished(task);
  expect(done).toMatchObject({ status: 'success' });
  const [copy] = srOf(w, sr).VDIs.filter((ref) => ref !== vdi) as [Ref<'VDI'>];
  expect(await read(copy, 5)).toBe('start');
  expect(await read(copy, 3, (64n << 20n) - 3n)).toBe('end');
  expect(vdiOf(w, copy).physical_utilisation).toBeLessThan(8n << 20n);
  await w.call('VDI.destroy', copy);
  await w.call('VDI.destroy', vdi);
  await w.call('task.destroy', task).catch(() => {});
});

test('a copy into a disk replaces what was there, with a base only what differs from it', async () => {
  const vdi = await createVdi(w, sr);
  const target = await createVdi(w, sr);
  await write(target, 'rubbish', 1_000_000n);
  await write(vdi, 'aaaa');
  await w.call('VDI.copy', vdi, noRef, noRef, target);
  expect(await read(target, 7, 1_000_000n)).toBe('\0'.repeat(7));
  const snapshot = await w.call('VDI.snapshot', vdi);
  await write(vdi, 'bb', 2n);
  await w.call('VDI.copy', vdi, noRef, snapshot, target);
  expect(await read(target, 4)).toBe('aabb');
  const small = await createVdi(w, sr, { virtual_size: 1n << 20n });
  expect((await refusal(w.call('VDI.copy', vdi, noRef, noRef, small)))[0]).toBe('VDI_TOO_SMALL');
  expect((await refusal(w.call('VDI.copy', vdi, noRef, noRef, vdi)))[0]).toBe('OPERATION_NOT_ALLOWED');
  for (const ref of [small, snapshot, target, vdi]) await w.call('VDI.destroy', ref);
});

test('a disk grows and keeps what it holds, and never shrinks', async () => {
  const vdi = await createVdi(w, sr);
  await write(vdi, 'kept');
  await w.call('VDI.resize', vdi, 5n << 20n);
  expect(vdiOf(w, vdi).virtual_size).toBeGreaterThanOrEqual(5n << 20n);
  expect(await read(vdi, 4)).toBe('kept');
  expect((await refusal(w.call('VDI.resize', vdi, 1n << 20n)))[0]).toBe('SR_BACKEND_FAILURE');
  expect(srOf(w, sr).virtual_allocation).toBe(vdiOf(w, vdi).virtual_size);
  await w.call('VDI.destroy', vdi);
});

test('a disk that is read or written to is in use: it is neither deleted nor written by another', async () => {
  const vdi = await createVdi(w, sr);
  const [begun, gate] = [promised<void>(), promised<void>()];
  const write = (): Promise<void> => {
    begun.resolve();
    return gate.promise;
  };
  const reading = streamed(w, 'get_export_raw_vdi', [vdi], {
    ...clientOf().client,
    answer: () => ({ write }),
  });
  await begun.promise;
  expect([...vdiOf(w, vdi).current_operations.values()]).toEqual(['copy']);
  expect(await refusal(w.call('VDI.destroy', vdi))).toEqual(['VDI_IN_USE', vdi, 'destroy']);
  const written = streamed(w, 'put_import_raw_vdi', [vdi], clientOf([Buffer.from('x')]).client);
  expect((await refusal(written)).slice(0, 2)).toEqual(['VDI_IN_USE', vdi]);
  expect(await refusal(w.call('PBD.unplug', srOf(w, sr).PBDs[0]))).toEqual(['VDI_IN_USE', vdi]);
  const second = clientOf();
  await streamed(w, 'get_export_raw_vdi', [vdi], second.client);
  expect(Buffer.concat(second.answered)).toHaveLength(4 << 20);
  gate.resolve();
  await reading;
  await w.call('VDI.destroy', vdi);
  expect(await refusal(streamed(w, 'get_export_raw_vdi', [vdi], second.client))).toEqual([
    'HANDLE_INVALID',
    'VDI',
    vdi,
  ]);
});

test('a name is changed on the storage too, so that a scan finds the new one', async () => {
  const vdi = await createVdi(w, sr);
  await w.call('VDI.set_name_label', vdi, 'renamed');
  await w.call('VDI.set_name_description', vdi, 'described');
  await w.call('SR.scan', sr);
  await w.call('VDI.update', vdi);
  expect(vdiOf(w, vdi)).toMatchObject({ name_label: 'renamed', name_description: 'described' });
  await w.call('VDI.destroy', vdi);
});

test('a forgotten disk comes back with a scan or by its location, and only once', async () => {
  const vdi = await createVdi(w, sr, { name_label: 'lost', sm_config: new Map([['type', 'thin']]) });
  const { location, uuid } = vdiOf(w, vdi);
  await w.call('VDI.forget', vdi);
  expect(srOf(w, sr).VDIs).toEqual([]);
  const introduce = (id: string, at: string) =>
    w.call('VDI.introduce', id, 'found', '', sr, 'user', false, false, new Map(), at);
  expect(await refusal(introduce('', 'nowhere'))).toEqual(['VDI_LOCATION_MISSING', sr, 'nowhere']);
  const found: Ref<'VDI'> = await introduce(uuid, location);
  expect(vdiOf(w, found)).toMatchObject({ uuid, location, virtual_size: 4n << 20n });
  expect((await refusal(introduce(uuid, 'other')))[0]).toBe('DB_UNIQUENESS_CONSTRAINT_VIOLATION');
  expect(await refusal(introduce('', location))).toEqual(['LOCATION_NOT_UNIQUE', sr, location]);
  await w.call('VDI.forget', found);
  await w.call('SR.scan', sr);
  const [again] = srOf(w, sr).VDIs as [Ref<'VDI'>];
  expect(vdiOf(w, again)).toMatchObject({ name_label: 'lost', uuid, location });
  expect(vdiOf(w, again).sm_config.get('type')).toBe('thin');
  const many = new Map(Array.from({ length: 100 }, (_, n) => [`${n}`, '']));
  expect((await refusal(createVdi(w, sr, { sm_config: many })))[1]).toContain('at most 32 settings');
  await w.call('VDI.destroy', again);
});

test('records of disks are not for clients to write behind the driver', async () => {
  const vdi = await createVdi(w, sr);
  expect((await refusal(w.call('VDI.db_forget', vdi)))[0]).toBe('PERMISSION_DENIED');
  await w.call('VDI.destroy', vdi);
});

test('a write that cannot be kept takes the new volume away again', async () => {
  w.disk.refuseWrites(new DiskFull('no space'));
  const answer = await refusal(createVdi(w, sr)).finally(() => w.disk.refuseWrites(undefined));
  expect(answer[0]).toBe('OUT_OF_SPACE');
  expect((await w.storage.scanSr(srOf(w, sr).uuid, { debugInfo: 'test' })).volumes).toEqual([]);
  expect(srOf(w, sr).VDIs).toEqual([]);
  expect(srOf(w, sr).current_operations.size).toBe(0);
});

test.skipIf(!hasQemu)(
  'images that destroyed snapshots left are merged, and the disk is what it was',
  async () => {
    const at = w.newFolder();
    const place = await createSr(w, at);
    const disk = await createVdi(w, place);
    for (const text of ['one', 'two']) {
      await write(disk, text, text === 'one' ? 0n : 512n);
      await w.call('VDI.destroy', (await w.call('VDI.snapshot', disk, new Map())) as Ref<'VDI'>);
    }
    const images = async () => (await readdir(at)).filter((name) => name.endsWith('.qcow2')).length;
    expect(await images()).toBe(3);
    await chainCollapser(w.services).collapse(place);
    expect(await images()).toBe(1);
    expect([await read(disk, 3), await read(disk, 3, 512n)]).toEqual(['one', 'two']);
  },
);
