import { spawnSync } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder on a small file system of its own, to be full with. */
export interface SmallDisk {
  readonly folder: string;
  /** Leaves no byte free, or as many as are given; again where some were given back. */
  fill(leftBytes?: number): Promise<void>;
  /** Takes back what `fill` took. */
  free(): Promise<void>;
  remove(): Promise<void>;
}

/** Undefined where mounting is not allowed. */
export const smallDisk = async (mib: number): Promise<SmallDisk | undefined> => {
  const parent = await mkdtemp(join(tmpdir(), 'xenact-small-'));
  const folder = join(parent, 'disk');
  await mkdir(folder);
  const ballast = join(folder, 'ballast');
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', folder]).status !== 0) {
    await rm(parent, { recursive: true });
    return undefined;
  }
  return {
    folder,
    fill: async (leftBytes = 0) => {
      // Ends with ENOSPC, having written all that fitted.
      const { bavail, bsize } = await statfs(folder);
      const bytes = leftBytes === 0 ? mib << 20 : bavail * bsize - leftBytes;
      await appendFile(ballast, Buffer.alloc(bytes)).catch(() => undefined);
    },
    free: () => rm(ballast),
    remove: async () => {
      spawnSync('umount', ['--lazy', folder]);
      await rm(parent, { recursive: true, force: true });
    },
  };
};
