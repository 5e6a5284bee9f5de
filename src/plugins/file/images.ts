import { join } from 'node:path';
import type { Disk } from '../../drivers/disk.ts';
import { imageArgument } from '../../drivers/disk-image.ts';
import type { Random } from '../../std/clock.ts';
import { marksOf } from '../held.ts';
import { failure, Refusal } from '../script.ts';
import type { Tool } from '../tools.ts';
import { formatOf, foundImages, type ImageFormat, isImage } from './chain.ts';

/**
 * The image files of one folder. A qcow2 image may stand on another of the folder; one that others
 * stand on is never written again. Images are named by chance, and belong to whoever refers to them.
 */
export interface Images {
  all(): Promise<readonly string[]>;
  create(format: ImageFormat, sizeBytes: number): Promise<string>;
  /** A new, empty image on top of one. */
  overlay(image: string): Promise<string>;
  /** A new image with the same contents, alone or on the same parents. Nothing may write to it meanwhile. */
  copy(image: string): Promise<string>;
  /** A new image with the same contents that stands on nothing. */
  flatten(image: string): Promise<string>;
  /**
   * A new image with the same contents that stands on `onto`, which is below the image, or on nothing.
   * Nothing may write to either meanwhile.
   */
  merge(image: string, onto: string | undefined): Promise<string>;
  /** Puts an image in the place of another one, under whose name it is found from that instant on. */
  exchange(image: string, by: string): Promise<void>;
  /** When it was last written, and how large it is. */
  writtenAt(image: string): Promise<string>;
  grow(image: string, sizeBytes: number): Promise<void>;
  sizeOf(image: string): Promise<number>;
  /** The image and all it stands on, top first. */
  chainOf(image: string): Promise<readonly string[]>;
  /** Bytes on disk of each. */
  usedBytes(images: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Removes an image nobody needs, and those below it that are then needed no more. */
  release(image: string, isNeeded: (image: string) => boolean): Promise<void>;
  remove(image: string): Promise<void>;
  /** Whether a datapath or QEMU holds it: it may be written at any moment, and by its path. */
  isHeld(image: string): Promise<boolean>;
  /** Whether a process has it open for writing now. */
  isLocked(image: string): Promise<boolean>;
}

const COPIES_MAX = 3;
/** Names in one command line. */
const BATCH_MAX = 500;

const unlessRefused =
  <T>(instead: T) =>
  (error: unknown): T => {
    if (error instanceof Refusal) return instead;
    throw error;
  };

interface Folder {
  readonly disk: Disk;
  readonly tool: Tool;
  readonly random: Random;
  readonly folder: string;
}

/** What is found of the images of a folder, and done to single files of them. */
const filesIn = ({ disk, tool, folder }: Folder) => {
  const pathOf = (image: string): string => join(folder, image);
  const remove = async (image: string): Promise<void> => {
    if (await disk.exists(pathOf(image))) await disk.remove(pathOf(image));
  };

  const { headOf, chainOf } = foundImages(disk, folder);

  /** What QEMU's tools open: the image and what it stands on, as they were found. */
  const opened = async (image: string, how: { readonly stoodOn?: true } = {}): Promise<string> => {
    const [, ...backing] = (await chainOf(image)).map(pathOf);
    return imageArgument({ path: pathOf(image), format: formatOf(image), backing, ...how });
  };

  const writtenAt = (image: string): Promise<string> => tool('stat', ['--format=%y %s', '--', pathOf(image)]);

  const resizeRaw = async (image: string, sizeBytes: number): Promise<void> => {
    const file = await disk.openWithin(folder, image, 'write');
    await file.truncate(BigInt(sizeBytes)).finally(file.close);
  };

  const all = async (): Promise<readonly string[]> =>
    (await disk.list(folder))
      .filter(({ name, kind }) => kind === 'file' && isImage(name))
      .map(({ name }) => name);

  const isStoodOn = async (image: string): Promise<boolean> => {
    for (const other of await all()) {
      const head = await headOf(other).catch((error: NodeJS.ErrnoException) => {
        // Removed since it was listed, or none that can be used.
        if (error.code !== 'ENOENT' && !(error instanceof Refusal)) throw error;
        return undefined;
      });
      if (head?.backing === image) return true;
    }
    return false;
  };

  /** QEMU locks what it writes, so a user that no datapath told of is seen too. */
  const isLocked = async (image: string): Promise<boolean> => {
    if (formatOf(image) === 'raw') return false;
    const argument = await opened(image).catch(unlessRefused(undefined));
    // Nobody was given an image that cannot be used.
    if (argument === undefined) return false;
    return tool('qemu-img', ['info', '--', argument]).then(
      () => false,
      (error: Error) => /Failed to get .* lock/.test(error.message),
    );
  };

  return { pathOf, remove, headOf, chainOf, opened, writtenAt, resizeRaw, all, isStoodOn, isLocked };
};

/** How new images come to be. */
const makingIn = (
  { disk, tool, random, folder }: Folder,
  { pathOf, remove, headOf, opened, writtenAt, resizeRaw }: ReturnType<typeof filesIn>,
): Pick<Images, 'create' | 'overlay' | 'copy' | 'flatten' | 'merge'> => {
  /** Makes an image under a new name; a failure leaves nothing of it, a success is on disk. */
  const make = async (format: ImageFormat, fill: (image: string) => Promise<unknown>): Promise<string> => {
    const image = `${random.uuid()}.${format}`;
    try {
      await fill(image);
      const file = await disk.openWithin(folder, image, 'write');
      await file.sync().finally(file.close);
      return image;
    } catch (error) {
      await remove(image);
      throw error;
    }
  };

  const copyTo = async (source: string, image: string): Promise<void> => {
    await headOf(source);
    for (let copies = 0; copies < COPIES_MAX; copies += 1) {
      const before = await writtenAt(source);
      const how = ['--no-dereference', '--reflink=auto', '--sparse=always'];
      await tool('cp', [...how, '--', pathOf(source), pathOf(image)]);
      if ((await writtenAt(source)) === before) return;
    }
    throw failure('The disk is being written to; pause its guest and try again', source);
  };

  return {
    create: (format, sizeBytes) =>
      make(format, async (image) => {
        await disk.replaceText(pathOf(image), '');
        if (format === 'raw') return resizeRaw(image, sizeBytes);
        await tool('qemu-img', ['create', '-q', '-f', format, '--', pathOf(image), `${sizeBytes}`]);
      }),
    // Relative names, and so in the folder, which may then be moved. The parent is not opened for it.
    overlay: (parent) =>
      make('qcow2', async (image) => {
        const size = String((await headOf(parent)).sizeBytes);
        const on = ['-u', '-F', 'qcow2', '-b', parent];
        await tool('qemu-img', ['create', '-q', '-f', 'qcow2', ...on, '--', image, size], folder);
      }),
    copy: (source) => make(formatOf(source), (image) => copyTo(source, image)),
    merge: (source, onto) =>
      make('qcow2', async (image) => {
        await copyTo(source, image);
        const on = onto === undefined ? [] : ['-F', 'qcow2'];
        const base = onto === undefined ? '' : await opened(onto, { stoodOn: true });
        await tool('qemu-img', ['rebase', '-q', ...on, '-b', base, '--', await opened(image)]);
        // Which is now called by all that was said of it, where a name will do.
        if (onto !== undefined)
          await tool('qemu-img', ['rebase', '-q', '-u', ...on, '-b', onto, '--', image], folder);
      }),
    flatten: (source) =>
      make('qcow2', async (image) =>
        tool('qemu-img', ['convert', '-q', '-O', 'qcow2', '--', await opened(source), image], folder),
      ),
  };
};

export const imagesIn = (given: Omit<Folder, 'folder'>, folder: string): Images => {
  const { disk, tool } = given;
  const on = { ...given, folder };
  const files = filesIn(on);
  const { pathOf, remove, headOf, chainOf, opened, writtenAt, resizeRaw, all, isStoodOn, isLocked } = files;
  return {
    ...makingIn(on, files),
    all,
    writtenAt,
    exchange: async (image, by) => {
      await tool('mv', ['--no-target-directory', '--', by, image], folder);
      // What it stood on goes next, and not before this is on disk.
      await tool('sync', ['--', '.'], folder);
    },
    grow: async (image, sizeBytes) => {
      if (formatOf(image) === 'raw') return resizeRaw(image, sizeBytes);
      await tool('qemu-img', ['resize', '-q', '--', await opened(image), `${sizeBytes}`]);
    },
    sizeOf: async (image) => Number((await headOf(image)).sizeBytes),
    chainOf,
    usedBytes: async (images) => {
      const used = new Map<string, number>();
      for (let from = 0; from < images.length; from += BATCH_MAX) {
        const batch = images.slice(from, from + BATCH_MAX);
        const lines = (await tool('stat', ['--format=%b %B', '--', ...batch], folder)).trimEnd().split('\n');
        for (const [index, image] of batch.entries()) {
          const [blocks, blockBytes] = (lines[index] ?? '').split(' ').map(Number);
          used.set(image, (blocks ?? 0) * (blockBytes ?? 0));
        }
      }
      return used;
    },
    release: async (image, isNeeded) => {
      // One that cannot be used still goes, but what it stood on is not to be learnt from it.
      for (const next of await chainOf(image).catch(unlessRefused([image]))) {
        if (isNeeded(next)) return;
        // The one above is gone by now, so that of two who let go of a parent one sees it free.
        if (await isStoodOn(next)) return;
        await remove(next);
      }
    },
    remove,
    isLocked,
    isHeld: async (image) => (await marksOf(disk, pathOf(image))).length > 0 || isLocked(image),
  };
};
