import { basename } from 'node:path';
import type { Disk } from '../drivers/disk.ts';
import type { HostFiles, LogFile } from '../drivers/host-files.ts';
import type { AuditTrail } from '../edge/audit.ts';

/** Of each log that is given away. */
export const logTailBytesMax = 4 * 1_048_576;

export interface HostFilesOptions {
  readonly disk: Disk;
  readonly trail: Pick<AuditTrail, 'read'>;
  /** What this process itself has logged. */
  readonly said: () => string;
  /** Logs of the programs beside it; those that are not there are passed over. */
  readonly logs: readonly string[];
}

export const hostFiles = ({ disk, trail, said, logs }: HostFilesOptions): HostFiles => ({
  audit: trail.read,
  logs: async function* () {
    yield { name: 'xenact.log', bytes: Buffer.from(said()) };
    for (const path of logs) if (await disk.exists(path)) yield tailOf(disk, path);
  },
});

const tailOf = async (disk: Disk, path: string): Promise<LogFile> => {
  const file = await disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(Math.min(logTailBytesMax, Number(file.sizeBytes)));
    const from = file.sizeBytes - BigInt(bytes.length);
    let filled = 0;
    while (filled < bytes.length) {
      const count = await file.read(bytes.subarray(filled), from + BigInt(filled));
      if (count === 0) break;
      filled += count;
    }
    return { name: basename(path), bytes: bytes.subarray(0, filled) };
  } finally {
    await file.close();
  }
};
