import { Fault } from '../std/fault.ts';
import { type Authority, type Proposal, recording } from './proposal.ts';
import { reached } from './reached.ts';
import { positionOf } from './replication.ts';
import type { Pipeline } from './state.ts';
import type { Tx } from './view.ts';

/**
 * Commits that wait for a host that decides, or for hosts that acknowledge; one more is
 * TOO_MANY_PENDING_TASKS.
 */
export const commitsWaitingMax = 65_536;
/** How often a commit is made again because what it read had changed; then it is TOO_BUSY. */
export const proposalRetriesMax = 64;

/**
 * Commits that are proposed as one; a fault of the host that decides, such as a full disk, is then all of
 * theirs.
 */
export const jobsTogetherMax = 64;

interface Job {
  readonly make: (tx: Tx) => unknown;
  readonly resolve: (value: any) => void;
  readonly reject: (error: unknown) => void;
  retries: number;
}

/** Commits that wait for whoever decides, and are proposed one after another. */
export interface Proposing {
  /** Resolves when the commit is over. */
  wait<T>(make: (tx: Tx) => T): Promise<T>;
  /** Goes on proposing while there is somebody to propose to. */
  run(): void;
  /** This host decides now: what is being proposed ends as its rows say. */
  cut(): void;
  /** Takes what waits out of the queue. */
  take(): readonly Job[];
  /** Resolves when nothing is being proposed any more. */
  readonly busy: Promise<void> | undefined;
  /** Nothing is being proposed, and nothing waits. */
  readonly idle: boolean;
}

/** `left` is called when there is nobody to propose to any more and some still wait. */
export const proposingOf = (
  pipeline: Pipeline,
  authority: () => Authority | undefined,
  left: () => void,
): Proposing => {
  const waiting: Job[] = [];
  let busy: Promise<void> | undefined;
  let taken = new AbortController();

  /** Proposes what waits, so that each sees the ones before it. */
  const propose = async (): Promise<void> => {
    for (let to = authority(); to !== undefined && waiting.length > 0; to = authority()) {
      const { signal } = taken;
      // A host that just started lacks the fields that live in memory only, so it would read wrong values.
      while (pipeline.cold && !signal.aborted) await woken(pipeline, signal);
      if (signal.aborted) continue;
      const jobs = waiting.slice(0, jobsTogetherMax);
      const attempt = attemptOf(pipeline, jobs);
      waiting.splice(0, attempt.made.length + attempt.failed.length);
      for (const { job, error } of attempt.failed) job.reject(error);
      const again = await ask(pipeline, attempt, to, signal);
      waiting.unshift(...again);
    }
  };

  const run = (): void => {
    if (authority() === undefined || waiting.length === 0) return;
    busy ??= propose().finally(() => {
      busy = undefined;
      if (waiting.length > 0) left();
    });
  };

  return {
    wait: <T>(make: (tx: Tx) => T) => {
      if (waiting.length >= commitsWaitingMax) return Promise.reject(new Fault('TOO_MANY_PENDING_TASKS'));
      return new Promise<T>((resolve, reject) => {
        waiting.push({ make, resolve, reject, retries: 0 });
        run();
      });
    },
    run,
    cut: () => {
      taken.abort(new Error('This host decides now'));
      taken = new AbortController();
    },
    take: () => waiting.splice(0),
    get busy() {
      return busy;
    },
    get idle() {
      return busy === undefined && waiting.length === 0;
    },
  };
};

/** Commits that were made one on top of the other, to be decided upon as one. */
interface Attempt {
  readonly proposal: Proposal | undefined;
  readonly made: readonly { readonly job: Job; readonly value: unknown }[];
  /** At most one: what comes after it is left for the next attempt. */
  readonly failed: readonly { readonly job: Job; readonly error: unknown }[];
}

/**
 * Makes as many as go together. One that fails must leave nothing behind, so those before it are made again.
 */
const attemptOf = (pipeline: Pipeline, jobs: readonly Job[]): Attempt => {
  const record = recording(pipeline.tables);
  const base = { ...positionOf(pipeline), generation: pipeline.staged };
  const made: { job: Job; value: unknown }[] = [];
  for (const job of jobs) {
    try {
      made.push({ job, value: job.make(record.tx) });
    } catch (error) {
      if (made.length > 0) return attemptOf(pipeline, jobs.slice(0, made.length));
      return { proposal: undefined, made, failed: [{ job, error }] };
    }
  }
  return { proposal: record.proposal(base), made, failed: [] };
};

/** Has an attempt decided. Answers the commits that must be made again. */
const ask = async (
  pipeline: Pipeline,
  { proposal, made }: Attempt,
  authority: Authority,
  taken: AbortSignal,
): Promise<readonly Job[]> => {
  try {
    const verdict = proposal && (await authority.propose(proposal, taken));
    if (verdict !== undefined) {
      const generation = 'stale' in verdict ? verdict.stale : verdict.generation;
      // A host that decides itself by now has all that is to come of what others decided.
      await reached(pipeline, generation, taken).catch((error: unknown) => {
        if (!taken.aborted) throw error;
      });
      if ('stale' in verdict) return made.flatMap(({ job }) => (mayRetry(job) ? [job] : []));
    }
    for (const { job, value } of made) job.resolve(value);
  } catch (error) {
    for (const { job } of made) job.reject(error);
  }
  return [];
};

const mayRetry = (job: Job): boolean => {
  job.retries += 1;
  if (job.retries <= proposalRetriesMax) return true;
  job.reject(new Fault('TOO_BUSY'));
  return false;
};

/** Resolves when something becomes visible, or it is no matter any more. */
const woken = ({ waiters }: Pipeline, signal: AbortSignal): Promise<void> =>
  new Promise((wake) => {
    waiters.add({ generation: 0, wake });
    signal.addEventListener('abort', () => wake(), { once: true });
  });
