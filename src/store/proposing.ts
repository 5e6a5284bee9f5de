import { Fault } from '../std/fault.ts';
import type { Authority } from './proposal.ts';
import { recording } from './proposal.ts';
import { reached } from './reached.ts';
import { positionOf } from './replication.ts';
import type { Pipeline } from './state.ts';
import type { Tx } from './view.ts';

/** Commits that wait for a host that decides, or for hosts that acknowledge; one more is TOO_MANY_PENDING_TASKS. */
export const commitsWaitingMax = 65_536;
/** How often a commit is made again because what it read had changed; then it is TOO_BUSY. */
export const proposalRetriesMax = 64;

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
  /** Takes what waits out of the queue. */
  take(): readonly Job[];
  /** Settles when nothing is being proposed any more. */
  readonly busy: Promise<void> | undefined;
}

/** `left` is called when there is nobody to propose to any more and some still wait. */
export const proposingOf = (
  pipeline: Pipeline,
  authority: () => Authority | undefined,
  left: () => void,
): Proposing => {
  const waiting: Job[] = [];
  let busy: Promise<void> | undefined;

  /** Proposes what waits, so that each sees the one before. */
  const propose = async (): Promise<void> => {
    for (let to = authority(); to !== undefined; to = authority()) {
      const job = waiting.shift();
      if (job === undefined) return;
      const over = await attempt(pipeline, job, to).catch((error: unknown) => {
        job.reject(error);
        return true;
      });
      if (!over) waiting.unshift(job);
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
    take: () => waiting.splice(0),
    get busy() {
      return busy;
    },
  };
};

/** One try of a commit that another host decides upon. Answers whether the job is over. */
const attempt = async (pipeline: Pipeline, job: Job, authority: Authority): Promise<boolean> => {
  // A host that just started lacks what lives in memory only, so what it read would not be so.
  while (pipeline.cold) await woken(pipeline);
  const record = recording(pipeline.tables);
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

/** Resolves when something becomes visible. */
const woken = ({ waiters }: Pipeline): Promise<void> =>
  new Promise((wake) => void waiters.add({ generation: 0, wake }));
