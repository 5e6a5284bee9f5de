import type { Turns } from '../drivers/turns.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Runs a world that has no time and no input of its own. */
export interface Loop {
  /** Lets everything that is ready run, until nothing is. Time stands still. */
  rest(): Promise<void>;
  /**
   * Rests, and then lets the next thing that is planned happen and rest too. False when nothing is
   * planned.
   */
  step(): Promise<boolean>;
  /** Steps until `until` says so. */
  run(options: LoopRun): Promise<RunEnd>;
  /** Steps until the promise is over, and answers as it did. */
  finish<T>(promise: Promise<T>, limits?: Partial<Pick<LoopRun, 'stepsMax' | 'untilMs'>>): Promise<T>;
}

export interface LoopRun {
  /** Asked after each step. */
  readonly until?: () => boolean;
  /** Goes no further than this time of the monotonic clock, and ends there. */
  readonly untilMs?: number;
  /** After each step, once everything rests; what it throws ends the run. */
  readonly check?: () => void;
  readonly stepsMax?: number;
}

/**
 * `met`: `until` said so. `time`: it is `untilMs`. `idle`: nothing is planned any more. `steps`: `stepsMax`
 * were done.
 */
export type RunEnd = 'met' | 'time' | 'idle' | 'steps';

export interface LoopOptions {
  readonly clock: VirtualClock;
  readonly turns: Turns;
  /** Turns that one step may take until all rests; what takes more goes round in circles. */
  readonly turnsMax?: number;
}

export const turnsMax = 100_000;
export const stepsMax = 10_000_000;

/** A world that never comes to rest: at one moment of its time something always makes the next thing. */
export class Restless extends Error {}

/** The world went on, or came to its end, without what was waited for. */
export class Unfinished extends Error {}

export const loopOf = ({ clock, turns, turnsMax: roundsMax = turnsMax }: LoopOptions): Loop => {
  const rest = async (): Promise<void> => {
    for (let rounds = 0; rounds < roundsMax; rounds += 1) {
      await turns.next();
      // Promise jobs run to their end between two turns, so what is left was put off to a next turn.
      if (turns.waiting() === 0) return;
    }
    throw new Restless(
      `The world did not come to rest within ${roundsMax} turns at ${clock.monotonicMs()} ms`,
    );
  };
  const step = async (): Promise<boolean> => {
    await rest();
    if (!clock.step()) return false;
    await rest();
    return true;
  };
  const run = async (options: LoopRun): Promise<RunEnd> => {
    const { until, untilMs = Number.POSITIVE_INFINITY, check } = options;
    await rest();
    for (let steps = 0; ; steps += 1) {
      check?.();
      if (until?.() === true) return 'met';
      const next = clock.nextMs();
      if (next === undefined || next > untilMs) {
        if (untilMs < Number.POSITIVE_INFINITY) clock.moveTo(untilMs);
        return next === undefined && untilMs === Number.POSITIVE_INFINITY ? 'idle' : 'time';
      }
      if (steps >= (options.stepsMax ?? stepsMax)) return 'steps';
      clock.step();
      await rest();
    }
  };
  return {
    rest,
    step,
    run,
    finish: async (promise, limits = {}) => {
      let over = false;
      const end = (): void => {
        over = true;
      };
      promise.then(end, end);
      const ended = await run({ ...limits, until: () => over });
      if (ended === 'met') return promise;
      throw new Unfinished(`What was waited for is not done at ${clock.monotonicMs()} ms (${ended})`);
    },
  };
};
