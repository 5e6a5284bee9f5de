import type { OpenVolume } from '../../drivers/storage/storage.ts';
import { lesser } from '../../std/bigints.ts';
import type { Stretch } from './filled.ts';

// Long ways from a disk to a client and back: several pieces are under way at once, so that storage and
// network do not wait for each other, and never more of them than so many, so that memory stays what it is.

/** Pieces of one disk that are being read, or wait to be written. */
const PIECES_MAX = 4;

export interface Piece {
  readonly position: bigint;
  /** As many as were asked for, zeros behind the end of the disk. */
  readonly bytes: Buffer;
  /** How many of them the disk has. */
  readonly found: number;
}

/**
 * What is in the stretches, in their order, the next pieces being read meanwhile. A piece is good until the
 * next is asked for.
 */
export async function* readAhead(
  disk: OpenVolume,
  stretches: Iterable<Stretch> | AsyncIterable<Stretch>,
  pieceBytes: number,
): AsyncGenerator<Piece> {
  const asked = cutIn(stretches, BigInt(pieceBytes));
  const coming: Promise<Coming | undefined>[] = [];
  const askNext = (buffer: Buffer): void => {
    const piece = asked.next().then(({ done, value }) => (done ? undefined : readPiece(disk, value, buffer)));
    // Whoever comes to it hears of its failure; nobody may.
    piece.catch(() => undefined);
    coming.push(piece);
  };
  try {
    for (let ahead = 0; ahead < PIECES_MAX; ahead += 1) askNext(Buffer.allocUnsafe(pieceBytes));
    for (;;) {
      const piece = await coming.shift();
      if (piece === undefined) return;
      yield piece;
      askNext(piece.buffer);
    }
  } finally {
    await Promise.allSettled(coming);
    await asked.return(undefined);
  }
}

async function* cutIn(
  stretches: Iterable<Stretch> | AsyncIterable<Stretch>,
  pieceBytes: bigint,
): AsyncGenerator<Stretch, undefined> {
  for await (const { position, lengthBytes } of stretches) {
    const end = position + lengthBytes;
    for (let at = position; at < end; at += pieceBytes) {
      yield { position: at, lengthBytes: lesser(pieceBytes, end - at) };
    }
  }
  return undefined;
}

interface Coming extends Piece {
  /** That it is in, to be used again. */
  readonly buffer: Buffer;
}

const readPiece = async (
  disk: OpenVolume,
  { position, lengthBytes }: Stretch,
  buffer: Buffer,
): Promise<Coming> => {
  const bytes = buffer.subarray(0, Number(lengthBytes));
  const found = position < disk.sizeBytes ? await disk.read(bytes, position) : 0;
  bytes.fill(0, found);
  return { position, bytes, found, buffer };
};

export interface Behind {
  /** Memory to fill and to write from, until the next is asked for. Throws what a write before has thrown. */
  piece(lengthBytes: number): Promise<Buffer>;
  /** Once what was to be written before is. */
  write(write: () => Promise<void>): void;
}

/** Writes one after the other while the next pieces come. All writes have ended when this does. */
export const writeBehind = async (work: (behind: Behind) => Promise<void>): Promise<void> => {
  const slots = Array.from({ length: PIECES_MAX }, () => ({
    buffer: Buffer.alloc(0),
    written: Promise.resolve(),
  }));
  let turn = 0;
  let last: Promise<void> = Promise.resolve();
  const slot = () => slots[turn] as (typeof slots)[number];
  const behind: Behind = {
    piece: async (lengthBytes) => {
      turn = (turn + 1) % PIECES_MAX;
      const one = slot();
      await one.written;
      if (one.buffer.length < lengthBytes) one.buffer = Buffer.allocUnsafe(lengthBytes);
      return one.buffer.subarray(0, lengthBytes);
    },
    write: (write) => {
      last = last.then(write);
      last.catch(() => undefined);
      slot().written = last;
    },
  };
  try {
    await work(behind);
  } finally {
    await last.catch(() => undefined);
  }
  await last;
};
