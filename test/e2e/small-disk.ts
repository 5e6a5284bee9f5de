import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder on a small file system of its own, to be full with. */
export interface SmallDisk {
  readonly folder: string;
  /** Leaves no byte free. */
  fill(): Promise<void>;
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
    fill: async () => {
      // Ends with ENOSPC, having written all that fitted.
      await writeFile(ballast, Buffer.alloc(mib << 20)).catch(() => undefined);
    },
    free: () => rm(ballast),
    remove: async () => {
      spawnSync('umount', ['--lazy', folder]);
      await rm(parent, { recursive: true, force: true });
    },
  };
};
