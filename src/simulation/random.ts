import { createHash } from 'node:crypto';
import type { Random } from '../std/clock.ts';

/** Chance that is the same for the same seed. */
export interface SeededRandom extends Random {
  /**
   * Another one that follows from the seed and the name alone: however much one consumer takes, and in
   * whatever order they were made, the others get the same.
   */
  split(name: string): SeededRandom;
  /** A whole number from `least` up to and with `most`. */
  between(least: number, most: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
}

export const seededRandom = (seed: string): SeededRandom => {
  const word = words(seed);
  const bytes = (count: number): Uint8Array => {
    const made = new Uint8Array(count);
    for (let i = 0; i < count; i++) made[i] = word() & 0xff;
    return made;
  };
  const fraction = (): number => word() / 2 ** 32;
  const between = (least: number, most: number): number =>
    least + Math.floor(fraction() * (most - least + 1));
  return {
    uuid: () => uuidOf(bytes(16)),
    bytes,
    fraction,
    split: (name) => seededRandom(`${seed}/${name}`),
    between,
    chance: (probability) => fraction() < probability,
    pick: (list) => {
      if (list.length === 0) throw new Error('There is nothing to pick from');
      return list[between(0, list.length - 1)] as never;
    },
  };
};

/** The generator sfc32, begun with a hash of the seed: quick, small, and good in every bit. */
const words = (seed: string): (() => number) => {
  const start = createHash('sha256').update(seed).digest();
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => start.readInt32LE(at)) as [number, number, number, number];
  return () => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
};

/** Sixteen bytes as a version 4 UUID. */
const uuidOf = (bytes: Uint8Array): string => {
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
};
