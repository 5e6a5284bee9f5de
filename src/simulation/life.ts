import type { Clock } from '../std/clock.ts';

/**
 * One run of a simulated process, as the clock that it lives by. All that happens to a process begins with
 * its timers and with what its network and its disk hand over, and all of that comes through here: so it can
 * be held up like a process that is stopped for a while, or ended for good.
 */
export interface Life extends Clock {
  readonly name: string;
  readonly state: 'running' | 'paused' | 'ended';
  /** Nothing happens any more until `resume`; what fell due meanwhile happens then, in order. */
  pause(): void;
  resume(): void;
  /** Nothing ever happens again. Whatever listens hears of it first. */
  end(): void;
  /** Told of the end, in the order of asking; the returned function takes it back. */
  onEnd(run: () => void): () => void;
}

export const lifeOf = (name: string, clock: Clock, skewMs = 0): Life => {
  let state: Life['state'] = 'running';
  let held: { run: (() => void) | undefined }[] = [];
  const watchers = new Set<() => void>();

  const happen = (event: { run: (() => void) | undefined }): void => {
    if (state === 'ended') return;
    if (state === 'paused') held.push(event);
    else event.run?.();
  };
  return {
    name,
    get state() {
      return state;
    },
    now: () => clock.now() + skewMs,
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, run) => {
      if (state === 'ended') return () => {};
      const event: { run: (() => void) | undefined } = { run };
      const cancel = clock.after(delayMs, () => happen(event));
      return () => {
        event.run = undefined;
        cancel();
      };
    },
    pause: () => {
      if (state === 'running') state = 'paused';
    },
    resume: () => {
      if (state !== 'paused') return;
      state = 'running';
      const due = held;
      held = [];
      // Each in a step of its own, as it would have been.
      for (const event of due) clock.after(0, () => happen(event));
    },
    end: () => {
      if (state === 'ended') return;
      state = 'ended';
      held = [];
      for (const watcher of watchers) watcher();
      watchers.clear();
    },
    onEnd: (run) => {
      watchers.add(run);
      return () => {
        watchers.delete(run);
      };
    },
  };
};
