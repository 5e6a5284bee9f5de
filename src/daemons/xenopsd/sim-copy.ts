import type { Disk } from '../../drivers/disk.ts';
import { imageArgument } from '../../drivers/disk-image.ts';
import type { Processes } from '../../drivers/processes.ts';
import type { GuestDisk } from './backend.ts';

// Simulated guests write nothing while a disk of theirs moves, so its bytes are copied as they are.

const COPY_MS_MAX = 6 * 60 * 60_000;
const OUTPUT_BYTES_MAX = 64 * 1024;
const PIECE_BYTES = 1024 * 1024;

export const copyImages =
  ({ disk, processes }: { readonly disk: Disk; readonly processes: Processes }) =>
  async (from: GuestDisk, into: GuestDisk, signal: AbortSignal): Promise<void> => {
    const [source, target] = [from.path, into.path];
    if (source === undefined || target === undefined) throw new Error('a disk has no storage');
    if (from.format === 'raw' && into.format === 'raw') return copyFile(disk, source, target, signal);
    const argument = imageArgument({ ...from, path: source });
    const { code, stderr } = await processes.run(
      'qemu-img',
      ['convert', '-q', '-n', '-O', into.format, '--', argument, target],
      { timeoutMs: COPY_MS_MAX, outputMax: OUTPUT_BYTES_MAX, signal },
    );
    if (code !== 0) throw new Error(`the disk could not be copied: ${stderr.trim()}`);
  };

const copyFile = async (disk: Disk, from: string, into: string, signal: AbortSignal): Promise<void> => {
  const source = await disk.open(from, 'read');
  try {
    const target = await disk.open(into, 'write');
    try {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      for (let at = 0n; at < source.sizeBytes; ) {
        signal.throwIfAborted();
        const bytes = piece.subarray(0, await source.read(piece, at));
        if (bytes.length === 0) break;
        if (bytes.some((byte) => byte !== 0)) await target.write(bytes, at);
        at += BigInt(bytes.length);
      }
      await target.sync();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
};
