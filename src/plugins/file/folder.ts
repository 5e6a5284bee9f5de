import type { Disk } from '../../drivers/disk.ts';
import { Refusal } from '../script.ts';
import type { Images } from './images.ts';
import type { FolderTurns } from './turns.ts';
import type { Notes } from './volumes.ts';

/** An SR that is a folder of this host, opened for one call. */
export interface OpenFolder {
  readonly disk: Disk;
  readonly path: string;
  readonly notes: Notes;
  readonly images: Images;
  readonly turns: FolderTurns;
}

/** Removes an image that no volume names any more, and what stood below it for its sake. */
export const releaseImage = async ({ notes, images }: OpenFolder, image: string): Promise<void> => {
  const needed = new Set<string>();
  for (const other of await notes.keys()) {
    // One that is destroyed meanwhile needs nothing.
    await notes.read(other).then(
      (note) => needed.add(note.image),
      (error) => {
        if (!(error instanceof Refusal && error.code === 'VDI_MISSING')) throw error;
      },
    );
  }
  await images.release(image, (other) => needed.has(other));
};
