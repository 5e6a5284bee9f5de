// Goal: a disk goes out and comes in as raw, VHD and qcow2, whole or as what changed, byte for byte; what another
//   tool makes of an image is the disk; and an image that is wrong, cut or too large is refused and named so.
// Method: disks in memory, images of our own that are spoiled, and qemu-img and qemu-io as judges.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImageRefused } from '../../../src/codec/image-refused.ts';
import type { Stretch } from '../../../src/rules/images/filled.ts';
import { imageFormats } from '../../../src/rules/images/formats.ts';
import { DiskTooSmall, type TransferFormat } from '../../../src/rules/images/image.ts';
import { imageBytes } from '../../../src/rules/images/image-bytes.ts';
import { takeChunks } from '../../../src/rules/images/raw.ts';
import { stretchesIn } from '../../../src/rules/images/tracked.ts';
import { hasQemu } from '../../qemu-img.ts';
import { arriving, collected, type MemoryDisk, memoryDisk } from './memory-disk.ts';

const MiB = 1 << 20;
const sizeBytes = 8n << 20n;
const uuid = 'f0000000-0000-4000-8000-000000000001';
const baseUuid = 'f0000000-0000-4000-8000-000000000002';
const { signal } = new AbortController();

interface Part {
  readonly at: number;
  readonly bytes: Buffer;
}

const diskWith = async (parts: readonly Part[], telling = true, size = sizeBytes): Promise<MemoryDisk> => {
  const disk = memoryDisk(size, telling);
  for (const { at, bytes } of parts) await disk.write(bytes, BigInt(at));
  return disk;
};

const bytesOf = async (disk: MemoryDisk): Promise<Buffer> => {
  const bytes = Buffer.alloc(Number(disk.sizeBytes));
  await disk.read(bytes, 0n);
  return bytes;
};

const formatOf = (name: string): TransferFormat => imageFormats.get(name) as TransferFormat;

const given = async (
  format: string,
  disk: MemoryDisk,
  base?: MemoryDisk,
  changed?: readonly Stretch[],
): Promise<Buffer> => {
  const out = collected();
  const told: number[] = [];
  await formatOf(format).give({
    ...{ uuid, disk, signal, begin: out.begin, progress: (done) => void told.push(done) },
    ...(base && { base: { uuid: baseUuid, disk: base, ...(changed && { changed }) } }),
  });
  expect(out.said()).toBe(BigInt(out.bytes().length));
  expect(told).toEqual([...told].sort((one, other) => one - other));
  expect(told.every((done) => done >= 0 && done <= 1)).toBe(true);
  return out.bytes();
};

const take = async (format: string, bytes: Buffer, disk: MemoryDisk): Promise<void> =>
  formatOf(format).take({ disk, bytes: imageBytes(arriving(bytes)), progress: () => {}, signal });

const refusal = (run: Promise<void>): Promise<unknown> =>
  run.then(
    () => 'taken',
    (error) => error,
  );

/** A few places that no unit of a format has a border at. */
const scattered: readonly Part[] = [
  { at: 700, bytes: Buffer.from('in the first block') },
  { at: 2 * MiB - 3, bytes: Buffer.from('across a border of blocks') },
  { at: 8 * MiB - 9, bytes: Buffer.from('at an end') },
];
const full: readonly Part[] = [{ at: 0, bytes: Buffer.alloc(8 * MiB, 'every byte of it, ') }];
const contents: Readonly<Record<string, readonly Part[]>> = { empty: [], scattered, full };

const anyParts = fc.array(
  fc.record({
    at: fc.integer({ min: 0, max: 8 * MiB - 300_000 }),
    bytes: fc
      .tuple(fc.integer({ min: 1, max: 300_000 }), fc.nat(255))
      .map(([n, byte]) => Buffer.alloc(n, byte)),
  }),
  { maxLength: 6 },
);

describe.each(['raw', 'vhd', 'qcow2'])('as %s', (format) => {
  test('a disk comes into another the same, whether the storage tells where it is empty or not', () =>
    fc.assert(
      fc.asyncProperty(anyParts, fc.boolean(), async (parts, telling) => {
        const disk = await diskWith(parts, telling);
        const copy = memoryDisk(sizeBytes);
        await take(format, await given(format, disk), copy);
        expect((await bytesOf(copy)).equals(await bytesOf(disk))).toBe(true);
      }),
      { numRuns: 8 },
    ));

  test('a disk of any size does', async () => {
    for (const size of [512n, 65_536n, 2n * BigInt(MiB) + 512n, 5n * BigInt(MiB)]) {
      const disk = await diskWith([{ at: Number(size) - 512, bytes: Buffer.alloc(512, 'end') }], true, size);
      const copy = memoryDisk(size);
      await take(format, await given(format, disk), copy);
      expect((await bytesOf(copy)).equals(await bytesOf(disk))).toBe(true);
    }
  });

  test('one that is larger than the disk is not taken', async () => {
    const error = await refusal(
      take(format, await given(format, await diskWith(scattered)), memoryDisk(4n << 20n)),
    );
    expect(error).toBeInstanceOf(DiskTooSmall);
  });
});

