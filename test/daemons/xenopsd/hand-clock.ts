import type { Clock } from '../../../src/std/clock.ts';

/** A clock that stands until it is moved. */
export const handClock = (): Clock & { advance(byMs: number): void } => {
  let nowMs = 1_700_000_000_000;
  const timers = new Map<() => void, number>();
  return {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    after: (delayMs, run) => {
      const timer = (): void => run();
      timers.set(timer, nowMs + delayMs);
      return () => timers.delete(timer);
    },
    advance: (byMs) => {
      nowMs += byMs;
      for (const [timer, dueMs] of [...timers].sort((a, b) => a[1] - b[1])) {
        if (dueMs <= nowMs && timers.delete(timer)) timer();
      }
    },
  };
};
