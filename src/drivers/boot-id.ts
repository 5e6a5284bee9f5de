import type { Disk } from './disk.ts';

const BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id';
const BOOT_ID_CHARS_MAX = 64;

/** Another one each time that the machine starts; empty where the system does not tell. */
export const bootIdOf = (disk: Disk): Promise<string> =>
  disk.readText(BOOT_ID_PATH, BOOT_ID_CHARS_MAX).catch(() => '');
