// Who decides the commits of this store, and what becomes of one:
//
//                pause, disown                   follow
//     leads ──────────────────────► paused ────────────────► an authority
//       ▲                            │   ▲                    │    ▲  │
//       └──────── lead ──────────────┘   └────── pause ───────┘    └──┘ another one
//
//   here:      staged ─── on disk, in a group ───► written ─── the log has it ───► seen by readers
//                 └─── the disk refused it: taken back, as is all that was staged after it
//   elsewhere: proposed ─── decided there, and received ───► written, and seen by readers
//                 └─── what it read has changed: made again

import { Fault } from '../std/fault.ts';
import { type Appending, ownDisk } from './appending.ts';
import { isPrefix, newestEpoch, type Position, withEpoch } from './epochs.ts';
import { pay } from './owed.ts';
import { append, flushed, idle, stage, writeMark } from './pipeline.ts';
import { type Authority, checkProposal, isCurrent, type Proposal, replay, type Verdict } from './proposal.ts';
import { commitsWaitingMax, proposingOf } from './proposing.ts';
import { reached } from './reached.ts';
import { clearReferences, type Unlinking } from './references.ts';
import { positionOf } from './replication.ts';
import type { Schema } from './schema.ts';
import type { Pipeline } from './state.ts';
import { type Draft, drafting } from './transaction.ts';
import { txView } from './typed.ts';
import type { Change } from './version.ts';
import type { Tx } from './view.ts';

/** A proposal came to a host that does not decide. */
export class NotLeading extends Error {
  constructor() {
    super('This host does not decide: another one leads the pool');
    this.name = 'NotLeading';
  }
}

/** Who decides, and commits under either rule. */
export interface Committing {
  /**
   * Makes a commit of what `make` does and resolves, with what it answered, once the commit is durable here,
   * acknowledged by the log and visible. What `make` throws rejects, and nothing is changed. On the host that
   * leads `make` runs at once. On another it runs when the commits before it are over, and again when what it
   * read has changed meanwhile, so it must do nothing but commit.
   */
  commit<T>(make: (tx: Tx) => T): Promise<T>;
  /**
   * `make` of a commit that is made now runs at once, and what it does is in the latest rows from then on.
   * Not where another host decides, nor while commits that came before it still wait.
   */
  readonly decides: boolean;
  /** Decides upon what another host proposes; resolves like `commit`. What comes from a peer is checked. */
  decide(proposal: unknown): Promise<Verdict>;
  /**
   * This host decides from now on, and adds what it decides to `log`; durable when it resolves. The epoch
   * must be higher than any this host knows of, or the one in which it itself led when it was stopped.
   */
  lead(epoch: number, log?: Appending): Promise<void>;
  /** Another host decides from now on. Resolves with the position to tell it. */
  follow(authority: Authority): Promise<Position>;
  /**
   * Commits wait from now on, and what others decided is taken, also by a host that decided before: it is
   * brought in line with the log before it may decide. Resolves when nothing is on its way to disk any more.
   */
  receive(): Promise<Position>;
  /**
   * Commits wait from now on for `lead` or `follow`. Resolves when all before are durable and acknowledged.
   */
  pause(): Promise<Position>;
  /** What this host has is not of the pool that it joins: from now on, durably, only a whole copy will do. */
  disown(): Promise<void>;
  /** The store is closed: every commit that waits fails. */
  end(): void;
}

export interface CommittingOptions {
  readonly schemas: ReadonlyMap<string, Schema>;
  readonly clearing: Unlinking;
  readonly derive?: ((tx: Tx, drafts: readonly Draft[]) => void) | undefined;
  readonly onStaged?: ((changes: readonly Change[]) => void) | undefined;
}

/** `paused`: nobody is known to decide, so commits wait. */
type Mode = 'leads' | 'paused' | Authority;

