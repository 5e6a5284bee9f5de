import { ImageRefused } from '../../codec/image-refused.ts';
import { DiskTooSmall, type Taken, type TransferFormat } from './image.ts';

const PIECE_BYTES = 1 << 20;

/** The bytes of the disk and nothing else. */
export const raw: TransferFormat = {
  type: 'application/octet-stream',
  differs: false,
  give: async ({ disk, progress, signal, begin }) => {
    const write = begin(disk.sizeBytes);
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let position = 0n; position < disk.sizeBytes; ) {
      signal.throwIfAborted();
      const count = await disk.read(piece, position);
      if (count === 0) throw new ImageRefused(`The disk ends after ${position} bytes`, true);
      await write(piece.subarray(0, count));
      position += BigInt(count);
      progress(Number(position) / Number(disk.sizeBytes));
    }
  },
  // A body that is shorter than the disk leaves the rest as it is.
  take: async ({ disk, bytes, progress, signal }) => {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let position = 0n; ; ) {
      signal.throwIfAborted();
      const count = await bytes.fill(piece);
      if (count === 0) return;
      if (position + BigInt(count) > disk.sizeBytes) throw new DiskTooSmall(position + BigInt(count));
      await disk.write(piece.subarray(0, count), position);
      position += BigInt(count);
      progress(Number(position) / Number(disk.sizeBytes || 1n));
    }
  },
};

const CHUNK_HEAD_BYTES = 12;

/** Pieces in any order, each behind its place and its length; one of no length at place 0 ends them. */
export const takeChunks = async ({ disk, bytes, progress, signal }: Taken): Promise<void> => {
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  for (;;) {
    signal.throwIfAborted();
    const head = await bytes.exactly(CHUNK_HEAD_BYTES);
    const [position, length] = [head.readBigUInt64LE(0), head.readUInt32LE(8)];
    if (position === 0n && length === 0) return;
    if (position + BigInt(length) > disk.sizeBytes) throw new DiskTooSmall(position + BigInt(length));
    for (let from = 0; from < length; from += PIECE_BYTES) {
      const part = piece.subarray(0, Math.min(PIECE_BYTES, length - from));
      await bytes.fillAll(part);
      await disk.write(part, position + BigInt(from));
    }
    progress(Number(position + BigInt(length)) / Number(disk.sizeBytes || 1n));
  }
};
