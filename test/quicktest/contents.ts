import { createHash, randomBytes } from 'node:crypto';
import { struct } from '../../src/std/value.ts';
import { type Bytes, discard, get, gib, mib, newDisk, put } from './fixtures.ts';
import { disks, expect, type Repository, type Run, Skipped, type SrScenario, same } from './scenario.ts';
import { nullRef, Refused } from './server.ts';

interface Extent {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Records of a place, a length and bytes; an empty one ends them. */
export const chunked = (extents: readonly Extent[]): Bytes => {
  const record = (at: number, length: number): Buffer => {
    const head = Buffer.alloc(12);
    head.writeBigUInt64LE(BigInt(at));
    head.writeUInt32LE(length, 8);
    return head;
  };
  return () => [...extents.flatMap(({ at, bytes }) => [record(at, bytes.length), bytes]), record(0, 0)];
};

const lengthOf = (extents: readonly Extent[]): number =>
  extents.reduce((sum, { bytes }) => sum + 12 + bytes.length, 12);

const write = (run: Run, vdi: string, extents: readonly Extent[]): Promise<void> =>
  put(run, vdi, chunked(extents), '&chunked=true', lengthOf(extents));

const letters = (letter: string, count: number): Uint8Array => Buffer.alloc(count, letter);

const deltas = async (run: Run, { ref }: Repository): Promise<void> => {
  const { server } = run;
  const copy = async (...params: readonly string[]): Promise<string> =>
    discard(run, String(await server.call('VDI.copy', ...params)));
  const vdi = await newDisk(run, ref);
  await write(run, vdi, [{ at: 0, bytes: letters('a', mib) }]);
  const snapshot = discard(run, String(await server.call('VDI.snapshot', vdi)));
  await write(run, vdi, [{ at: 0, bytes: letters('b', 512) }]);
  const backup = await copy(snapshot, ref, nullRef, nullRef);
  const delta = await copy(vdi, ref, snapshot, nullRef);
  await server.call('VDI.copy', delta, nullRef, snapshot, backup);
  const wanted = Buffer.concat([letters('b', 512), letters('a', mib - 512)]);
  let found = Buffer.alloc(0);
  for await (const piece of (await get(run, backup)).body) {
    if (found.length < mib) found = Buffer.concat([found, piece]);
  }
  expect(found.subarray(0, mib).equals(wanted), 'the backup is not the original');
};

type Fill = 'empty' | 'random' | 'full';

/** Random places and lengths, within `most` bytes in all; every byte of the disk where it is full. */
const extentsOf = (fill: Fill, sizeBytes: number): readonly Extent[] => {
  if (fill === 'empty') return [];
  if (fill === 'full') return [{ at: 0, bytes: randomBytes(sizeBytes) }];
  return Array.from({ length: 8 }, () => {
    const [place = 0, length = 0] = [...new Uint32Array(randomBytes(8).buffer.slice(0, 8))];
    const bytes = randomBytes(512 * (1 + (length % 64)));
    return { at: 512 * (place % ((sizeBytes - bytes.length) / 512)), bytes };
  });
};

const filled = async (
  run: Run,
  sr: string,
  fill: Fill,
  sizeBytes: number,
  format?: string,
): Promise<string> => {
  const sm_config = struct({ 'image-format': format });
  const vdi = await newDisk(run, sr, { virtual_size: BigInt(sizeBytes), sm_config });
  const extents = extentsOf(fill, sizeBytes);
  if (extents.length > 0) await write(run, vdi, extents);
  return vdi;
};

const sumOf = async (run: Run, vdi: string): Promise<string> => {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const piece of (await get(run, vdi)).body) {
    hash.update(piece);
    sizeBytes += piece.length;
  }
  return `${sizeBytes} bytes ${hash.digest('hex')}`;
};

/** As it is exported, in one format; read whole, since a server need not say how long it is. */
const transfer = async (run: Run, from: string, to: string, format: string, more = ''): Promise<void> => {
  const answer = await get(run, from, `&format=${format}${more}`);
  await put(run, to, () => answer.body, `&format=${format}`);
};

