import { readFileSync } from 'node:fs';

/** Fewer do not even load the program, whose files are read side by side. */
export const openFilesMin = 512;

/** How many files and connections this process may have open; undefined where the system does not say. */
export const openFiles = (): number | undefined => {
  try {
    const limit = /^Max open files +(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined || limit === 'unlimited' ? undefined : Number(limit);
  } catch {
    return undefined;
  }
};
