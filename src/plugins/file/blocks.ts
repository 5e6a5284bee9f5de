/** Blocks of a disk, by number: those that may have changed. */
export interface Blocks {
  readonly count: number;
  has(block: number): boolean;
  /** Those that the bytes from one place up to another touch. */
  mark(from: number, to: number): void;
  /** A bit for each, the first in the highest bit of the first byte. */
  readonly bits: Buffer;
}

/** First block and how many, ascending. */
export type Runs = readonly (readonly [first: number, count: number])[];

/** As clients and SMAPIv3 have them. */
export const BLOCK_BYTES = 64 * 1024;
/** Of a disk that is asked about: 4 TiB. The answer is one text. */
export const BLOCKS_MAX = 1 << 26;
/** What a note keeps. More are told of coarsely: all that changed are in there, and some that did not. */
const RUNS_MAX = 8_192;

export const blocksOf = (sizeBytes: number): Blocks => {
  const count = Math.ceil(sizeBytes / BLOCK_BYTES);
  const bits = Buffer.alloc(Math.ceil(count / 8));
  return {
    count,
    bits,
    has: (block) => ((bits[block >> 3] ?? 0) & (0x80 >> (block & 7))) !== 0,
    mark: (from, to) => {
      const end = Math.min(count, Math.ceil(to / BLOCK_BYTES));
      for (let block = Math.floor(from / BLOCK_BYTES); block < end; ) {
        const isByte = (block & 7) === 0 && block + 8 <= end;
        bits[block >> 3] = isByte ? 0xff : (bits[block >> 3] ?? 0) | (0x80 >> (block & 7));
        block += isByte ? 8 : 1;
      }
    },
  };
};

export const markRuns = ({ mark }: Blocks, runs: Runs): void => {
  for (const [first, count] of runs) mark(first * BLOCK_BYTES, (first + count) * BLOCK_BYTES);
};

/** The blocks as few runs: gaps are closed, the small ones first, until there are no more than may be. */
export const runsOf = (blocks: Blocks): Runs => {
  for (let gap = 1; ; gap *= 2) {
    const runs: [number, number][] = [];
    for (let block = 0; block < blocks.count && runs.length <= RUNS_MAX; block += 1) {
      if (!blocks.has(block)) continue;
      const last = runs.at(-1);
      if (last !== undefined && block - (last[0] + last[1]) < gap) last[1] = block + 1 - last[0];
      else runs.push([block, 1]);
    }
    if (runs.length <= RUNS_MAX) return runs;
  }
};
