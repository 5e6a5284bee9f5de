import type { OpenVolume } from '../../drivers/storage/storage.ts';
import { lesser } from '../../std/bigints.ts';

// Which parts of a disk have something in them. Where the storage can tell, holes are not read.

export interface Stretch {
  readonly position: bigint;
  readonly lengthBytes: bigint;
}

/** What one question asks the storage about. */
const WINDOW_BYTES = 1n << 30n;

/**
 * The stretches, ascending, in which one of the disks may have something else than zeros; a disk that is
 * shorter has zeros behind its end.
 */
export const filledOf = async function* (
  disks: readonly OpenVolume[],
  sizeBytes: bigint,
): AsyncGenerator<Stretch> {
  for (let from = 0n; from < sizeBytes; from += WINDOW_BYTES) {
    const to = lesser(from + WINDOW_BYTES, sizeBytes);
    const found: Stretch[] = [];
    for (const disk of disks) found.push(...(await filledIn(disk, from, to)));
    yield* merged(found);
  }
};

const filledIn = async (disk: OpenVolume, from: bigint, until: bigint): Promise<readonly Stretch[]> => {
  const to = lesser(until, disk.sizeBytes);
  if (from >= to) return [];
  if (disk.extents === undefined) return [{ position: from, lengthBytes: to - from }];
  const found: Stretch[] = [];
  for (let position = from; position < to; ) {
    for (const { lengthBytes: said, zero } of await disk.extents(position, to - position)) {
      const lengthBytes = lesser(said, to - position);
      if (!zero && lengthBytes > 0n) found.push({ position, lengthBytes });
      position += lengthBytes;
    }
  }
  return found;
};

const merged = (stretches: readonly Stretch[]): readonly Stretch[] => {
  const sorted = [...stretches].sort((one, other) => (one.position < other.position ? -1 : 1));
  const all: { position: bigint; lengthBytes: bigint }[] = [];
  for (const { position, lengthBytes } of sorted) {
    const last = all.at(-1);
    const end = position + lengthBytes;
    if (last === undefined || position > last.position + last.lengthBytes)
      all.push({ position, lengthBytes });
    else if (end > last.position + last.lengthBytes) last.lengthBytes = end - last.position;
  }
  return all;
};
