import { Fault } from '../std/fault.ts';
import { isPrefix, newestEpoch, type Position, withEpoch } from './epochs.ts';
import { generationsReserved } from './group.ts';
import { idle, settle, stage, tell, wake, writeMark } from './pipeline.ts';
import { type Authority, checkProposal, isCurrent, recording, replay, type Verdict } from './proposal.ts';
import { positionOf } from './replication.ts';
import type { Schema } from './schema.ts';
import type { Pipeline } from './state.ts';
import { logMark } from './tell.ts';
import { type Draft, drafting } from './transaction.ts';
import { txView } from './typed.ts';
import type { Change } from './version.ts';
import type { Tx } from './view.ts';

/** Commits that wait for a host that decides, or for hosts that acknowledge; one more is TOO_MANY_PENDING_TASKS. */
export const commitsWaitingMax = 65_536;
/** Calls that wait for a generation; one more is TOO_MANY_PENDING_TASKS. */
export const waitersMax = 65_536;
/** How often a commit is made again because what it read had changed; then it is TOO_BUSY. */
export const proposalRetriesMax = 64;

/** A proposal came to a host that does not decide. */
export class NotLeading extends Error {
  constructor() {
    super('This host does not decide: another one leads the pool');
    this.name = 'NotLeading';
  }
}

/** Who decides, and commits under either rule. */
export interface Roles {
  /**
   * Makes a commit of what `make` does and resolves, with what it answered, once the commit is durable
   * and visible here, and on as many other hosts as must have it. What `make` throws rejects, and nothing
   * is changed. On the host that decides `make` runs at once. On another it runs when the commits before
   * it are over, and again when what it read has changed meanwhile, so it must do nothing but commit.
   */
  commit<T>(make: (tx: Tx) => T): Promise<T>;
  /** Decides upon what another host proposes; resolves like `commit`. What comes from a peer is checked. */
  decide(proposal: unknown): Promise<Verdict>;
  /**
   * This host decides from now on; durable when it resolves. The epoch must be higher than any this host
   * knows of, or the one in which it itself led when it was stopped.
   */
  lead(epoch: number): Promise<void>;
  /** Another host decides from now on. Resolves with the position to tell it. */
  follow(authority: Authority): Promise<Position>;
  /** Commits wait from now on for `lead` or `follow`. Resolves when all before are durable and acknowledged. */
  pause(): Promise<Position>;
  /** What this host has is not of the pool that it joins: from now on, durably, only a whole copy will do. */
  disown(): Promise<void>;
  /** Nothing waits any longer. */
  end(): void;
}

export interface RolesOptions {
  readonly schemas: ReadonlyMap<string, Schema>;
  readonly derive?: ((tx: Tx, drafts: readonly Draft[]) => void) | undefined;
  readonly onStaged?: ((changes: readonly Change[]) => void) | undefined;
}

interface Job {
  readonly make: (tx: Tx) => unknown;
  readonly resolve: (value: any) => void;
  readonly reject: (error: unknown) => void;
  retries: number;
}

/** Paused: it is not known who decides, so what would commit waits. */
type Mode = 'leads' | 'paused' | Authority;

/** Resolves once a generation is visible. */
export const reached = (pipeline: Pipeline, generation: number, signal?: AbortSignal): Promise<void> => {
  if (pipeline.generation >= generation) return Promise.resolve();
  if (pipeline.waiters.size >= waitersMax) return Promise.reject(new Fault('TOO_MANY_PENDING_TASKS'));
  return new Promise((resolve, reject) => {
    const end = (): void => {
      pipeline.waiters.delete(waiter);
      reject(signal?.reason);
    };
    const waiter = {
      generation,
      wake: () => {
        signal?.removeEventListener('abort', end);
        resolve();
      },
    };
    if (signal?.aborted === true) return end();
    signal?.addEventListener('abort', end, { once: true });
    pipeline.waiters.add(waiter);
  });
};

/** Runs `make` on the latest rows and makes a commit of it; `staged` is told its generation at once. */
const commitHere = async <T>(
  pipeline: Pipeline,
  { derive, onStaged }: RolesOptions,
  make: (tx: Tx) => T,
  staged?: (generation: number) => void,
): Promise<T> => {
  if (pipeline.halted !== undefined) throw pipeline.halted;
  if (pipeline.staged - pipeline.generation >= commitsWaitingMax && pipeline.unacknowledged.length > 0) {
    throw new Fault('TOO_MANY_PENDING_TASKS');
  }
  const draft = drafting(pipeline.tables);
  const tx = txView(pipeline.tables, draft);
  const value = make(tx);
  derive?.(tx, draft.drafts());
  const drafts = draft.drafts();
  if (drafts.length === 0) {
    // What it read may still be on its way to disk or to others; an answer must not be ahead of it.
    await pipeline.flushing;
    if (pipeline.unacknowledged.length > 0) await reached(pipeline, pipeline.written);
    return value;
  }
  const { generation, changes, durable } = stage(pipeline, drafts);
  staged?.(generation);
  onStaged?.(changes);
  await durable;
  return value;
};

