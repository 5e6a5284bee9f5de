import type { Clock } from '../std/clock.ts';

/** What runs out together shares one timer: most calls are answered long before, and a timer each is dear. */
const GRAIN_MS = 10;

/** Runs things when their time is over, at most `GRAIN_MS` late; the returned function cancels. */
export type Deadlines = (delayMs: number, run: () => void) => () => void;

export const deadlinesOf = (clock: Clock): Deadlines => {
  const due = new Map<number, Set<() => void>>();
  return (delayMs, run) => {
    const nowMs = clock.monotonicMs();
    const at = Math.ceil((nowMs + delayMs) / GRAIN_MS) * GRAIN_MS;
    let together = due.get(at);
    if (together === undefined) {
      const made = new Set<() => void>();
      together = made;
      due.set(at, made);
      clock.after(at - nowMs, () => {
        due.delete(at);
        for (const one of made) one();
      });
    }
    const members = together;
    members.add(run);
    return () => members.delete(run);
  };
};
