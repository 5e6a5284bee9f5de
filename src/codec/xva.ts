import { createHash } from 'node:crypto';
import xxhash from 'xxhash-wasm';

// What is in an XVA file beside `ova.xml`: each disk in blocks, each block an entry with its sum behind it.

export const XVA_BLOCK_BYTES = 1 << 20;

/** By what a sum's entry is called after the name of its block. */
export const sumExtensions = ['.xxhash', '.checksum'] as const;
export type SumExtension = (typeof sumExtensions)[number];

const hashes = xxhash();

/** The text that is in the entry of a block's sum. */
export const blockSum = async (kind: SumExtension, data: Uint8Array): Promise<string> => {
  if (kind === '.checksum') return createHash('sha1').update(data).digest('hex');
  const sum = (await hashes).h64Raw(data);
  return sum.toString(16).toUpperCase().padStart(16, '0');
};

/** Numbers count entries and are no places: see `XvaPlaces`. */
export const blockName = (disk: string, number: number): string =>
  `${disk}/${String(number).padStart(8, '0')}`;

/** The number of a block of this disk; undefined where the entry is none. */
export const blockNumber = (disk: string, name: string): number | undefined => {
  const [, digits] = name.startsWith(`${disk}/`)
    ? (/^(\d{8,15})$/.exec(name.slice(disk.length + 1)) ?? [])
    : [];
  return digits === undefined ? undefined : Number(digits);
};

/**
 * Where the blocks of a disk are. What is left out between two of them is as long as the very first block of
 * the file, be it of another disk; a block of no length takes a number and no place.
 */
export interface XvaPlaces {
  /** Answers where it begins; undefined where its number is not greater than the one before. */
  next(number: number, lengthBytes: number): bigint | undefined;
  /** Where the next one would begin. */
  readonly position: bigint;
}

export const xvaPlaces = (unitBytes: number): XvaPlaces => {
  let last = -1;
  let position = 0n;
  return {
    get position() {
      return position;
    },
    next: (number, lengthBytes) => {
      if (number <= last) return undefined;
      const at = position + BigInt(number - last - 1) * BigInt(unitBytes);
      last = number;
      position = at + BigInt(lengthBytes);
      return at;
    },
  };
};

export type XvaPacking = 'none' | 'gzip' | 'zstd';

/** By how a file begins; four bytes are enough. */
export const packingOf = (start: Uint8Array): XvaPacking => {
  const begins = (...bytes: readonly number[]): boolean => bytes.every((byte, at) => start[at] === byte);
  if (begins(0x28, 0xb5, 0x2f, 0xfd)) return 'zstd';
  return begins(0x1f, 0x8b) ? 'gzip' : 'none';
};
