// Goal: the bytes of a disk go out and come in through the API in every format, whole or as what changed since a
//   snapshot; a wrong image, or a wish that makes no sense, has its fault, and the disk is free again.
// Method: the whole runtime in process over our file plugin as processes; a disk of each kind for all of it.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Ref } from '../../../src/model/types.ts';
import { type BuiltPlugins, buildPlugins } from '../../plugins/built-plugins.ts';
import { arriving } from '../../rules/images/memory-disk.ts';
import { clientOf, streamed } from '../client.ts';
import { createSr, createVdi, idle, type RealWorld, realWorld, refusal, vdiOf } from '../storage-world.ts';

const MiB = 1 << 20;
const sizeBytes = 5n << 20n;

let plugins: BuiltPlugins;
let w: RealWorld;
/** qcow2 where there is qemu-img, raw elsewhere. */
let usual: Ref<'SR'>;
let raw: Ref<'SR'>;

beforeAll(async () => {
  plugins = await buildPlugins();
  w = await realWorld([plugins.scripts]);
  usual = await createSr(w, w.newFolder());
  const asRaw = new Map([
    ['location', w.newFolder()],
    ['format', 'raw'],
  ]);
  raw = await w.call('SR.create', w.host, asRaw, 0n, 'raw', 'of a test', 'file', '', false);
}, 60_000);
afterAll(async () => {
  await w.remove();
  await plugins.remove();
});

const newDisk = (SR: Ref<'SR'>, virtual_size = sizeBytes): Promise<Ref<'VDI'>> =>
  createVdi(w, SR, { virtual_size });

const exported = async (vdi: Ref<'VDI'>, format: string, base?: Ref<'VDI'>): Promise<Buffer> => {
  const { answered, client } = clientOf();
  await streamed(w, 'get_export_raw_vdi', base === undefined ? [vdi, format] : [vdi, format, base], client);
  return Buffer.concat(answered);
};

const imported = (vdi: Ref<'VDI'>, format: string, bytes: Buffer, chunked = 'absent'): Promise<void> =>
  streamed(w, 'put_import_raw_vdi', [vdi, format, chunked], clientOf(arriving(bytes)).client);

const first = Buffer.alloc(Number(sizeBytes));
first.fill('across borders of blocks, ', 2 * MiB - 5, 3 * MiB);

/** Pieces of 70,000 bytes, each behind its place and length, and the end. */
const changed = (...pieces: readonly (readonly [at: number, text: string])[]): Buffer => {
  const all = pieces.map(([at, text]) => {
    const piece = Buffer.concat([Buffer.alloc(12), Buffer.alloc(70_000, text)]);
    piece.writeBigUInt64LE(BigInt(at), 0);
    piece.writeUInt32LE(70_000, 8);
    return piece;
  });
  return Buffer.concat([...all, Buffer.alloc(12)]);
};

test('a disk goes from one repository to another by every format, and what changes follows it', async () => {
  const disk = await newDisk(usual);
  await imported(disk, 'raw', first);
  const base: Ref<'VDI'> = await w.call('VDI.snapshot', disk, new Map());
  await imported(disk, 'raw', changed([MiB + 5, 'twice changed, ']), 'false');
  const middle: Ref<'VDI'> = await w.call('VDI.snapshot', disk, new Map());
  const more = changed([MiB + 50_000, 'once more, '], [3 * MiB - 7, 'changed, ']);
  await imported(disk, 'raw', more, 'false');
  const now = await exported(disk, 'raw');
  expect(now.subarray(0, MiB + 5).equals(first.subarray(0, MiB + 5))).toBe(true);
  expect(now.toString('latin1', 3 * MiB - 7, 3 * MiB + 1)).toBe('changed,');

  const copy = await newDisk(raw);
  for (const format of ['vhd', 'QCOW2']) {
    await imported(copy, format, await exported(base, format));
    await imported(copy, format, await exported(middle, format, base));
    await imported(copy, format, await exported(disk, format, middle));
    expect((await exported(copy, 'raw')).equals(now)).toBe(true);
    expect((await exported(copy, format, disk)).length).toBeLessThan(MiB);
    await imported(copy, 'raw', first);
  }
  await imported(copy, 'tar', await exported(disk, 'tar'));
  expect((await exported(copy, 'raw')).equals(now)).toBe(true);
  expect(idle(w)).toBe(true);
}, 120_000);

test('what makes no sense is refused before anything is opened, and names what does', async () => {
  const disk = await newDisk(raw);
  expect(await refusal(exported(disk, 'vmdk'))).toEqual([
    ...['INVALID_VALUE', 'format', expect.stringContaining('vhd')],
  ]);
  expect((await refusal(imported(disk, 'vmdk', first))).slice(0, 2)).toEqual(['INVALID_VALUE', 'format']);
  expect((await refusal(exported(disk, 'raw', disk))).slice(0, 2)).toEqual(['INVALID_VALUE', 'base']);
  expect((await refusal(exported(disk, 'tar', disk))).slice(0, 2)).toEqual(['INVALID_VALUE', 'base']);
  expect((await refusal(imported(disk, 'tar', first))).slice(0, 1)).toEqual(['IMPORT_ERROR']);
  expect((await refusal(imported(disk, 'vhd', first, ''))).slice(0, 2)).toEqual(['INVALID_VALUE', 'chunked']);
  const large = await newDisk(raw, (2040n << 30n) + 512n);
  expect(await refusal(exported(large, 'vhd'))).toEqual(['VDI_TOO_LARGE', large, `${2040n << 30n}`]);
  expect(await refusal(imported(disk, 'vhd', await exported(disk, 'qcow2')))).toEqual([
    ...['IMPORT_ERROR', expect.stringContaining('VHD')],
  ]);
  const other = await newDisk(raw, 64n << 20n);
  expect(await refusal(imported(disk, 'qcow2', await exported(other, 'qcow2')))).toEqual([
    ...['VDI_TOO_SMALL', disk, `${64n << 20n}`],
  ]);
  expect([idle(w), vdiOf(w, disk).current_operations.size]).toEqual([true, 0]);
  await w.call('VDI.destroy', disk);
}, 120_000);
