import type { Clock } from '../../std/clock.ts';

/** Node keeps a delay in 31 bits and runs a longer one at once, so a long wait is cut into pieces. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The clocks and timers of this process. */
export const nodeClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    // A timer would wait for a millisecond at least; this is the very next turn.
    if (delayMs <= 0) {
      const soon = setImmediate(run);
      return () => clearImmediate(soon);
    }
    const dueMs = performance.now() + delayMs;
    let timer: NodeJS.Timeout;
    const arm = (waitMs: number): void => {
      timer = setTimeout(fire, Math.min(waitMs, TIMER_MS_MAX));
      timer.unref();
    };
    const fire = (): void => {
      // A timer may fire a little early: only a wait that was cut is measured again.
      const leftMs = delayMs > TIMER_MS_MAX ? dueMs - performance.now() : 0;
      if (leftMs > 0) arm(leftMs);
      else run();
    };
    arm(delayMs);
    return () => clearTimeout(timer);
  },
};
