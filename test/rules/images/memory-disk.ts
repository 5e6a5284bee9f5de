import type { OpenVolume } from '../../../src/drivers/storage/storage.ts';
import { greater, lesser } from '../../../src/std/bigints.ts';

export interface MemoryDisk extends OpenVolume {
  /** What was written, in the order of writing. */
  readonly written: { readonly position: bigint; readonly length: number }[];
}

const BLOCK = 65_536;

/** A disk of any size of which what is written is kept; `telling` says where there is something. */
export const memoryDisk = (sizeBytes: bigint, telling = true): MemoryDisk => {
  const blocks = new Map<number, Buffer>();
  const written: MemoryDisk['written'] = [];
  const at = (position: bigint): readonly [block: number, from: number] => [
    Number(position / BigInt(BLOCK)),
    Number(position % BigInt(BLOCK)),
  ];
  const disk: MemoryDisk = {
    ...{ sizeBytes, written },
    read: async (into, position) => {
      const left = sizeBytes - position;
      const length = left < BigInt(into.length) ? Math.max(0, Number(left)) : into.length;
      for (let done = 0; done < length; ) {
        const [block, from] = at(position + BigInt(done));
        const count = Math.min(BLOCK - from, length - done);
        const bytes = blocks.get(block);
        if (bytes === undefined) into.fill(0, done, done + count);
        else into.set(bytes.subarray(from, from + count), done);
        done += count;
      }
      return length;
    },
    write: async (bytes, position) => {
      if (position + BigInt(bytes.length) > sizeBytes) throw new Error('A write past the end of the disk');
      written.push({ position, length: bytes.length });
      for (let done = 0; done < bytes.length; ) {
        const [block, from] = at(position + BigInt(done));
        const count = Math.min(BLOCK - from, bytes.length - done);
        const kept = blocks.get(block) ?? Buffer.alloc(BLOCK);
        kept.set(bytes.subarray(done, done + count), from);
        blocks.set(block, kept);
        done += count;
      }
    },
    flush: async () => {},
  };
  if (!telling) return disk;
  const extents: OpenVolume['extents'] = async (position, lengthBytes) => {
    const found: { lengthBytes: bigint; zero: boolean }[] = [];
    const end = position + lengthBytes;
    const kept = [...blocks.keys()]
      .sort((one, other) => one - other)
      .map((block) => BigInt(block) * BigInt(BLOCK));
    let next = position;
    for (const begin of kept) {
      const past = begin + BigInt(BLOCK);
      if (past <= next || begin >= end) continue;
      if (begin > next) found.push({ lengthBytes: begin - next, zero: true });
      const from = greater(begin, next);
      const to = lesser(past, end);
      found.push({ lengthBytes: to - from, zero: false });
      next = to;
    }
    if (next < end) found.push({ lengthBytes: end - next, zero: true });
    return found;
  };
  return { ...disk, extents };
};

/** What a format gives, in one piece. */
export const collected = () => {
  const chunks: Buffer[] = [];
  let said: bigint | undefined;
  return {
    begin: (lengthBytes?: bigint) => {
      said = lengthBytes;
      return async (chunk: Uint8Array): Promise<void> => {
        chunks.push(Buffer.from(chunk));
      };
    },
    bytes: (): Buffer => Buffer.concat(chunks),
    said: (): bigint | undefined => said,
  };
};

/** Bytes as they come over a wire: in pieces of odd sizes. */
export const arriving = async function* (bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let from = 0, size = 1; from < bytes.length; from += size, size = Math.min(1 << 20, size * 3 + 1)) {
    yield bytes.subarray(from, from + size);
  }
};
