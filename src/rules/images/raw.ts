import { ImageRefused } from '../../codec/image-refused.ts';
import { DiskTooSmall, type Taken, type TransferFormat } from './image.ts';
import { readAhead, writeBehind } from './pieces.ts';

const PIECE_BYTES = 1 << 20;

/** The bytes of the disk and nothing else. */
export const raw: TransferFormat = {
  type: 'application/octet-stream',
  differs: false,
  give: async ({ disk, progress, signal, begin }) => {
    const write = begin(disk.sizeBytes);
    const whole = { position: 0n, lengthBytes: disk.sizeBytes };
    for await (const { position, bytes, found } of readAhead(disk, [whole], PIECE_BYTES)) {
      signal.throwIfAborted();
      const end = position + BigInt(found);
      if (found < bytes.length) throw new ImageRefused(`The disk ends after ${end} bytes`, true);
      await write(bytes);
      progress(Number(end) / Number(disk.sizeBytes));
    }
  },
  // A body that is shorter than the disk leaves the rest as it is.
  take: ({ disk, bytes, progress, signal }) =>
    writeBehind(async ({ piece, write }) => {
      for (let position = 0n; ; ) {
        const into = await piece(PIECE_BYTES);
        signal.throwIfAborted();
        const count = await bytes.fill(into);
        if (count === 0) return;
        const [from, end] = [position, position + BigInt(count)];
        if (end > disk.sizeBytes) throw new DiskTooSmall(end);
        write(() => disk.write(into.subarray(0, count), from));
        position = end;
        progress(Number(position) / Number(disk.sizeBytes || 1n));
      }
    }),
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
      // One after the other, as chunks may say the same place twice.
      await disk.write(part, position + BigInt(from));
    }
    progress(Number(position + BigInt(length)) / Number(disk.sizeBytes || 1n));
  }
};
