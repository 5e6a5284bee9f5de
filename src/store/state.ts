import type { Log } from '../std/log.ts';
import { type Appending, ownDisk } from './appending.ts';
import type { Durable, Loaded, Tombstone, WriteGroup } from './durable.ts';
import { type Epochs, firstEpochs } from './epochs.ts';
import { type Feed, feed } from './feed.ts';
import type { Table } from './table.ts';
import type { Change, Entry, Version } from './version.ts';

/**
 * The way of commits to disk: everything that waits is written as one group, in order. It is visible
 * once the log has acknowledged it. One group is being written at a time.
 */
export interface Pipeline {
  readonly tables: ReadonlyMap<string, Table>;
  readonly durable: Durable;
  readonly feed: Feed;
  readonly log: Log;
  readonly tombstonesMax: number;
  /** Told of each group once it is visible. */
  readonly listeners: Set<(changes: readonly Change[]) => void>;
  /** Calls that wait until a generation is visible. */
  readonly waiters: Set<{ readonly generation: number; readonly wake: () => void }>;
  /** Where commits go that this host decides. */
  appending: Appending;
  /**
   * Counts the times that another host began to decide, or this one: what was appended before is not
   * acknowledged after.
   */
  tenure: number;
  /** The pool has everything up to this generation for good. */
  acknowledged: number;
  /** Another host decides. */
  follows: boolean;
  /** Just started: fields that live in memory only are still missing. */
  cold: boolean;
  epochs: Epochs;
  /** The epochs as of the newest commit that was decided. */
  stagedEpochs: Epochs;
  /** Newest commit that readers see. */
  generation: number;
  /** Newest commit that this host has for good: on its disk, or in a log elsewhere. */
  written: number;
  /** Newest commit that was decided. */
  staged: number;
  /** Generations up to this one are reserved on disk, or will be by what it is owed. */
  reserved: number;
  horizon: number;
  tombstones: readonly Tombstone[];
  queue: Staged[];
  /** Written and not yet acknowledged, oldest first. */
  unacknowledged: (readonly Staged[])[];
  /** Taken out of what is written, as nobody could say whether the log has them. */
  undecided: Undecided[];
  flushing: Promise<void> | undefined;
  /** What this host has in a log elsewhere, and its disk not yet; oldest first. */
  readonly owed: WriteGroup[];
  paying: Promise<void> | undefined;
  publishing: boolean;
}

export interface Staged {
  readonly generation: number;
  readonly changes: readonly Change[];
  /** Of the values that it writes, where this host decided it. */
  readonly bytes?: number;
  readonly durable: boolean;
  /** Of what another host decided. */
  readonly received?: Received;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** What the host that decides says of its log, with each batch and copy. */
export interface Received {
  readonly epochs: Epochs;
  readonly horizon: number;
  readonly generationMax: number;
  /**
   * `rows`: takes the place of everything; `memory`: brings what lives in memory only to a host that just
   * started.
   */
  readonly afresh?: 'rows' | 'memory' | undefined;
  /** The host had just started, and had nothing yet of what lives in memory only. */
  readonly cold: boolean;
  /**
   * What waited to be acknowledged when a copy came, which may not have it. It fails once the copy is
   * written.
   */
  readonly replaced?: readonly (readonly Staged[])[];
}

/** A commit of which nobody could say whether the log has it: the log tells, once this host is in line. */
export interface Undecided {
  readonly epoch: number;
  readonly commit: Staged;
}

export const openPipeline = (
  given: Pick<Pipeline, 'tables' | 'durable' | 'log' | 'tombstonesMax'>,
  loaded: Loaded,
): Pipeline => ({
  ...given,
  feed: feed(loaded.generation),
  listeners: new Set(),
  waiters: new Set(),
  appending: ownDisk,
  tenure: 0,
  acknowledged: loaded.generation,
  follows: loaded.follows ?? false,
  cold: true,
  epochs: loaded.epochs ?? firstEpochs,
  stagedEpochs: loaded.epochs ?? firstEpochs,
  generation: loaded.generation,
  written: loaded.generation,
  staged: loaded.generation,
  reserved: loaded.reserved ?? loaded.generation,
  horizon: loaded.horizon,
  tombstones: loaded.tombstones,
  queue: [],
  unacknowledged: [],
  undecided: [],
  flushing: undefined,
  owed: [],
  paying: undefined,
  publishing: false,
});

/** Rows whose newest written version readers do not see yet. */
export const unpublished = ({ unacknowledged }: Pipeline): ReadonlyMap<Entry, Version | undefined> => {
  const rows = new Map<Entry, Version | undefined>();
  for (const group of unacknowledged) {
    for (const { changes } of group) for (const { entry, after } of changes) rows.set(entry, after);
  }
  return rows;
};
