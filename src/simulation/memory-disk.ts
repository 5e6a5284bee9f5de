import type { Disk, OpenFile } from '../drivers/disk.ts';
import { partsWithin } from '../std/within.ts';
import type { Life } from './life.ts';
import { type FileChange, failure, type MemoryFile, newFile, treeOf } from './memory-files.ts';
import type { SeededRandom } from './random.ts';

/** The disk of one simulated machine. It outlives the processes of the machine. */
export interface MemoryDisk {
  /** The disk as one process sees it. */
  of(life: Life): Disk;
  /**
   * Power was cut: of what was written and not synced, chance decides piece by piece what is there
   * afterwards. Files that are replaced as a whole are the old ones or the new ones.
   */
  loseUnsynced(): void;
  /** From now on writes fail with this code of the system, such as `ENOSPC` or `EIO`; undefined: no more. */
  refuseWrites(code: string | undefined): void;
}

export interface MemoryDiskOptions {
  readonly random: SeededRandom;
  /** What a sync takes, evenly between the two; everything else takes no time. */
  readonly syncMs?: readonly [least: number, most: number];
  readonly totalBytes?: bigint;
}

export const memoryDisk = (options: MemoryDiskOptions): MemoryDisk => {
  const { random, syncMs: [leastMs, mostMs] = [0, 0], totalBytes = 1n << 40n } = options;
  const tree = treeOf(random);
  let refusal: string | undefined;

  const check = (path: string): void => {
    if (refusal !== undefined) throw failure(refusal, path);
  };
  const synced = (life: Life): Promise<void> => {
    if (mostMs === 0) return Promise.resolve();
    return new Promise((resolve) => life.after(leastMs + random.fraction() * (mostMs - leastMs), resolve));
  };
  const openFile = (path: string, file: MemoryFile, life: Life, writable: boolean): OpenFile => {
    const change = async (made: FileChange): Promise<void> => {
      if (!writable) throw failure('EBADF', path);
      // What a process does after its end is no longer its doing.
      if (life.state === 'ended') return;
      check(path);
      file.change(made);
    };
    return {
      sizeBytes: BigInt(file.bytes().length),
      read: async (into, position) => {
        const from = file.bytes().subarray(Number(position), Number(position) + into.length);
        into.set(from);
        return from.length;
      },
      write: (from, position) => change({ at: Number(position), bytes: from.slice() }),
      truncate: (sizeBytes) => change({ sizeBytes: Number(sizeBytes) }),
      sync: async () => {
        check(path);
        const upTo = file.unsynced();
        await synced(life);
        file.sync(upTo);
      },
      close: async () => {},
    };
  };

  return {
    refuseWrites: (code) => {
      refusal = code;
    },
    loseUnsynced: tree.loseUnsynced,
    of: (life) => ({
      readText: async (path, bytesMax) => {
        const bytes = tree.file(path).bytes();
        if (bytes.length > bytesMax) throw failure('EFBIG', path);
        return Buffer.from(bytes).toString('utf8');
      },
      replaceText: async (path, text, mode = 0o600) => {
        check(path);
        tree.folder(parentOf(path));
        const file = newFile(Buffer.from(text, 'utf8'), mode);
        const renamed = tree.replace(path, file);
        await synced(life);
        if (life.state !== 'ended') renamed();
      },
      list: async (path) => tree.list(path),
      makeFolder: async (path) => {
        check(path);
        tree.makeFolder(path);
      },
      remove: async (path) => {
        check(path);
        tree.remove(path);
      },
      exists: async (path) => tree.exists(path),
      realPath: async (path) => (tree.exists(path) ? path : undefined),
      isExecutable: async (path) => tree.exists(path) && tree.isExecutable(path),
      space: async () => {
        const freeBytes = refusal === 'ENOSPC' ? 0n : totalBytes - BigInt(tree.usedBytes());
        return { freeBytes, totalBytes };
      },
      open: async (path, how) => openFile(path, tree.file(path), life, how === 'write'),
      ownerOf: async () => ({ uid: 0, gid: 0, mode: 0o600 }),
      give: async () => {},
      openWithin: async (folder, name, how) => {
        const path = [folder, ...partsWithin(folder, name)].join('/');
        return openFile(path, tree.file(path), life, how === 'write');
      },
    }),
  };
};

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';
