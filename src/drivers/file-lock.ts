/**
 * Locks that other processes see, on other hosts too where the file system is shared: each is on a file,
 * which is made where it is missing, and ends with its process however that ends.
 */
export interface FileLocks {
  /**
   * Undefined where somebody else has it and `wait` is false. A wait that takes too long, or a file system
   * that has no locks, is an error.
   */
  take(path: string, how: 'shared' | 'alone', wait: boolean): Promise<FileLock | undefined>;
}

export interface FileLock {
  release(): Promise<void>;
}
