import { type Extent, StorageError } from '../drivers/storage/storage.ts';
import { lesser } from '../std/bigints.ts';

/** The bytes of a simulated disk: those that were written. */
export interface Content {
  /** Fills `into`; what was never written is zeros. */
  read(into: Uint8Array, position: bigint): void;
  /** Answers how many bytes are kept for the disk now. */
  write(from: Uint8Array, position: bigint): number;
  /** What there is in a range: what was written, and zeros. */
  extents(position: bigint, lengthBytes: bigint): readonly Extent[];
  /** The same bytes, which go their own way from here on. */
  copy(): Content;
  /** Gives back what was written through it. */
  drop(): void;
  /** Blocks of 64 KiB in which another may differ. */
  differing(other: Content): ReadonlySet<number>;
  readonly blocks: ReadonlyMap<number, Uint8Array>;
}

/** What is kept for all disks of one pool together. */
export interface ContentRoom {
  keptBytes: number;
}

const blockBytes = 65_536;
/** Kept for all disks of a pool together; a write beyond is refused as by a full repository. */
export const contentBytesMax = 1 << 30;

const full = (): StorageError =>
  new StorageError('SR_BACKEND_FAILURE_44', [
    '',
    'A simulation keeps no more than 1 GiB of written data',
    '',
  ]);

export const noContent = (room: ContentRoom): Content => contentOf(room, new Map());

/** As many pieces as blocks are written there, however large the range is. */
const writtenIn = (
  blocks: ReadonlyMap<number, Uint8Array>,
  position: bigint,
  end: bigint,
): readonly Extent[] => {
  const found: { lengthBytes: bigint; zero: boolean }[] = [];
  let at = position;
  const add = (to: bigint, zero: boolean): void => {
    if (to <= at) return;
    const last = found.at(-1);
    if (last?.zero === zero) last.lengthBytes += to - at;
    else found.push({ lengthBytes: to - at, zero });
    at = to;
  };
  for (const block of [...blocks.keys()].sort((one, other) => one - other)) {
    const begin = BigInt(block) * BigInt(blockBytes);
    add(lesser(begin, end), true);
    add(lesser(begin + BigInt(blockBytes), end), false);
  }
  add(end, true);
  return found;
};

/** Blocks are never changed, only replaced, so copies share them. */
const contentOf = (room: ContentRoom, blocks: Map<number, Uint8Array>): Content => {
  let ownBytes = 0;
  /** Calls `use` with each piece of a range: its block, where it begins in there, and in the range. */
  const pieces = (
    length: number,
    position: bigint,
    use: (block: number, at: number, from: number, size: number) => void,
  ): void => {
    for (let from = 0; from < length; ) {
      const place = Number(position) + from;
      const block = Math.floor(place / blockBytes);
      const at = place - block * blockBytes;
      const size = Math.min(blockBytes - at, length - from);
      use(block, at, from, size);
      from += size;
    }
  };
  return {
    blocks,
    differing: (other) => {
      const all = new Set([...blocks.keys(), ...other.blocks.keys()]);
      return new Set([...all].filter((block) => blocks.get(block) !== other.blocks.get(block)));
    },
    read: (into, position) =>
      pieces(into.length, position, (block, at, from, size) => {
        const bytes = blocks.get(block);
        if (bytes === undefined) into.fill(0, from, from + size);
        else into.set(bytes.subarray(at, at + size), from);
      }),
    write: (bytes, position) => {
      pieces(bytes.length, position, (block, at, from, size) => {
        const piece = bytes.subarray(from, from + size);
        const before = blocks.get(block);
        // Zeros where there is nothing are what is read there anyway.
        if (before === undefined && piece.every((byte) => byte === 0)) return;
        if (room.keptBytes + blockBytes > contentBytesMax) throw full();
        room.keptBytes += before === undefined ? blockBytes : 0;
        ownBytes += before === undefined ? blockBytes : 0;
        const after = before?.slice() ?? new Uint8Array(blockBytes);
        after.set(piece, at);
        blocks.set(block, after);
      });
      return blocks.size * blockBytes;
    },
    extents: (position, lengthBytes) => writtenIn(blocks, position, position + lengthBytes),
    copy: () => contentOf(room, new Map(blocks)),
    drop: () => {
      room.keptBytes -= ownBytes;
      ownBytes = 0;
    },
  };
};
