import { type Clock, sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';

/** A step of a start is done this often at most. */
export const stepsMax = 60;
const againMs = 1_000;

/**
 * Does a step of a start again when its commits fail: which host leads the pool may change in the middle.
 * Rejects with the last fault once that has gone on for a minute, at once with what is no fault, and when the
 * signal aborts.
 */
export const repeated = async <T>(
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  signal: AbortSignal,
  step: () => Promise<T>,
): Promise<T> => {
  for (let times = 1; ; times += 1) {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof Fault) || times === stepsMax || signal.aborted) throw error;
      log.warn({ error }, 'A step of the start failed; it is done again');
      await sleep(clock, againMs, signal);
    }
  }
};