export const rolesOf = (pipeline: Pipeline, options: RolesOptions): Roles => {
  const { tables } = pipeline;
  // Whoever followed must hear first who decides now; a host that was always alone does.
  let mode: Mode = pipeline.follows ? 'paused' : 'leads';
  const waiting: Job[] = [];
  /** Proposals of others that came while it was open who decides. */
  const asking: (() => void)[] = [];
  let ended = false;
  let proposing: Promise<void> | undefined;

  const here = <T>(make: (tx: Tx) => T): Promise<T> => commitHere(pipeline, options, make);

  /** One try of a commit that another host decides upon. Answers whether the job is over. */
  const attempt = async (job: Job, authority: Authority): Promise<boolean> => {
    const record = recording(tables);
    const base = { ...positionOf(pipeline), generation: pipeline.staged };
    const value = job.make(record.tx);
    const proposal = record.proposal(base);
    if (proposal !== undefined) {
      const verdict = await authority.propose(proposal);
      await reached(pipeline, 'stale' in verdict ? verdict.stale : verdict.generation);
      if ('stale' in verdict) {
        job.retries += 1;
        if (job.retries > proposalRetriesMax) throw new Fault('TOO_BUSY');
        return false;
      }
    }
    job.resolve(value);
    return true;
  };

  /** Proposes what waits, one after another, so that each sees the one before. */
  const propose = async (): Promise<void> => {
    for (let job = waiting[0]; job !== undefined && typeof mode === 'object'; job = waiting[0]) {
      waiting.shift();
      const over = await attempt(job, mode).catch((error: unknown) => {
        job?.reject(error);
        return true;
      });
      if (!over) waiting.unshift(job);
    }
  };

  /** Whoever waited goes on by the rule of now. */
  const release = (): void => {
    for (const ask of asking.splice(0)) ask();
    if (mode === 'leads') {
      for (const { make, resolve, reject } of waiting.splice(0)) here(make).then(resolve, reject);
    } else if (mode !== 'paused') {
      proposing ??= propose().finally(() => {
        proposing = undefined;
        if (waiting.length > 0) release();
      });
    }
  };

  const queued = <T>(make: (tx: Tx) => T): Promise<T> => {
    if (waiting.length >= commitsWaitingMax) return Promise.reject(new Fault('TOO_MANY_PENDING_TASKS'));
    return new Promise<T>((resolve, reject) => {
      waiting.push({ make, resolve, reject, retries: 0 });
      release();
    });
  };

  const decide = async (value: unknown): Promise<Verdict> => {
    const proposal = checkProposal(options.schemas, value);
    while (mode === 'paused') {
      if (ended) throw new Fault('HOST_STILL_BOOTING', []);
      if (asking.length >= commitsWaitingMax) throw new Fault('TOO_MANY_PENDING_TASKS');
      await new Promise<void>((resolve) => asking.push(resolve));
    }
    if (mode !== 'leads') throw new NotLeading();
    if (!isPrefix(pipeline.epochs, proposal.base) || !isCurrent(tables, proposal)) {
      // What made it stale may still fail to be written; what is written never goes away again.
      await idle(pipeline);
      return { stale: pipeline.written };
    }
    let generation = pipeline.staged;
    const staged = (one: number): void => {
      generation = one;
    };
    await commitHere(pipeline, options, (tx) => replay(tx, proposal), staged);
    return { generation };
  };

  const settled = async (): Promise<void> => {
    await idle(pipeline);
    await reached(pipeline, pipeline.written);
  };

  return {
    commit: (make) => (mode === 'leads' ? here(make) : queued(make)),
    decide,
    lead: async (epoch) => {
      const known = newestEpoch(pipeline.epochs);
      const again = epoch === known && !pipeline.follows;
      if (!Number.isSafeInteger(epoch) || (epoch <= known && !again)) {
        throw new Error(`Epoch ${epoch} has been: this host knows of epoch ${known}`);
      }
      const before = mode;
      mode = 'paused';
      try {
        await idle(pipeline);
        await takeLead(pipeline, epoch);
      } catch (error) {
        mode = before;
        release();
        throw error;
      }
      mode = 'leads';
      settle(pipeline);
      wake(pipeline);
      release();
    },
    follow: async (authority) => {
      mode = authority;
      pipeline.follows = true;
      release();
      await idle(pipeline);
      return positionOf(pipeline);
    },
    pause: async () => {
      mode = 'paused';
      await proposing;
      await settled();
      return positionOf(pipeline);
    },
    disown: async () => {
      if (mode === 'leads') mode = 'paused';
      await settled();
      await writeMark(pipeline, { generationMax: pipeline.reserved, epochs: [], follows: true });
      pipeline.follows = true;
      pipeline.epochs = [];
      pipeline.stagedEpochs = [];
    },
    end: () => {
      ended = true;
      const fault = new Fault('HOST_STILL_BOOTING', []);
      for (const { reject } of waiting.splice(0)) reject(fault);
      for (const ask of asking.splice(0)) ask();
    },
  };
};

/** Writes down that this host decides from now on, and then lets it. */
const takeLead = async (pipeline: Pipeline, epoch: number): Promise<void> => {
  const { written, follows, cold } = pipeline;
  // Above all that whoever led before may have handed out, also of what never was on a disk.
  const above = follows ? Math.max(written, pipeline.reserved) : written;
  // Commits of this start are told from those of before it: what lived in memory only has gone.
  const generation = follows || cold ? above + 1 : above;
  const epochs = withEpoch(pipeline.epochs, epoch, written + 1);
  const generationMax = Math.max(pipeline.reserved, generation + generationsReserved);
  await writeMark({ ...pipeline, written: generation }, { generationMax, epochs, follows: false });
  Object.assign(pipeline, { follows: false, cold: false, epochs, stagedEpochs: epochs });
  Object.assign(pipeline, { reserved: generationMax, written: generation, staged: generation });
  if (pipeline.unacknowledged.length === 0) pipeline.generation = generation;
  if (cold) pipeline.feed.restart(generation);
  pipeline.acknowledged.clear();
  if (pipeline.followers.size > 0) {
    tell(pipeline, { ...logMark(pipeline), after: written, changes: [], warms: false });
  }
};
