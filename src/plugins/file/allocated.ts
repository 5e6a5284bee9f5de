import { readQcow2Tables, tablePlaces } from '../../codec/qcow2-stream.ts';
import type { OpenFile } from '../../drivers/disk.ts';

const HEADER_BYTES = 104;

/**
 * Calls `use` with the bytes that a qcow2 image says something of, zeros too: where it says nothing, the
 * disk is as the image below has it. Throws `ImageRefused`.
 */
export const allocatedIn = async (
  file: OpenFile,
  sizeBytes: number,
  use: (from: number, to: number) => void,
): Promise<void> => {
  const bytesAt = async (length: number, position: number): Promise<Buffer> => {
    const bytes = Buffer.alloc(length);
    await file.read(bytes, BigInt(position));
    return bytes;
  };
  const header = await bytesAt(HEADER_BYTES, 0);
  const { clusterBytes, l1Entries, l1Offset } = readQcow2Tables(header, BigInt(sizeBytes));
  const perTable = clusterBytes / 8;
  for (const [table, place] of tablePlaces(await bytesAt(l1Entries * 8, l1Offset))) {
    for (const [index] of tablePlaces(await bytesAt(clusterBytes, place))) {
      const from = (table * perTable + index) * clusterBytes;
      use(from, from + clusterBytes);
    }
  }
};
