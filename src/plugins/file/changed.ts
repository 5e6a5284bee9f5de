import { ImageRefused } from '../../codec/image-refused.ts';
import type { Disk, OpenFile } from '../../drivers/disk.ts';
import { Refusal } from '../script.ts';
import { allocatedIn } from './allocated.ts';
import { BLOCK_BYTES, BLOCKS_MAX, type Blocks, blocksOf, markRuns, type Runs, runsOf } from './blocks.ts';
import { formatOf } from './chain.ts';
import type { Images } from './images.ts';

// Which blocks of a disk have changed is read off its images, of which all but the topmost are never written
// again: two disks that stand on one image differ where something is above it. Nothing has to be kept up
// while a guest writes, and nothing can be out of date after a kill.

/** What a disk has, or had before its data went: what the image has, or zeros, but for some blocks. */
export interface Contents {
  readonly image?: string;
  readonly except: Runs;
}

/** A disk, its images and the size of it. */
export interface Compared {
  readonly contents: Contents;
  readonly sizeBytes: number;
}

interface ImageFolder {
  readonly disk: Disk;
  readonly path: string;
  readonly images: Images;
}

/** In the form that clients of storage know. */
const refused = (why: string): Refusal =>
  new Refusal('SR_BACKEND_FAILURE_460', [
    '',
    `Failed to calculate changed blocks for given VDIs [opterr=${why}]`,
    '',
  ]);

/** All that may differ; a block more than does is told rather than one less. */
export const changedBetween = async (folder: ImageFolder, from: Compared, to: Compared): Promise<Blocks> => {
  if (to.sizeBytes > BLOCKS_MAX * BLOCK_BYTES) {
    throw refused(`The disk is larger than ${BLOCKS_MAX * BLOCK_BYTES} bytes`);
  }
  const blocks = blocksOf(to.sizeBytes);
  markRuns(blocks, from.contents.except);
  markRuns(blocks, to.contents.except);
  blocks.mark(from.sizeBytes, to.sizeBytes);
  const [before, after] = [await imagesOf(folder, from), await imagesOf(folder, to)];
  const shared = before.find((image) => after.includes(image));
  const above = [before, after].flatMap((chain) =>
    chain.slice(0, shared ? chain.indexOf(shared) : undefined),
  );
  const [one, other, ...others] = above;
  const areFiles = above.length === 2 && above.every((image) => formatOf(image) === 'raw');
  if (areFiles && one !== undefined && other !== undefined) await markDifferent(folder, one, other, blocks);
  else for (const image of [one, other, ...others]) if (image) await markAllocated(folder, image, blocks);
  return blocks;
};

const imagesOf = async ({ images }: ImageFolder, { contents }: Compared): Promise<readonly string[]> => {
  if (contents.image === undefined) return [];
  return images.chainOf(contents.image).catch((error: NodeJS.ErrnoException) => {
    // Of a disk whose data went this is what it was known by.
    throw error.code === 'ENOENT' ? refused('Source and target VDI are unrelated') : error;
  });
};

/** What is left of a disk once its image goes. */
export const contentsWithout = async (
  folder: ImageFolder,
  image: string,
  sizeBytes: number,
): Promise<Contents> => {
  const blocks = blocksOf(sizeBytes);
  await markAllocated(folder, image, blocks);
  const [, below] = await folder.images.chainOf(image);
  return { ...(below !== undefined && { image: below }), except: runsOf(blocks) };
};

/** A raw image says something of all the disk. */
const markAllocated = async (folder: ImageFolder, image: string, { mark }: Blocks): Promise<void> => {
  const sizeBytes = await folder.images.sizeOf(image);
  if (formatOf(image) === 'raw') return mark(0, sizeBytes);
  await withFile(folder, image, (file) =>
    allocatedIn(file, sizeBytes, mark).catch((error: unknown) => {
      throw error instanceof ImageRefused ? refused(error.message) : error;
    }),
  );
};

const withFile = async <T>(
  { disk, path }: ImageFolder,
  image: string,
  use: (file: OpenFile) => Promise<T>,
): Promise<T> => {
  const file = await disk.openWithin(path, image, 'read');
  return use(file).finally(file.close);
};

const PIECE_BYTES = 16 * BLOCK_BYTES;

/** Raw images have nothing in common that could be seen but by reading both. */
const markDifferent = (folder: ImageFolder, one: string, other: string, { mark }: Blocks): Promise<void> =>
  withFile(folder, one, (first) =>
    withFile(folder, other, async (second) => {
      const [ours, theirs] = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)];
      const sizeBytes = Math.max(Number(first.sizeBytes), Number(second.sizeBytes));
      for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
        ours.fill(0, await first.read(ours, BigInt(at)));
        theirs.fill(0, await second.read(theirs, BigInt(at)));
        if (ours.equals(theirs)) continue;
        for (let from = 0; from < PIECE_BYTES; from += BLOCK_BYTES) {
          const to = from + BLOCK_BYTES;
          if (ours.compare(theirs, from, to, from, to) !== 0) mark(at + from, at + to);
        }
      }
    }),
  );
