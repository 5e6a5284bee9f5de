// Goal: disks go into an archive and come out of it byte for byte, GNU tar reads what is written and is read
//   itself, and an archive that is wrong, cut or made to do harm is refused and writes nothing past a disk.
// Method: disks in memory with anything in them, GNU tar as peer, and archives that are spoiled anywhere.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ImageRefused } from '../../../src/codec/image-refused.ts';
import { readTarHead, tarEnd, tarHead } from '../../../src/codec/tar.ts';
import { xmlValue } from '../../../src/codec/xmlrpc-writer.ts';
import { blockName, blockSum } from '../../../src/codec/xva.ts';
import { DiskTooSmall } from '../../../src/rules/images/image.ts';
import { imageBytes } from '../../../src/rules/images/image-bytes.ts';
import { disksGiven, disksTaken, tarFile } from '../../../src/rules/xva/disks.ts';
import { tarEntries } from '../../../src/rules/xva/entries.ts';
import { arriving, type MemoryDisk, memoryDisk } from '../images/memory-disk.ts';

const MiB = 1 << 20;
const tell = (): void => {};
const { signal } = new AbortController();

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'xva-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const joined = async (pieces: AsyncIterable<Buffer>): Promise<Buffer> => {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return Buffer.concat(all);
};

const contents = async (disk: MemoryDisk): Promise<Buffer> => {
  const bytes = Buffer.alloc(Number(disk.sizeBytes));
  await disk.read(bytes, 0n);
  return bytes;
};

interface Part {
  readonly at: number;
  readonly bytes: Buffer;
}

const diskWith = async (sizeBytes: number, parts: readonly Part[], telling = true): Promise<MemoryDisk> => {
  const disk = memoryDisk(BigInt(sizeBytes), telling);
  for (const { at, bytes } of parts) await disk.write(bytes.subarray(0, sizeBytes - at), BigInt(at));
  return disk;
};

const archived = async (disks: readonly MemoryDisk[]): Promise<Buffer> => {
  const give = disksGiven();
  const parts: Buffer[] = [];
  for (const [at, disk] of disks.entries())
    parts.push(await joined(give({ id: `Ref:${at}`, disk, tell, signal })));
  return Buffer.concat([...parts, tarEnd()]);
};

const taken = async (
  file: Buffer,
  sizes: readonly bigint[],
  { inline = true, force = false } = {},
): Promise<readonly MemoryDisk[]> => {
  const entries = tarEntries(imageBytes(arriving(file)));
  const { take } = disksTaken({ entries, inline, force, isBlank: true });
  const disks = sizes.map((size) => memoryDisk(size));
  for (const [at, disk] of disks.entries())
    await take({ id: `Ref:${at}`, sizeBytes: disk.sizeBytes, disk, tell, signal });
  return disks;
};

const refusal = (run: Promise<unknown>): Promise<unknown> =>
  run.then(
    () => 'taken',
    (error) => error,
  );

const anyDisk = fc.record({
  size: fc.integer({ min: 1, max: 5 * MiB }),
  telling: fc.boolean(),
  parts: fc.array(
    fc.record({
      at: fc.nat(5 * MiB),
      bytes: fc
        .tuple(fc.integer({ min: 1, max: 200_000 }), fc.nat(255))
        .map(([n, byte]) => Buffer.alloc(n, byte)),
    }),
    { maxLength: 4 },
  ),
});

test('any disks come out of an archive as they went in, whatever their sizes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyDisk, { maxLength: 3 }), async (wanted) => {
      const disks: MemoryDisk[] = [];
      for (const { size, parts, telling } of wanted) {
        const within = parts.filter(({ at }) => at < size);
        disks.push(await diskWith(size, within, telling));
      }
      const back = await taken(
        await archived(disks),
        disks.map(({ sizeBytes }) => sizeBytes),
      );
      for (const [at, disk] of disks.entries())
        expect((await contents(back[at] as MemoryDisk)).equals(await contents(disk))).toBe(true);
    }),
    { numRuns: 25 },
  );
});

test('empty blocks are left out, but for the first and the last', async () => {
  const disk = await diskWith(64 * MiB, [{ at: 40 * MiB, bytes: Buffer.from('something') }]);
  const file = join(folder, 'sparse.tar');
  writeFileSync(file, await archived([disk]));
  const listed = execFileSync('tar', ['-tf', file], { encoding: 'utf8' }).trim().split('\n');
  expect(listed.filter((name) => !name.includes('.'))).toEqual([0, 40, 63].map((n) => blockName('Ref:0', n)));
});

test('behind a disk that is smaller than a block nothing is left out', async () => {
  const small = await diskWith(512, []);
  const large = await diskWith(4 * MiB, [{ at: 3 * MiB, bytes: Buffer.from('at the end') }]);
  const back = await taken(await archived([small, large]), [small.sizeBytes, large.sizeBytes]);
  expect((await contents(back[1] as MemoryDisk)).equals(await contents(large))).toBe(true);
});

test.each(['v7', 'ustar', 'gnu', 'pax'])(
  'an archive that GNU tar made in the form %s is read',
  async (form) => {
    const disk = await diskWith(MiB + 512, [{ at: 0, bytes: Buffer.alloc(MiB + 512, 'made by another') }]);
    const bytes = await contents(disk);
    const source = join(folder, form);
    // A name that the old form cannot have is said beside the head in newer ones.
    const id = form === 'v7' ? 'Ref:7' : `Ref:${'7'.repeat(form === 'ustar' ? 90 : 120)}`;
    mkdirSync(join(source, id), { recursive: true });
    const names: string[] = [];
    for (const [number, part] of [bytes.subarray(0, MiB), bytes.subarray(MiB)].entries()) {
      const name = blockName(id, number);
      writeFileSync(join(source, name), part);
      writeFileSync(join(source, `${name}.xxhash`), await blockSum('.xxhash', part));
      names.push(name, `${name}.xxhash`);
    }
    const file = execFileSync('tar', ['-C', source, `--format=${form}`, '-cf', '-', ...names], {
      maxBuffer: 8 * MiB,
    });
    const entries = tarEntries(imageBytes(arriving(file)));
    const into = memoryDisk(disk.sizeBytes);
    await disksTaken({ entries, inline: true, force: false, isBlank: true }).take({
      ...{ id, sizeBytes: into.sizeBytes, disk: into, tell, signal },
    });
    expect((await contents(into)).equals(bytes)).toBe(true);
  },
);