describe.each(['vhd', 'qcow2'])('changes alone, as %s', (format) => {
  test('make of a copy of what was before what is now', () =>
    fc.assert(
      fc.asyncProperty(anyParts, anyParts, fc.boolean(), async (before, changes, telling) => {
        const base = await diskWith(before, telling);
        const disk = await diskWith([...before, ...changes], telling);
        const copy = await diskWith(before);
        await take(format, await given(format, disk, base), copy);
        expect((await bytesOf(copy)).equals(await bytesOf(disk))).toBe(true);
      }),
      { numRuns: 8 },
    ));

  test('are as small as the changes, and zeros count where there was something', async () => {
    const disk = await diskWith([...full, { at: 4 * MiB, bytes: Buffer.alloc(2 * MiB) }]);
    const base = await diskWith(full);
    const delta = await given(format, disk, base);
    expect(delta.length).toBeLessThan(3 * MiB);
    const copy = await diskWith(full);
    await take(format, delta, copy);
    expect((await bytesOf(copy)).equals(await bytesOf(disk))).toBe(true);
    expect(await given(format, base, base)).toHaveLength(format === 'vhd' ? 3_072 : 4 * 65_536);
  });

  test('are looked for where storage says that something changed, and nowhere else', async () => {
    const base = await diskWith(full);
    const disk = await diskWith([...full, { at: 4 * MiB + 65_536, bytes: Buffer.from('new') }]);
    const read: bigint[] = [];
    const seen: MemoryDisk = {
      ...base,
      read: (into, position) => {
        read.push(position);
        return base.read(into, position);
      },
    };
    // The first block is told to have changed and has not, the second has; a bit for each.
    const changed = stretchesIn(Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0x40]), sizeBytes);
    expect(changed.map(({ position }) => position)).toEqual([0n, BigInt(4 * MiB + 65_536)]);
    expect((await given(format, disk, seen, changed)).equals(await given(format, disk, base))).toBe(true);
    expect(read).toEqual([0n, BigInt(4 * MiB + 65_536)]);
  });
});

test('changes as qcow2 are whole stretches of 2 MiB, so that nobody has to ask for the rest of one', async () => {
  const base = await diskWith(full);
  const disk = await diskWith([...full, { at: 4 * MiB + 65_536, bytes: Buffer.from('new') }]);
  const copy = await diskWith([]);
  await take('qcow2', await given('qcow2', disk, base), copy);
  const stretch = async (of: MemoryDisk) => (await bytesOf(of)).subarray(4 * MiB, 6 * MiB);
  expect((await stretch(copy)).equals(await stretch(disk))).toBe(true);
});

test('a VHD of changes names the disk that they are to, and itself', async () => {
  const delta = await given('vhd', await diskWith(scattered), await diskWith([]));
  expect(delta.readUInt32BE(60)).toBe(4);
  expect(delta.toString('hex', 512 + 40, 512 + 56)).toBe(baseUuid.replaceAll('-', ''));
  expect(delta.toString('hex', 68, 84)).toBe(uuid.replaceAll('-', ''));
});

const takePieces = (bytes: Buffer, disk: MemoryDisk): Promise<void> =>
  takeChunks({ disk, bytes: imageBytes(arriving(bytes)), progress: () => {}, signal });

test('pieces of raw bytes come in any order, each with its place', async () => {
  const piece = (at: bigint, bytes: Buffer): Buffer => {
    const head = Buffer.alloc(12);
    head.writeBigUInt64LE(at, 0);
    head.writeUInt32LE(bytes.length, 8);
    return Buffer.concat([head, bytes]);
  };
  const disk = memoryDisk(sizeBytes);
  const later = Buffer.alloc(3 * MiB, 'later, ');
  const end = piece(0n, Buffer.alloc(0));
  await takePieces(Buffer.concat([piece(4n << 20n, later), piece(5n, Buffer.from('first')), end]), disk);
  const bytes = await bytesOf(disk);
  expect(bytes.subarray(5, 10).toString()).toBe('first');
  expect(bytes.subarray(4 * MiB, 7 * MiB).equals(later)).toBe(true);
  const past = piece(sizeBytes - 1n, Buffer.from('ab'));
  expect(await refusal(takePieces(past, disk))).toBeInstanceOf(DiskTooSmall);
  expect(await refusal(takePieces(piece(0n, Buffer.from('ab')), disk))).toBeInstanceOf(ImageRefused);
});

