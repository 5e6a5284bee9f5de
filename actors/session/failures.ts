import type { Services } from '../../src/objects/services.ts';
import { type Clock, sleep } from '../../src/std/clock.ts';
import { sourceOf } from '../../src/std/source.ts';

/** Failed logins of late, by where they came from: the more of them, the later each is answered. */
export interface Failures {
  /** Answers how many there have been of this source. */
  add(address: string | undefined): number;
  /** Until what came at `cameMs` may be answered. */
  wait(address: string | undefined, cameMs: number, signal: AbortSignal): Promise<void>;
}

/** A wrong password is answered this late, so that guessing is slow. */
export const wrongPasswordMs = 5_000;
/** And this late at most, where a source goes on guessing. */
export const wrongPasswordMsMax = 30_000;
/** Every so many failures of a source the delay doubles. */
export const failuresPerStep = 128;
/** A source of which nothing failed for this long starts anew. */
export const forgivenMs = 15 * 60_000;
/** Sources that are remembered; the one that failed longest ago goes first. */
export const sourcesMax = 4_096;
/** Failed logins that wait for their late answer. Any more are answered at once. */
export const delayedMax = 16_384;

interface Source {
  count: number;
  lastMs: number;
}

/** For each host that runs in this process. */
const known = new WeakMap<Services['credentials'], Failures>();

export const failuresOf = (credentials: Services['credentials'], clock: Clock): Failures => {
  const failures = known.get(credentials) ?? failuresBy(clock);
  known.set(credentials, failures);
  return failures;
};

const failuresBy = (clock: Clock): Failures => {
  const sources = new Map<string, Source>();
  let delayed = 0;
  const recent = (source: string): Source => {
    const last = sources.get(source);
    const isRecent = last !== undefined && clock.monotonicMs() - last.lastMs <= forgivenMs;
    return isRecent ? last : { count: 0, lastMs: 0 };
  };
  return {
    add: (address = '') => {
      const source = sourceOf(address);
      const count = recent(source).count + 1;
      sources.delete(source);
      sources.set(source, { count, lastMs: clock.monotonicMs() });
      const [oldest] = sources.keys();
      if (sources.size > sourcesMax && oldest !== undefined) sources.delete(oldest);
      return count;
    },
    wait: async (address = '', cameMs, signal) => {
      if (delayed >= delayedMax) return;
      const steps = Math.floor(recent(sourceOf(address)).count / failuresPerStep);
      const delayMs = Math.min(wrongPasswordMs * 2 ** steps, wrongPasswordMsMax);
      delayed += 1;
      try {
        await sleep(clock, Math.max(0, cameMs + delayMs - clock.monotonicMs()), signal);
      } finally {
        delayed -= 1;
      }
    },
  };
};