test('sums that come at the end are compared then', async () => {
  const disk = await diskWith(MiB, [{ at: 0, bytes: Buffer.from('old') }]);
  const name = blockName('Ref:0', 0);
  const sum = await blockSum('.checksum', await contents(disk));
  const taken = async (said: string): Promise<void> => {
    const file = Buffer.concat([
      tarFile(name, await contents(disk)),
      tarFile('checksum.xml', Buffer.from(xmlValue(new Map([[name, said]])))),
      tarEnd(),
    ]);
    const entries = tarEntries(imageBytes(arriving(file)));
    const old = disksTaken({ entries, inline: false, force: false, isBlank: true });
    const into = memoryDisk(disk.sizeBytes);
    await old.take({ id: 'Ref:0', sizeBytes: into.sizeBytes, disk: into, tell, signal });
    await old.compareSums();
  };
  await taken(sum);
  expect(await refusal(taken('another'))).toMatchObject({ code: 'IMPORT_ERROR_SOME_CHECKSUMS_FAILED' });
});

test('a sum that is wrong is passed over by force alone', async () => {
  const disk = await diskWith(MiB, [{ at: 0, bytes: Buffer.from('changed on the way') }]);
  const file = await archived([disk]);
  file[512] = 0;
  expect(await refusal(taken(file, [disk.sizeBytes]))).toBeInstanceOf(ImageRefused);
  const [back] = await taken(file, [disk.sizeBytes], { force: true });
  expect((await contents(back as MemoryDisk)).toString('latin1', 0, 9)).toBe('\0hanged o');
});

test('an archive that was cut anywhere says so, and one with anything in it harms nothing', async () => {
  const disk = await diskWith(2 * MiB + 512, [{ at: 100, bytes: Buffer.alloc(2 * MiB, 'something') }]);
  const file = await archived([disk]);
  await fc.assert(
    fc.asyncProperty(fc.nat(file.length - 1024 - 497), async (length) => {
      const error = await refusal(taken(file.subarray(0, length), [disk.sizeBytes]));
      expect(error).toMatchObject({ name: 'ImageRefused', ended: true });
    }),
    { numRuns: 30 },
  );
  await fc.assert(
    fc.asyncProperty(fc.nat(1535), fc.uint8Array({ minLength: 1, maxLength: 40 }), async (at, bytes) => {
      const spoiled = Buffer.from(file);
      spoiled.set(bytes, at < 512 ? at : MiB + at);
      const found = await refusal(taken(spoiled, [disk.sizeBytes]));
      if (found !== 'taken')
        expect(found instanceof ImageRefused || found instanceof DiskTooSmall, String(found)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

const oneBlock = async (name: string, bytes: Buffer): Promise<Buffer> =>
  Buffer.concat([
    tarFile(name, bytes),
    tarFile(`${name}.xxhash`, Buffer.from(await blockSum('.xxhash', bytes))),
    tarEnd(),
  ]);

test.each([
  '../../etc/passwd',
  '/Ref:0/00000000',
  'Ref:0/../Ref:0/00000000',
  'Ref:0/0',
  'Ref:0/-0000001',
  'Ref:00/00000000',
])('an entry called %s is none of a disk', async (name) => {
  const file = await oneBlock(name, Buffer.alloc(512, 1));
  expect(await refusal(taken(file, [512n]))).toBeInstanceOf(ImageRefused);
});

test('what a disk has no place for is refused before it is written', async () => {
  const far = await oneBlock('Ref:0/99999999', Buffer.alloc(512, 1));
  expect(await refusal(taken(far, [4096n]))).toBeInstanceOf(DiskTooSmall);
  const huge = Buffer.concat([tarHead('Ref:0/00000000', 8 ** 11 - 1), Buffer.alloc(MiB)]);
  expect(await refusal(taken(huge, [4096n]))).toBeInstanceOf(ImageRefused);
  const still = Buffer.concat([
    ...(await Promise.all([0, 1, 2].map((n) => oneBlock(blockName('Ref:0', n), Buffer.alloc(0))))).map(
      (one) => one.subarray(0, -1024),
    ),
    tarEnd(),
  ]);
  expect(await refusal(taken(still, [4096n]))).toBeInstanceOf(ImageRefused);
});

test('sizes in other notations are read, and those past any size refused', () => {
  const head = tarHead('a', 5);
  const resealed = (size: Buffer): Buffer => {
    size.copy(head, 124);
    head.fill(' ', 148, 156);
    const sum = head.reduce((total, byte) => total + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return head;
  };
  const binary = Buffer.alloc(12);
  binary[0] = 0x80;
  binary.writeUInt32BE(77, 8);
  expect(readTarHead(resealed(binary))).toMatchObject({ sizeBytes: 77 });
  expect(() => readTarHead(resealed(Buffer.alloc(12, 0x80)))).toThrow(ImageRefused);
  expect(readTarHead(resealed(Buffer.from('       12 \0\0')))).toMatchObject({ sizeBytes: 10 });
});