/** Runs `make` on the latest rows and makes a commit of it; `staged` is told its generation at once. */
const commitHere = async <T>(
  pipeline: Pipeline,
  { clearing, derive, onStaged }: CommittingOptions,
  make: (tx: Tx) => T,
  staged?: (generation: number) => void,
): Promise<T> => {
  if (
    pipeline.staged - pipeline.generation >= commitsWaitingMax &&
    waitingFor(pipeline) >= commitsWaitingMax
  ) {
    throw new Fault('TOO_MANY_PENDING_TASKS');
  }
  const draft = drafting(pipeline.tables);
  const tx = txView(pipeline.tables, draft);
  const value = make(tx);
  clearReferences(clearing, tx, draft);
  derive?.(tx, draft.drafts());
  const drafts = draft.drafts();
  if (drafts.length === 0) {
    // What it read may still be on its way to disk or to others; an answer must not be ahead of it.
    await pipeline.flushing;
    if (pipeline.unacknowledged.length > 0) await reached(pipeline, pipeline.written);
    return value;
  }
  const { generation, changes, durable } = stage(pipeline, drafts, draft.bytes);
  staged?.(generation);
  onStaged?.(changes);
  await durable;
  return value;
};

/** Decides upon a proposal of another host as upon a commit of this one. */
const decideHere = async (
  pipeline: Pipeline,
  options: CommittingOptions,
  proposal: Proposal,
): Promise<Verdict> => {
  if (!isPrefix(pipeline.epochs, proposal.base) || !isCurrent(pipeline.tables, proposal)) {
    // The commit that made it stale may still fail to be written: the answer waits until that is known.
    await flushed(pipeline);
    return { stale: pipeline.written };
  }
  let generation = pipeline.staged;
  const staged = (one: number): void => {
    generation = one;
  };
  await commitHere(pipeline, options, (tx) => replay(tx, proposal), staged);
  return { generation };
};

/** Nothing is left out of the rows that the log may have: decisions upon others would be about nothing. */
const isInLine = ({ undecided }: Pipeline): boolean => undecided.length === 0;

/** How many commits wait to be acknowledged. They are counted, since generations have gaps between epochs. */
const waitingFor = ({ unacknowledged }: Pipeline): number =>
  unacknowledged.reduce((count, group) => count + group.length, 0);

export const committingOf = (pipeline: Pipeline, options: CommittingOptions): Committing => {
  // A host that followed another waits to be told who decides now; one that was always alone decides.
  let mode: Mode = pipeline.follows ? 'paused' : 'leads';
  /** Proposals of others that came while it was open who decides. */
  const asking: (() => void)[] = [];
  let ended = false;

  const here = <T>(make: (tx: Tx) => T): Promise<T> => commitHere(pipeline, options, make);

  /** Lets everything that waited go on, as `mode` says now. */
  const release = (): void => {
    for (const ask of asking.splice(0)) ask();
    proposing.run();
    // What is still with the host that decided before came first, and may have to be made again.
    if (mode !== 'leads' || proposing.busy !== undefined) return;
    for (const { make, resolve, reject } of proposing.take()) here(make).then(resolve, reject);
  };

  const authority = (): Authority | undefined => (typeof mode === 'object' ? mode : undefined);
  const proposing = proposingOf(pipeline, authority, release);
  const decide = async (value: unknown): Promise<Verdict> => {
    const proposal = checkProposal(options.schemas, value);
    while (mode === 'paused') {
      if (ended) throw new Fault('HOST_STILL_BOOTING', []);
      if (asking.length >= commitsWaitingMax) throw new Fault('TOO_MANY_PENDING_TASKS');
      await new Promise<void>((resolve) => asking.push(resolve));
    }
    if (mode !== 'leads' || !isInLine(pipeline)) throw new NotLeading();
    return decideHere(pipeline, options, proposal);
  };

  const atRest = async (): Promise<void> => {
    await idle(pipeline);
    await pay(pipeline);
    await reached(pipeline, pipeline.written);
  };

  const decides = (): boolean => mode === 'leads' && isInLine(pipeline) && proposing.idle;
  return {
    commit: (make) => (decides() ? here(make) : proposing.wait(make)),
    get decides() {
      return decides();
    },
    decide,
    lead: async (epoch, log = ownDisk) => {
      assertNew(pipeline, epoch);
      const before = { mode, follows: pipeline.follows };
      mode = 'paused';
      // Nothing that others decided is taken from now on.
      pipeline.follows = false;
      try {
        await idle(pipeline);
        await takeLead(pipeline, epoch, { follows: before.follows, log });
        if (mode !== 'paused') throw new Error('Another host began to lead meanwhile');
      } catch (error) {
        if (mode === 'paused') {
          mode = before.mode;
          pipeline.follows = before.follows;
        }
        release();
        throw error;
      }
      mode = 'leads';
      proposing.cut();
      release();
    },
    follow: async (authority) => {
      mode = authority;
      pipeline.follows = true;
      beginTenure(pipeline);
      release();
      await idle(pipeline);
      return positionOf(pipeline);
    },
    receive: async () => {
      if (mode === 'leads') mode = 'paused';
      pipeline.follows = true;
      beginTenure(pipeline);
      await idle(pipeline);
      return positionOf(pipeline);
    },
    pause: async () => {
      mode = 'paused';
      await proposing.busy;
      await atRest();
      return positionOf(pipeline);
    },
    disown: async () => {
      if (mode === 'leads') mode = 'paused';
      await atRest();
      await forgetLog(pipeline);
    },
    end: () => {
      ended = true;
      const fault = new Fault('HOST_STILL_BOOTING', []);
      for (const { reject } of proposing.take()) reject(fault);
      for (const ask of asking.splice(0)) ask();
    },
  };
};

