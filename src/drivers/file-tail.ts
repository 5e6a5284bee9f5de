import type { Disk } from './disk.ts';

/** The last bytes of a file, at most so many; none where it is not there. */
export const tailOf = async (disk: Disk, path: string, bytesMax: number): Promise<Buffer> => {
  if (!(await disk.exists(path))) return Buffer.alloc(0);
  const file = await disk.open(path, 'read');
  try {
    const from = file.sizeBytes > BigInt(bytesMax) ? file.sizeBytes - BigInt(bytesMax) : 0n;
    const bytes = Buffer.alloc(Number(file.sizeBytes - from));
    let filled = 0;
    while (filled < bytes.length) {
      const count = await file.read(bytes.subarray(filled), from + BigInt(filled));
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  } finally {
    await file.close();
  }
};
