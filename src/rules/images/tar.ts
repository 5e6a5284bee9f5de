import { tarEnd } from '../../codec/tar.ts';
import { disksGiven, disksTaken } from '../xva/disks.ts';
import { tarEntries } from '../xva/entries.ts';
import type { TransferFormat } from './image.ts';

/** What the only disk of the archive is called. */
const id = 'vdi';

/** The blocks of the disk with their sums, as an XVA file has them. */
export const tar: TransferFormat = {
  type: 'application/x-tar',
  differs: false,
  give: async ({ disk, progress, signal, begin }) => {
    const write = begin();
    const tell = tellOf(disk.sizeBytes, progress);
    for await (const piece of disksGiven()({ id, disk, tell, signal })) await write(piece);
    await write(tarEnd());
  },
  take: async ({ disk, bytes, progress, signal }) => {
    const taking = disksTaken({ entries: tarEntries(bytes), inline: true, force: false, isBlank: false });
    const tell = tellOf(disk.sizeBytes, progress);
    await taking.take({ id, sizeBytes: disk.sizeBytes, disk, tell, signal });
  },
};

const tellOf =
  (sizeBytes: bigint, progress: (done: number) => void) =>
  (position: bigint): void =>
    progress(Number(position) / Number(sizeBytes));
