import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { FileLocks } from '../file-lock.ts';

const WAIT_SECONDS_MAX = 120;
/** What `flock` is told to answer when somebody else has the lock. */
const TAKEN = 75;

const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;

/**
 * By the program `flock`, which locks the open file that it inherits: the lock is that file's, and stays when
 * the program has ended.
 */
export const nodeFileLocks: FileLocks = {
  take: async (path, how, wait) => {
    // Open for writing, because NFS gives nobody a lock alone on what is open for reading.
    const file = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    try {
      const code = await lock(file, how, wait);
      if (code === 0) return { release: () => file.close() };
      await file.close();
      if (code === TAKEN && !wait) return undefined;
      const why = code === TAKEN ? `had it for ${WAIT_SECONDS_MAX} seconds` : `flock answered ${code}`;
      throw new Error(`The lock ${path} could not be taken: ${why}`);
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
  },
};

const lock = (file: FileHandle, how: 'shared' | 'alone', wait: boolean): Promise<number> =>
  new Promise((resolve, reject) => {
    const patience = wait ? ['--timeout', `${WAIT_SECONDS_MAX}`] : ['--nonblock'];
    const mode = how === 'shared' ? '--shared' : '--exclusive';
    const child = spawn('flock', [mode, ...patience, '--conflict-exit-code', `${TAKEN}`, '3'], {
      stdio: ['ignore', 'ignore', 'ignore', file.fd],
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? -1));
  });
