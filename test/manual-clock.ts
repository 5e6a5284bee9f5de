import type { Clock } from '../src/std/clock.ts';

/** A clock that stands still until a test moves it; what was put off runs in the order of its time. */
export interface ManualClock extends Clock {
  /** Moves on by `ms` and runs what falls due, each at its own time. */
  advance(ms: number): Promise<void>;
  /** Resolves once this many timers wait. */
  waiting(count: number): Promise<void>;
}

export const manualClock = (startMs = Date.UTC(2026, 0, 1)): ManualClock => {
  let nowMs = startMs;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  const watchers = new Set<() => void>();
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    now: () => nowMs,
    monotonicMs: () => nowMs - startMs,
    after: (delayMs, run) => {
      const timer = { at: nowMs + delayMs, run };
      timers.add(timer);
      for (const watcher of watchers) watcher();
      return () => timers.delete(timer);
    },
    advance: async (ms) => {
      const until = nowMs + ms;
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        nowMs = next.at;
        timers.delete(next);
        next.run();
        await settled();
      }
      nowMs = until;
      await settled();
    },
    waiting: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (timers.size < count) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      }),
  };
};