describe.skipIf(!hasQemu)('QEMU (skipped where it is not installed)', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'images-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const fileWith = (name: string, bytes: Buffer): string => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  };
  const judge = async (disk: MemoryDisk, path: string, format: string): Promise<void> => {
    const ours = fileWith('ours.raw', await bytesOf(disk));
    execFileSync('qemu-img', ['compare', '-q', '-f', 'raw', '-F', format, ours, path]);
  };

  test.each([
    ['vhd', 'vpc'],
    ['qcow2', 'qcow2'],
  ])('reads the same of what is given as %s', async (format, theirs) => {
    for (const parts of Object.values(contents)) {
      const disk = await diskWith(parts);
      const path = fileWith(`given.${format}`, await given(format, disk));
      await judge(disk, path, theirs);
      if (format === 'qcow2') execFileSync('qemu-img', ['check', '-q', path]);
    }
  });

  test('gives what is taken as vhd, whatever was written in whichever order', async () => {
    const path = join(folder, 'theirs.vhd');
    execFileSync('qemu-img', ['create', '-q', '-f', 'vpc', '-o', 'force_size=on', path, '8M']);
    const writes = ['write -P 7 6M 64k', 'write -P 8 1M 2M', 'write -P 9 100k 1k'];
    execFileSync('qemu-io', ['-f', 'vpc', ...writes.flatMap((one) => ['-c', one]), path], {
      stdio: 'ignore',
    });
    const disk = memoryDisk(sizeBytes);
    await take('vhd', readFileSync(path), disk);
    await judge(disk, path, 'vpc');
  });

  test('gives what is taken as qcow2 of other clusters, zeros that were written among it', async () => {
    const path = join(folder, 'theirs.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=32k', path, '8M']);
    const writes = ['write -P 7 6M 64k', 'write -P 8 1M 2M', 'write -P 9 100k 1k', 'write -z 1M 1M'];
    execFileSync('qemu-io', ['-f', 'qcow2', ...writes.flatMap((one) => ['-c', one]), path], {
      stdio: 'ignore',
    });
    const disk = await diskWith([{ at: MiB + 5, bytes: Buffer.from('to be zeros') }]);
    await take('qcow2', readFileSync(path), disk);
    await judge(disk, path, 'qcow2');
  });

  test('writes an image that stands on another and one that is compressed, which are not taken', async () => {
    const path = join(folder, 'other.qcow2');
    const below = fileWith('below.raw', Buffer.alloc(MiB, 'secret'));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', below, path, '8M']);
    const disk = memoryDisk(sizeBytes);
    expect(`${await refusal(take('qcow2', readFileSync(path), disk))}`).toContain('stands on');
    execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', below, path]);
    expect(`${await refusal(take('qcow2', readFileSync(path), disk))}`).toContain('compressed');
    expect(disk.written).toEqual([]);
  });
});

describe('an image is refused', () => {
  test.each([
    ['vhd', 'a footer that is damaged', (bytes: Buffer) => bytes.fill(1, 40, 41)],
    ['vhd', 'a table that leads before its end', (bytes: Buffer) => bytes.writeUInt32BE(1, 2048)],
    ['vhd', 'two blocks at one place', (bytes: Buffer) => bytes.copy(bytes, 2052, 2048, 2052)],
    ['vhd', 'another footer at its end', (bytes: Buffer) => bytes.fill(9, bytes.length - 100)],
    ['qcow2', 'a first table outside', (bytes: Buffer) => bytes.writeUInt32BE(7, 44)],
    ['qcow2', 'two clusters at one place', (bytes: Buffer) => bytes.copy(bytes, 262_152, 262_144, 262_152)],
    ['qcow2', 'data in another file', (bytes: Buffer) => bytes.writeUInt32BE(4, 76)],
    ['qcow2', 'encryption', (bytes: Buffer) => bytes.writeUInt32BE(1, 32)],
    ['qcow2', 'a size beyond all disks', (bytes: Buffer) => bytes.writeUInt32BE(0x7fffffff, 24)],
  ] as const)('as %s with %s', async (format, _, spoil) => {
    const bytes = await given(format, await diskWith(scattered));
    spoil(bytes);
    expect(await refusal(take(format, bytes, memoryDisk(sizeBytes)))).toBeInstanceOf(ImageRefused);
  });

  test.each(['vhd', 'qcow2'])('as %s that is cut anywhere', async (format) => {
    const bytes = await given(format, await diskWith(scattered));
    for (const left of [0, 100, 600, 2_000, 2_100, 70_000, bytes.length - 1]) {
      const error = await refusal(take(format, bytes.subarray(0, left), memoryDisk(sizeBytes)));
      expect([left, `${error}`]).toEqual([left, expect.stringContaining('send it again')]);
    }
  });

  test.each(['vhd', 'qcow2'])(
    'or taken as %s, whatever is laid over it, and nothing else happens',
    async (format) => {
      const good = await given(format, await diskWith(scattered));
      await fc.assert(
        fc.asyncProperty(
          fc.nat(good.length - 1),
          fc.uint8Array({ minLength: 1, maxLength: 16 }),
          async (at, noise) => {
            const bytes = Buffer.from(good);
            bytes.set(noise.subarray(0, bytes.length - at), at);
            const error = await refusal(take(format, bytes, memoryDisk(sizeBytes)));
            const fine = error === 'taken' || error instanceof ImageRefused || error instanceof DiskTooSmall;
            if (!fine) throw error;
          },
        ),
        { numRuns: 30 },
      );
    },
  );
});
