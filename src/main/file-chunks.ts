import type { Disk } from '../drivers/disk.ts';

const chunkBytes = 65_536;

/** The bytes of a file as it is when it is opened. Each piece is its own memory. */
export const chunksOf = async function* (disk: Disk, path: string): AsyncGenerator<Uint8Array> {
  const file = await disk.open(path, 'read');
  try {
    for (let position = 0n; position < file.sizeBytes; ) {
      const chunk = new Uint8Array(Math.min(chunkBytes, Number(file.sizeBytes - position)));
      const count = await file.read(chunk, position);
      if (count === 0) return;
      yield chunk.subarray(0, count);
      position += BigInt(count);
    }
  } finally {
    await file.close();
  }
};
