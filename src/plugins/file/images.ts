import { join } from 'node:path';
import type { Disk } from '../../drivers/disk.ts';
import type { Random } from '../../std/clock.ts';
import { HELD_SUFFIX } from '../held.ts';
import { failure } from '../script.ts';
import type { Tool } from '../tools.ts';
import { QCOW2_HEADER_BYTES, readQcow2Header } from './qcow2-header.ts';

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
}

export type ImageFormat = 'raw' | 'qcow2';

/** Deeper chains make every read slower, and QEMU opens each file of one. */
export const CHAIN_MAX = 64;
const BACKING_NAME_BYTES_MAX = 1_023;
const COPIES_MAX = 3;
/** Names in one command line. */
const BATCH_MAX = 500;

const PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(raw|qcow2)$/;

export const isImage = (name: string): boolean => PATTERN.test(name);
export const formatOf = (image: string): ImageFormat => (image.endsWith('.qcow2') ? 'qcow2' : 'raw');

export const imagesIn = (
  { disk, tool, random }: { readonly disk: Disk; readonly tool: Tool; readonly random: Random },
  folder: string,
): Images => {
  const pathOf = (image: string): string => join(folder, image);
  const remove = async (image: string): Promise<void> => {
    if (await disk.exists(pathOf(image))) await disk.remove(pathOf(image));
  };

  /** Makes an image under a new name; a failure leaves nothing of it, a success is on disk. */
  const make = async (format: ImageFormat, fill: (image: string) => Promise<unknown>): Promise<string> => {
    const image = `${random.uuid()}.${format}`;
    try {
      await fill(image);
      const file = await disk.open(pathOf(image), 'write');
      await file.sync().finally(file.close);
      return image;
    } catch (error) {
      await remove(image);
      throw error;
    }
  };

  const headOf = async (image: string) => {
    const file = await disk.open(pathOf(image), 'read');
    try {
      if (formatOf(image) === 'raw') return { sizeBytes: file.sizeBytes, backing: undefined };
      const bytes = Buffer.alloc(QCOW2_HEADER_BYTES);
      await file.read(bytes, 0n);
      const header = readQcow2Header(bytes);
      if (header === undefined) throw failure('The image is damaged: it has no qcow2 header', image);
      if (header.backing === undefined) return { ...header, backing: undefined };
      if (header.backing.length > BACKING_NAME_BYTES_MAX) throw failure('The image is damaged', image);
      const name = Buffer.alloc(header.backing.length);
      await file.read(name, header.backing.position);
      const backing = name.toString('utf8');
      if (!isImage(backing)) throw failure('The image stands on a file that is not of this SR', image);
      return { ...header, backing };
    } finally {
      await file.close();
    }
  };

  const chainOf = async (image: string): Promise<readonly string[]> => {
    const chain: string[] = [];
    for (let next: string | undefined = image; next !== undefined; next = (await headOf(next)).backing) {
      if (chain.length > CHAIN_MAX) throw failure('The image stands on too many others', image);
      chain.push(next);
    }
    return chain;
  };

  const all = async (): Promise<readonly string[]> =>
    (await disk.list(folder))
      .filter(({ name, kind }) => kind === 'file' && isImage(name))
      .map(({ name }) => name);

  const isStoodOn = async (image: string): Promise<boolean> => {
    for (const other of await all()) {
      const head = await headOf(other).catch((error: NodeJS.ErrnoException) => {
        // Removed since it was listed.
        if (error.code !== 'ENOENT') throw error;
        return undefined;
      });
      if (head?.backing === image) return true;
    }
    return false;
  };

  /** QEMU locks what it writes, so a user that no datapath told of is seen too. */
  const isLocked = async (image: string): Promise<boolean> =>
    formatOf(image) === 'qcow2' &&
    tool('qemu-img', ['info', '-f', 'qcow2', '--', pathOf(image)]).then(
      () => false,
      (error: Error) => /Failed to get .* lock/.test(error.message),
    );

  const writtenAt = (image: string): Promise<string> => tool('stat', ['--format=%y %s', '--', pathOf(image)]);

  return {
    all,
    create: (format, sizeBytes) =>
      make(format, (image) =>
        format === 'raw'
          ? tool('truncate', [`--size=${sizeBytes}`, '--', pathOf(image)])
          : tool('qemu-img', ['create', '-q', '-f', format, '--', pathOf(image), `${sizeBytes}`]),
      ),
    // Relative names, and so in the folder, which may then be moved.
    overlay: (parent) =>
      make('qcow2', (image) =>
        tool('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', parent, '--', image], folder),
      ),
    copy: (source) =>
      make(formatOf(source), async (image) => {
        for (let copies = 0; copies < COPIES_MAX; copies += 1) {
          const before = await writtenAt(source);
          await tool('cp', ['--reflink=auto', '--sparse=always', '--', pathOf(source), pathOf(image)]);
          if ((await writtenAt(source)) === before) return;
        }
        throw failure('The disk is being written to; pause its guest and try again', source);
      }),
    flatten: (source) =>
      make('qcow2', (image) =>
        tool('qemu-img', ['convert', '-q', '-f', 'qcow2', '-O', 'qcow2', '--', source, image], folder),
      ),
    grow: async (image, sizeBytes) => {
      if (formatOf(image) === 'raw') await tool('truncate', [`--size=${sizeBytes}`, '--', pathOf(image)]);
      else await tool('qemu-img', ['resize', '-q', '-f', 'qcow2', '--', pathOf(image), `${sizeBytes}`]);
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
      for (const next of await chainOf(image)) {
        if (isNeeded(next)) return;
        // The one above is gone by now, so that of two who let go of a parent one sees it free.
        if (await isStoodOn(next)) return;
        await remove(next);
      }
    },
    remove,
    isHeld: async (image) => (await disk.exists(pathOf(image) + HELD_SUFFIX)) || isLocked(image),
  };
};
