import { join } from 'node:path';
import type { FileLocks } from '../../drivers/file-lock.ts';

/**
 * Whose turn it is in a folder that several hosts may have. A pool has one coordinator, but one that was cut
 * off may not know yet that it is none: what it began ends, or is refused, and spoils nothing.
 */
export interface FolderTurns {
  /** Beside others that work: nobody tidies up meanwhile. */
  working<T>(work: () => Promise<T>): Promise<T>;
  /** With nobody at work; left out where somebody is. */
  tidying(work: () => Promise<void>): Promise<void>;
  /** With nobody at work, and nobody who is given an image; waits for it. */
  exchanging<T>(work: () => Promise<T>): Promise<T>;
  /** One at a time: what was read of notes is true until they are written. */
  noting<T>(work: () => Promise<T>): Promise<T>;
}

const WORK_LOCK = 'sr.lock';
const NOTES_LOCK = 'notes.lock';

/** Files that are nobody's disks. */
export const turnFiles: readonly string[] = [WORK_LOCK, NOTES_LOCK];

export const turnsIn = (locks: FileLocks, folder: string): FolderTurns => {
  const during = async <T>(name: string, how: 'shared' | 'alone', work: () => Promise<T>): Promise<T> => {
    const lock = await locks.take(join(folder, name), how, true);
    try {
      return await work();
    } finally {
      await lock?.release();
    }
  };
  return {
    working: (work) => during(WORK_LOCK, 'shared', work),
    exchanging: (work) => during(WORK_LOCK, 'alone', work),
    noting: (work) => during(NOTES_LOCK, 'alone', work),
    tidying: async (work) => {
      const lock = await locks.take(join(folder, WORK_LOCK), 'alone', false);
      if (lock === undefined) return;
      await work().finally(lock.release);
    },
  };
};
