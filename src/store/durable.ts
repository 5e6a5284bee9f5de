import type { Epochs } from './epochs.ts';
import type { AnyRecord } from './schema.ts';

/**
 * What survives: the disk side of the store. LMDB in production; a simulation may lose what was not
 * written yet, but never half of a group.
 */
export interface Durable {
  /** Everything that was written, read once at the start. */
  load(): Loaded;
  /**
   * Writes groups, in this order, as one transaction. Resolves once they are on disk; on a rejection nothing
   * of them is.
   */
  write(groups: readonly WriteGroup[]): Promise<void>;
  close(): Promise<void>;
}

export interface StoredRow {
  readonly cls: string;
  readonly ref: string;
  readonly created: number;
  readonly modified: number;
  readonly fields: AnyRecord;
}

export interface Tombstone {
  readonly generation: number;
  readonly cls: string;
  readonly ref: string;
  readonly created: number;
}

export interface Loaded {
  readonly rows: Iterable<StoredRow>;
  readonly tombstones: readonly Tombstone[];
  /** Below this generation deletions are no longer known. */
  readonly horizon: number;
  /** The store goes on above this one. */
  readonly generation: number;
  /** The host followed another one, which may have handed out generations up to `reserved`. */
  readonly follows?: boolean;
  readonly reserved?: number;
  /** Absent: those of a host that was always alone. */
  readonly epochs?: Epochs;
}

export interface WriteGroup {
  readonly puts: readonly StoredRow[];
  readonly deletes: readonly { readonly cls: string; readonly ref: string }[];
  readonly tombstones: readonly Tombstone[];
  /** Tombstones up to this generation are dropped. */
  readonly horizon: number;
  /** No generation above this one is handed out before the next group is on disk. */
  readonly generationMax: number;
  /** Newest commit of the group, and whose log it is part of. */
  readonly generation: number;
  readonly epochs: Epochs;
  /** Another host decided it. */
  readonly follows: boolean;
  /** No tombstone of before is of any use. */
  readonly afresh?: boolean;
}

/** The data folder's disk has no room for a group; rows that are there stay readable. */
export class DiskFull extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DiskFull';
  }
}
