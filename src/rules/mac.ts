import { createHash } from 'node:crypto';
import type { Random } from '../std/clock.ts';

/** One that nobody was ever sold, and of a single card: bit 1 of the first byte set, bit 0 clear. */
const local = (bytes: readonly number[]): string =>
  bytes
    .map((byte, i) => (i === 0 ? (byte & 0xfe) | 0x02 : byte))
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(':');

export const randomMac = (random: Random): string => local([...random.bytes(6)]);

const md5 = (data: Uint8Array | string): Uint8Array => createHash('md5').update(data).digest();

/**
 * Clones of one VM on different pools agree on their addresses: hashed from the VM's seed and the position.
 */
export const macFromSeed = (seed: string, device: number): string => {
  let hashed: Uint8Array = md5(seed);
  for (let i = 0; i < 2 * device; i += 1) hashed = md5(hashed);
  const again = md5(hashed);
  return local([...hashed.slice(0, 4), ...again.slice(1, 3)]);
};

export const isMac = (text: string): boolean => /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text);

/** A card of a single machine, not a group of them. */
export const isUnicast = (mac: string): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0;
