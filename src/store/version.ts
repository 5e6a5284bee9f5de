import type { AnyRecord } from './schema.ts';

/** One state of a row. Never changes once it is staged, so readers may keep it. */
export interface Version {
  readonly record: AnyRecord;
  /** Generation of the commit that made the row. */
  readonly created: number;
  /** Generation of the commit that made this version. */
  readonly modified: number;
  /** False: the row is gone after a restart. */
  readonly durable: boolean;
  /**
   * Generation of the newest change that is on disk, or will be, and the one that the row bears there. Older
   * than `modified` when the newest change lives in memory only, 0 when nothing is on disk; the same on all
   * hosts.
   */
  readonly stored: number;
  /** The row as it goes over the wire, made by the first reader that wants it. */
  xml?: Buffer;
  json?: Buffer;
}

/**
 * A row: what readers see and what the next decision builds on. They differ while a commit is on its way to
 * disk.
 */
export interface Entry {
  readonly cls: string;
  readonly ref: string;
  committed: Version | undefined;
  latest: Version | undefined;
}

/** One row of one commit, before and after. */
export interface Change {
  readonly entry: Entry;
  readonly before: Version | undefined;
  readonly after: Version | undefined;
  /** Of the commit that made it. */
  readonly generation: number;
  /** Fields that differ; absent: all may. */
  readonly changed: ReadonlySet<string> | undefined;
  /** Must be written to disk. */
  readonly disk: boolean;
}

/** Two field values that a client could not tell apart. */
export const same = (a: unknown, b: unknown): boolean => {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => same(item, b[i]));
  }
  if (a instanceof Map && b instanceof Map) {
    return a.size === b.size && [...a].every(([key, item]) => b.has(key) && same(item, b.get(key)));
  }
  return false;
};
