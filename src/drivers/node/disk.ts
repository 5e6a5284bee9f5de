import { randomBytes } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import {
  access,
  chmod,
  type FileHandle,
  lchown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rmdir,
  stat,
  statfs,
  unlink,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { partsWithin } from '../../std/within.ts';
import type { Disk, OpenFile } from '../disk.ts';

const SECTOR_BYTES = 512n;

/** The files of this machine. What it makes is for its own user alone unless a mode is given. */
export const nodeDisk: Disk = {
  async readText(path, bytesMax) {
    const file = await open(path, 'r');
    try {
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      // Counting what comes instead of asking for the size: files of /proc say 0, and files grow.
      for await (const chunk of file.createReadStream({ end: bytesMax, autoClose: false })) {
        chunks.push(chunk as Buffer);
        sizeBytes += chunk.length;
      }
      if (sizeBytes > bytesMax) throw fileError('EFBIG', path, `is over the limit of ${bytesMax} bytes`);
      return Buffer.concat(chunks).toString('utf8');
    } finally {
      await file.close();
    }
  },

  async replaceText(path, text, mode = 0o600) {
    // In the same folder, because a rename is whole only within one file system.
    const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(12).toString('hex')}`);
    const file = await open(temporary, 'wx', mode);
    try {
      try {
        await file.chmod(mode);
        await file.writeFile(text, 'utf8');
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw error;
    }
    await syncFolder(dirname(path));
  },

  async list(folder) {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.map((entry) => ({
      name: entry.name,
      kind: entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : 'other',
    }));
  },

  async makeFolder(path, mode = 0o700) {
    await makeFolder(path, mode);
  },

  /** A file, or a folder that is empty. */
  async remove(path) {
    const found = await lstat(path);
    await (found.isDirectory() ? rmdir(path) : unlink(path));
  },

  async exists(path) {
    return answered(stat(path), ['ENOENT', 'ENOTDIR']);
  },

  async realPath(path) {
    // A link that leads to nothing is something, and an error.
    return (await answered(lstat(path), ['ENOENT', 'ENOTDIR'])) ? realpath(path) : undefined;
  },

  async isExecutable(path) {
    const absent = ['ENOENT', 'ENOTDIR', 'EACCES'];
    if (!(await answered(access(path, constants.X_OK), absent))) return false;
    return (await stat(path)).isFile();
  },

  async space(path) {
    const { bavail, blocks, bsize } = await statfs(path, { bigint: true });
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  },

  /** Never creates: writing to a disk that is not there must not make a file that looks like one. */
  async open(path, how) {
    const file = await open(path, how === 'read' ? constants.O_RDONLY : constants.O_RDWR);
    try {
      return openFile(path, file, await sizeOf(await file.stat({ bigint: true })));
    } catch (error) {
      await file.close();
      throw error;
    }
  },

  async ownerOf(path) {
    const { uid, gid, mode } = await lstat(path);
    return { uid, gid, mode: mode & 0o7777 };
  },

  async give(path, to, mode) {
    const found = await lstat(path);
    if (found.isSymbolicLink()) throw fileError('ELOOP', path, 'is a link, which is not followed');
    // A socket cannot be opened; those that are given lie in folders that nobody else may change.
    if (!found.isFile() && !found.isDirectory()) {
      await lchown(path, to.uid, to.gid);
      return chmod(path, mode);
    }
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      await file.chown(to.uid, to.gid);
      await file.chmod(mode);
    } finally {
      await file.close();
    }
  },

  async openWithin(folder, name, how) {
    const file = await openBelow(folder, partsWithin(folder, name), how).catch((error) => {
      const { code = '' } = error as NodeJS.ErrnoException;
      const isLink = code === 'ELOOP' || code === 'ENOTDIR';
      const what = isLink ? 'is a link or leads over one, which is not followed' : 'cannot be opened';
      throw fileError(isLink ? 'ELOOP' : code, join(folder, name), what);
    });
    try {
      const found = await file.stat({ bigint: true });
      if (!found.isFile()) throw fileError('EINVAL', join(folder, name), 'is not a regular file');
      return openFile(name, file, found.size);
    } catch (error) {
      await file.close();
      throw error;
    }
  },
};

/** Step by step, each from the folder that the last step opened: nothing can be exchanged in between. */
const openBelow = async (
  folder: string,
  parts: readonly string[],
  how: 'read' | 'write',
): Promise<FileHandle> => {
  const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;
  let path = folder;
  let above = await open(folder, O_RDONLY | O_DIRECTORY);
  try {
    for (const part of parts.slice(0, -1)) {
      const next = await open(stepFrom(above, path, part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      await above.close();
      above = next;
      path = join(path, part);
    }
    // A FIFO would keep its opener waiting for the other end.
    const access = (how === 'read' ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK;
    return await open(stepFrom(above, path, parts.at(-1) ?? ''), access);
  } finally {
    await above.close();
  }
};

/** By the open folder where the system has a name for it, elsewhere by its path. */
const stepFrom = (above: FileHandle, path: string, name: string): string =>
  process.platform === 'linux' ? `/proc/self/fd/${above.fd}/${name}` : join(path, name);

const openFile = (path: string, file: FileHandle, sizeBytes: bigint): OpenFile => ({
  sizeBytes,

  /** Fills `into` unless the file ends before. */
  async read(into, position) {
    const start = offset(path, position);
    let done = 0;
    while (done < into.length) {
      const { bytesRead } = await file.read(into, done, into.length - done, start + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  },

  async write(from, position) {
    const start = offset(path, position);
    let done = 0;
    while (done < from.length) {
      const { bytesWritten } = await file.write(from, done, from.length - done, start + done);
      done += bytesWritten;
    }
  },

  async truncate(newSizeBytes) {
    await file.truncate(offset(path, newSizeBytes));
  },

  sync: () => file.datasync(),
  close: () => file.close(),
});

/** Node writes at positions that are numbers; beyond 2^53 they would be rounded to other places. */
const offset = (path: string, position: bigint): number => {
  if (position < 0n || position > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw fileError('EINVAL', path, `has no position ${position}`);
  }
  return Number(position);
};

/** A block device says 0 for its size; the kernel tells it elsewhere, by the device's numbers. */
const sizeOf = async (found: BigIntStats): Promise<bigint> => {
  if (!found.isBlockDevice()) return found.size;
  const major = ((found.rdev >> 8n) & 0xfffn) | ((found.rdev >> 32n) & ~0xfffn);
  const minor = (found.rdev & 0xffn) | ((found.rdev >> 12n) & ~0xffn);
  return BigInt((await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')).trim()) * SECTOR_BYTES;
};

/**
 * The folder and those above it. Not Node's own way of doing so, which never ends where a folder is there
 * but takes no new ones, such as /proc.
 */
const makeFolder = async (path: string, mode: number): Promise<void> => {
  const isFolder = async (): Promise<boolean> =>
    (await stat(path).catch(() => undefined))?.isDirectory() === true;
  if (await isFolder()) return;
  if (dirname(path) !== path) await makeFolder(dirname(path), mode);
  try {
    await mkdir(path, { mode });
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (!(await isFolder())) throw error;
  }
};

/** A rename lasts only when its folder is on disk too. */
const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};

/** True when `question` resolves, false when it fails with one of the codes that mean no. */
const answered = async (question: Promise<unknown>, no: readonly string[]): Promise<boolean> => {
  try {
    await question;
    return true;
  } catch (error) {
    if (no.includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
};

const fileError = (code: string, path: string, what: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`${code}: ${path} ${what}`), { code, path });
