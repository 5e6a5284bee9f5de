import type { SrStat, Volume } from './storage/storage.ts';

/**
 * What the toolstack's database has for drivers of SMAPIv1. They answer hardly anything: a driver writes the
 * rows of its disks itself, and whoever called it reads there what became of them.
 */
export interface SmRows {
  /** Reference of this host. */
  host(): string;
  /** Uuid of the repository that this host caches in. */
  localCache(): string | undefined;
  sr(uuid: string): SmSr | undefined;
  vdi(sr: string, key: string): SmVdi | undefined;
  volumes(sr: string): readonly Volume[];
  /** Renames a disk in its row alone. */
  describe(sr: string, key: string, names: Partial<Pick<Volume, 'name' | 'description'>>): Promise<void>;
  /**
   * Opens a session with which a driver may write the rows of the repository, or of none. It ends with
   * `end`, which never fails.
   */
  lend(sr: string | undefined): { readonly session: string; end(): void };
}

export interface SmSr {
  readonly ref: string;
  /** This host is the one that changes what is on it. */
  readonly isMaster: boolean;
  /** How this host reaches it; absent: by nothing that is known yet. */
  readonly configuration?: ReadonlyMap<string, string>;
  /** What its driver can do. */
  readonly features: ReadonlyMap<string, bigint>;
  readonly stat: SrStat;
}

export interface SmVdi {
  readonly ref: string;
  readonly uuid: string;
  readonly onBoot: string;
  readonly allowsCaching: boolean;
  readonly volume: Volume;
}
