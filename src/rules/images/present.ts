import type { UsedClusters } from '../../codec/qcow2-stream.ts';
import type { OpenVolume } from '../../drivers/storage/storage.ts';
import { lesser } from '../../std/bigints.ts';
import { filledOf } from './filled.ts';
import type { Base } from './image.ts';

/** Units of a disk that an image is to have, by number: a bit for each. */
export interface Present extends UsedClusters {
  add(unit: number): void;
  /** All of them, ascending. */
  all(): Generator<number>;
}

export const noneOf = (units: number): Present => {
  const bits = new Uint8Array(Math.ceil(units / 8));
  const has = (unit: number): boolean => ((bits[unit >> 3] ?? 0) & (1 << (unit & 7))) !== 0;
  let count = 0;
  return {
    get count() {
      return count;
    },
    has,
    add: (unit) => {
      if (has(unit)) return;
      bits[unit >> 3] = (bits[unit >> 3] ?? 0) | (1 << (unit & 7));
      count += 1;
    },
    within: (from, to) => {
      let found = 0;
      for (let unit = from; unit < Math.min(to, units); unit += 1) found += has(unit) ? 1 : 0;
      return found;
    },
    all: function* () {
      for (let unit = 0; unit < units; unit += 1) if (has(unit)) yield unit;
    },
  };
};

/** What is read at once to compare. */
const PIECE_BYTES = 1024 * 1024;

export interface Wanted {
  readonly disk: OpenVolume;
  /** Only what differs from this one is wanted. */
  readonly base?: Pick<Base, 'disk' | 'changed'>;
  readonly unitBytes: number;
  /** Told how far it has come. */
  readonly tell: (position: bigint) => void;
  readonly signal: AbortSignal;
}

/** Which units differ from the base, or without one from zeros. */
export const presentOf = async (wanted: Wanted): Promise<Present> => {
  const { disk, unitBytes, tell, signal } = wanted;
  const base = wanted.base?.disk;
  const { sizeBytes } = disk;
  const found = noneOf(Number((sizeBytes + BigInt(unitBytes) - 1n) / BigInt(unitBytes)));
  const believed = base === undefined && disk.extents !== undefined;
  const [ours, theirs] = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)];
  for await (const { position, lengthBytes } of wanted.base?.changed ??
    filledOf(base ? [disk, base] : [disk], sizeBytes)) {
    const end = position + lengthBytes;
    if (believed) {
      for (let unit = unitAt(position, unitBytes); unit <= unitAt(end - 1n, unitBytes); unit += 1)
        found.add(unit);
      tell(end);
      continue;
    }
    for (let at = position; at < end; ) {
      signal.throwIfAborted();
      const want = Number(lesser(end - at, BigInt(PIECE_BYTES)));
      const bytes = await disk.read(ours.subarray(0, want), at);
      if (bytes === 0) break;
      const known =
        base !== undefined && at < base.sizeBytes ? await base.read(theirs.subarray(0, bytes), at) : 0;
      theirs.fill(0, known, bytes);
      addDifferences(found, { at, ours: ours.subarray(0, bytes), theirs, unitBytes });
      at += BigInt(bytes);
      tell(at);
    }
  }
  return found;
};

const unitAt = (position: bigint, unitBytes: number): number => Number(position / BigInt(unitBytes));

interface Compared {
  readonly at: bigint;
  readonly ours: Buffer;
  readonly theirs: Buffer;
  readonly unitBytes: number;
}

const addDifferences = (found: Present, { at, ours, theirs, unitBytes }: Compared): void => {
  if (ours.compare(theirs, 0, ours.length) === 0) return;
  for (let from = 0; from < ours.length; ) {
    const position = at + BigInt(from);
    const to = Math.min(ours.length, from + unitBytes - Number(position % BigInt(unitBytes)));
    const unit = unitAt(position, unitBytes);
    if (!found.has(unit) && ours.compare(theirs, from, to, from, to) !== 0) found.add(unit);
    from = to;
  }
};