/** Or the one in which this host itself led when it was stopped. */
const assertNew = ({ epochs, follows }: Pipeline, epoch: number): void => {
  const known = newestEpoch(epochs);
  const again = epoch === known && !follows;
  if (!Number.isSafeInteger(epoch) || (epoch <= known && !again))
    throw new Error(`Epoch ${epoch} has been: this host knows of epoch ${known}`);
};

/** What is on disk is of no pool's log any more. */
const forgetLog = async (pipeline: Pipeline): Promise<void> => {
  await writeMark(pipeline, { generationMax: pipeline.reserved, epochs: [], follows: true });
  pipeline.follows = true;
  pipeline.epochs = [];
  pipeline.stagedEpochs = [];
};

/** The first group of an epoch says that it has begun; it changes no row. */
const takeLead = async (
  pipeline: Pipeline,
  epoch: number,
  { follows, log }: { readonly follows: boolean; readonly log: Appending },
): Promise<void> => {
  const { written, cold } = pipeline;
  // Above every generation that an earlier leader may have used, even for commits that were on no disk.
  const generation = (follows ? Math.max(written, pipeline.reserved) : written) + 1;
  pipeline.stagedEpochs = withEpoch(pipeline.epochs, epoch, written + 1);
  beginTenure(pipeline);
  pipeline.appending = log;
  const nothing = { generation, changes: [], durable: true, done: () => {}, failed: () => {} };
  pipeline.flushing = append(pipeline, [nothing]).finally(() => {
    pipeline.flushing = undefined;
  });
  try {
    await pipeline.flushing;
    // A host whose disk takes nothing decides nothing.
    await pay(pipeline);
  } catch (error) {
    pipeline.stagedEpochs = pipeline.epochs;
    throw error;
  }
  pipeline.staged = generation;
  pipeline.cold = false;
  // Commits of this start are told from those of before it: what lived in memory only has gone.
  if (cold) pipeline.feed.restart(generation);
};

/**
 * Acknowledgements of groups appended before are not taken any more: those groups are acknowledged with the
 * next one that is appended or received. What came with its acknowledgement, and is still on its way to disk,
 * is seen all the same: it may be long until the next one.
 */
const beginTenure = (pipeline: Pipeline): void => {
  pipeline.tenure += 1;
  pipeline.acknowledged = Math.min(pipeline.acknowledged, pipeline.staged);
};
