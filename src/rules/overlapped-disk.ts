import type { OpenDisk } from '../objects/disk.ts';

/** Larger pieces are not read before they are asked for, and are written before that is answered. */
const pieceBytesMax = 4 * 1_048_576;

interface Ahead {
  readonly position: bigint;
  readonly bytes: Buffer;
  readonly count: Promise<number>;
}

/**
 * The same disk for whoever goes through it from its beginning to its end: while the caller is busy with a
 * piece, the next one is read, or the last one is written. What a write fails with the next write or the
 * flush throws; what was not flushed may not be there. One call at a time: who has several pieces under way
 * at once needs none of it, and would find one piece in the place of another.
 */
export const overlappedDisk = (disk: OpenDisk): OpenDisk => {
  let ahead: Ahead | undefined;
  let readTo = 0n;
  let space = Buffer.alloc(0);
  let written: Promise<void> = Promise.resolve();

  const spaceOf = (length: number): Buffer => {
    if (space.length < length) space = Buffer.allocUnsafe(length);
    return space.subarray(0, length);
  };
  const readAhead = (position: bigint, length: number): void => {
    if (position >= disk.sizeBytes || length > pieceBytesMax) return;
    const bytes = spaceOf(length);
    ahead = { position, bytes, count: disk.read(bytes, position) };
    ahead.count.catch(() => {});
  };
  const read = async (into: Uint8Array, position: bigint): Promise<number> => {
    await written;
    const found = ahead;
    ahead = undefined;
    // The space is free again only once that has been read.
    const have = await found?.count.catch(() => undefined);
    if (found?.position !== position || found.bytes.length < into.length || have === undefined)
      return disk.read(into, position);
    const count = Math.min(have, into.length);
    into.set(found.bytes.subarray(0, count));
    return count;
  };

  return {
    ...disk,
    read: async (into, position) => {
      const inOrder = position === readTo;
      const count = await read(into, position);
      readTo = position + BigInt(count);
      if (inOrder) readAhead(readTo, into.length);
      return count;
    },
    write: async (from, position) => {
      await written;
      await ahead?.count.catch(() => {});
      ahead = undefined;
      if (from.length > pieceBytesMax) return disk.write(from, position);
      const bytes = spaceOf(from.length);
      bytes.set(from);
      written = disk.write(bytes, position);
      written.catch(() => {});
    },
    flush: async () => {
      await written;
      await disk.flush();
    },
    close: async () => {
      await Promise.allSettled([written, ahead?.count]);
      return disk.close();
    },
  };
};
