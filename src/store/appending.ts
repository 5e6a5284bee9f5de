import { Fault } from '../std/fault.ts';
import type { Batch, LogMark, RowChange } from './batch.ts';

/** Where the host that leads adds its commits. */
export interface Appending {
  /**
   * Adds a group. The next one comes only once `written` of the one before has settled; acknowledgements come
   * in order.
   */
  append(group: LogGroup): Appended;
}

/** Commits that were decided together, and are in the log together or not at all. */
export interface LogGroup {
  readonly epoch: number;
  /** Generation that the group comes after, and its own. The first group of an epoch may leave some out. */
  readonly after: number;
  readonly generation: number;
  /** Where the log stands with the group in it. */
  mark(): LogMark;
  /** What followers lack: of a changed row the fields that changed. */
  batch(): Batch;
  /** The same as whole rows. */
  whole(): readonly RowChange[];
  // One of these is called, once, before `written` resolves.
  /**
   * This host's disk is the log, or part of it: writes the group there. This host has it from when that is
   * done.
   */
  write(): Promise<void>;
  /**
   * The log is elsewhere, and has the group. This host has it from now on; it is written to its disk beside
   * what comes next. Resolves once it is there; what the disk refuses it is owed, and a host that leads must
   * give way.
   */
  keep(): Promise<void>;
}

export interface Appended {
  /**
   * In the log, and what this host has. Rejects when nothing of the group will ever be there: its commits
   * fail. With LogFenced where nobody can say that: they stay open until this host is in line with the log,
   * which then tells.
   */
  readonly written: Promise<void>;
  /**
   * As durable as the log promises. Rejects with LogFenced where nobody can say whether the log has the
   * group: its commits fail, and nobody sees them here before this host is in line with the log again. It may
   * stay open for good once another host leads: what that one has of it then decides.
   */
  readonly acknowledged: Promise<void>;
}

/** Another host leads, or may lead, and nobody can say whether its log has the change. */
export class LogFenced extends Fault {
  constructor(why: string) {
    super('INTERNAL_ERROR', [`${why}; whether the change was made shows once the pool has a coordinator`]);
    this.name = 'LogFenced';
  }
}

/**
 * More than the log takes as one. A group of several commits is cut in two then; nothing of it is in the log.
 */
export class GroupTooLarge extends Fault {
  constructor(rows: number, bytes: number) {
    super('INTERNAL_ERROR', [
      `The change is larger than what the pool's log takes at once (${rows} rows, ${bytes} bytes): do it ` +
        `in parts`,
    ]);
    this.name = 'GroupTooLarge';
  }
}

/** The log of a host that is alone: its own disk. */
export const ownDisk: Appending = {
  append: (group) => {
    const written = group.write();
    return { written, acknowledged: written };
  },
};