const fills: readonly Fill[] = ['empty', 'random', 'full'];

const copied = async (run: Run, { ref }: Repository): Promise<void> => {
  for (const fill of fills) {
    const vdi = await filled(run, ref, fill, 4 * mib);
    const copy = discard(run, String(await run.server.call('VDI.copy', vdi, ref, nullRef, nullRef)));
    same(await sumOf(run, copy), await sumOf(run, vdi), `the copy of a disk that is ${fill}`);
  }
};

const big = 2 * gib - 4 * mib;

const copiedBig = async (run: Run, { ref }: Repository): Promise<void> => {
  for (const fill of ['empty', 'random'] as const) {
    const vdi = await filled(run, ref, fill, big);
    const copy = discard(run, String(await run.server.call('VDI.copy', vdi, ref, nullRef, nullRef)));
    same(await sumOf(run, copy), await sumOf(run, vdi), `the copy of a large disk that is ${fill}`);
  }
};

const unbuilt: readonly string[] = ['INTERNAL_ERROR', 'NOT_IMPLEMENTED'];

const transferred =
  (format: string) =>
  async (run: Run, { ref }: Repository): Promise<void> => {
    for (const fill of fills) {
      const vdi = await filled(run, ref, fill, 4 * mib);
      const into = await newDisk(run, ref);
      await transfer(run, vdi, into, format);
      same(await sumOf(run, into), await sumOf(run, vdi), `a disk that was ${fill}, by ${format}`);
    }
  };

/** What differs from a base, put onto a copy of the base, is the disk. */
const differences =
  (format: string) =>
  async (run: Run, { ref }: Repository): Promise<void> => {
    for (const before of fills) {
      for (const after of fills) {
        const vdi = await filled(run, ref, before, 4 * mib);
        const base = discard(run, String(await run.server.call('VDI.snapshot', vdi)));
        const into = discard(run, String(await run.server.call('VDI.copy', base, ref, nullRef, nullRef)));
        const extents = extentsOf(after, 4 * mib);
        if (extents.length > 0) await write(run, vdi, extents);
        await transfer(run, vdi, into, format, `&base=${base}`);
        same(await sumOf(run, into), await sumOf(run, vdi), `${before}, then ${after}, by ${format}`);
      }
    }
  };

const largest = async (run: Run, { ref }: Repository): Promise<void> => {
  const sizeBytes = 2040 * gib;
  const create = newDisk(run, ref, {
    virtual_size: BigInt(sizeBytes),
    sm_config: struct({ 'image-format': 'vhd' }),
  });
  const vdi = await create.catch((error: unknown) => {
    if (error instanceof Refused && unbuilt.includes(error.code) === false) throw new Skipped(error.message);
    throw error;
  });
  await write(run, vdi, [{ at: sizeBytes - 1024, bytes: letters('z', 1024) }]);
  const copy = discard(run, String(await run.server.call('VDI.copy', vdi, ref, nullRef, nullRef)));
  const into = await newDisk(run, ref, { virtual_size: BigInt(sizeBytes) });
  await transfer(run, copy, into, 'vhd');
};

const thin = ({ type }: Repository): boolean => type !== 'gfs2' && type !== 'lvm';

export const contents: readonly SrScenario[] = [
  {
    name: 'copies of differences',
    wanted: { ...disks, features: ['VDI_SNAPSHOT'], otherwise: ({ type }) => type !== 'gfs2' },
    run: deltas,
  },
  { name: 'bytes through VDI.copy', wanted: disks, run: copied },
  { name: 'bytes of large disks through VDI.copy', wanted: disks, run: copiedBig },
  ...['raw', 'vhd', 'qcow2', 'tar'].map((format) => ({
    name: `bytes through export and import as ${format}`,
    wanted: disks,
    run: transferred(format),
  })),
  ...['vhd', 'qcow2'].map((format) => ({
    name: `differences through export and import as ${format}`,
    wanted: { ...disks, features: ['VDI_SNAPSHOT'] },
    run: differences(format),
  })),
  { name: 'the largest disk', wanted: { ...disks, otherwise: thin }, run: largest },
];
