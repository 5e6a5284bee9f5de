import { type Epochs, newestEpoch } from './epochs.ts';
import type { AnyRecord } from './schema.ts';

/**
 * What one host tells another of the log: what comes after generation `after`, up to `generation`. Plain
 * data.
 */
export interface Batch extends LogMark {
  readonly after: number;
  /** Oldest first. Catching up, only the newest change of each row. */
  readonly changes: readonly RowChange[];
  /** For a host that just started: also brings everything that lives in memory only. */
  readonly warms: boolean;
}

export interface LogMark {
  readonly epoch: number;
  readonly epochs: Epochs;
  readonly generation: number;
  /** The pool has everything up to this generation for good. */
  readonly acknowledged: number;
  /** Deletions before this generation are no longer known. */
  readonly horizon: number;
  /** Whoever decides next goes on above this one. */
  readonly generationMax: number;
}

export interface RowChange {
  readonly cls: string;
  readonly ref: string;
  /** Of the commit that made it. */
  readonly generation: number;
  readonly created: number;
  readonly durable: boolean;
  /** Must be written to disk. */
  readonly disk: boolean;
  /** Absent: the row was deleted. */
  readonly row?: {
    /** False: `fields` has only those that changed. */
    readonly whole: boolean;
    /** Generation that the row bears on disk. */
    readonly stored: number;
    readonly fields: AnyRecord;
  };
}

/** A whole copy comes in pieces that all bear the same mark, numbered from 0. */
export interface CopyPiece extends LogMark {
  readonly index: number;
  readonly last: boolean;
  readonly rows: readonly RowChange[];
}

/** A batch or a copy that this host cannot take: it must say its position again, or take a whole copy. */
export class BatchRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BatchRefused';
  }
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** Throws when what a peer sent has not the shape of a mark. */
export const checkMark = (mark: LogMark): void => {
  const { epoch, epochs, generation, acknowledged, horizon, generationMax } = (mark ?? {}) as LogMark;
  const counts = [epoch, generation, acknowledged, horizon, generationMax].every(isCount);
  const history =
    Array.isArray(epochs) &&
    epochs.every((one) => Array.isArray(one) && one.length === 2 && one.every(isCount));
  if (!counts || !history) throw new BatchRefused('What was received is no part of a log');
  if (newestEpoch(epochs) !== epoch) throw new BatchRefused(`The history does not end with epoch ${epoch}`);
};

const isRow = ({ stored, fields }: NonNullable<RowChange['row']>): boolean =>
  isCount(stored) && typeof fields === 'object' && fields !== null;

/** Throws when what a peer sent is not a list of changed rows. */
export const checkChanges = (changes: readonly RowChange[]): void => {
  if (!Array.isArray(changes)) throw new BatchRefused('The changes are no list');
  for (const one of changes as readonly RowChange[]) {
    const named = typeof one?.cls === 'string' && typeof one.ref === 'string';
    const counted = named && isCount(one.generation) && isCount(one.created);
    const { row } = counted ? one : {};
    if (!counted || (row !== undefined && !isRow(row))) {
      throw new BatchRefused('One of the changes has not the shape of a changed row');
    }
  }
};
