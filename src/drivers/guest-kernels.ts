// Kernels and RAM disks that guests boot directly. A VM's administrator names them, so they come from one
// folder that the host's administrator filled, and from nowhere else.
import { join, resolve } from 'node:path';
import { partsWithin } from '../std/within.ts';
import type { Disk, OpenFile } from './disk.ts';

export interface GuestKernels {
  /** The absolute path of what a guest may boot. Rejects with `KernelRefused`. */
  find(name: string): Promise<string>;
  /** The file itself, whatever is put in its place from then on. Rejects with `KernelRefused`. */
  open(name: string): Promise<OpenFile>;
}

/** A kernel that guests may not boot; the message says what would help. */
export class KernelRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'KernelRefused';
  }
}

export const KERNEL_BYTES_MAX = 512n * 1024n * 1024n;

/** Without a folder every kernel is refused. */
export const guestKernelsIn = (disk: Disk, folder: string | undefined): GuestKernels => {
  const root = folder === undefined ? undefined : resolve(folder);
  const open = async (name: string): Promise<OpenFile> => {
    if (root === undefined) {
      throw new KernelRefused(
        'this host offers no guest kernels: start xenact with --guest-kernels DIR, or boot from a disk',
      );
    }
    const file = await disk.openWithin(root, name, 'read').catch((error: Error) => {
      throw new KernelRefused(`${error.message}; guest kernels are regular files in ${root}`);
    });
    if (file.sizeBytes <= KERNEL_BYTES_MAX) return file;
    await file.close();
    throw new KernelRefused(`${name} is larger than ${KERNEL_BYTES_MAX} bytes`);
  };
  return {
    open,
    find: async (name) => {
      await (await open(name)).close();
      return join(root ?? '', ...partsWithin(root ?? '', name));
    },
  };
};
