import type { Clock } from '../std/clock.ts';
import { noTrace, type Trace } from './trace.ts';

/** Time that stands still until somebody moves it on to what is due next. */
export interface VirtualClock extends Clock {
  /** When the next thing is due, on the monotonic clock; undefined when nothing is. */
  nextMs(): number | undefined;
  /** Moves to the next thing and runs it. False when there is nothing. */
  step(): boolean;
  /** Moves on to a time before which nothing is due. */
  moveTo(ms: number): void;
}

interface Event {
  readonly atMs: number;
  /** Among events of one time the one that was planned first comes first. */
  readonly order: number;
  /** Undefined: cancelled. */
  run: (() => void) | undefined;
}

/** Cancelled events are taken out once they are this many and outnumber the others. */
const cancelledMin = 1_024;

export const virtualClock = (
  startMs = Date.UTC(2030, 0, 1),
  trace: Pick<Trace, 'note'> = noTrace,
): VirtualClock => {
  const events = heap();
  let nowMs = 0;
  let planned = 0;
  let cancelled = 0;

  const tidy = (): void => {
    if (cancelled < cancelledMin || cancelled * 2 < events.size()) return;
    events.keep((event) => event.run !== undefined);
    cancelled = 0;
  };
  const next = (): Event | undefined => {
    for (let event = events.first(); event !== undefined; event = events.first()) {
      if (event.run !== undefined) return event;
      events.takeFirst();
      cancelled -= 1;
    }
    return undefined;
  };

  return {
    now: () => startMs + Math.floor(nowMs),
    monotonicMs: () => nowMs,
    after: (delayMs, run) => {
      if (delayMs === Number.POSITIVE_INFINITY) return () => {};
      planned += 1;
      const event: Event = { atMs: nowMs + Math.max(0, delayMs), order: planned, run };
      events.add(event);
      return () => {
        if (event.run === undefined) return;
        event.run = undefined;
        cancelled += 1;
        tidy();
      };
    },
    nextMs: () => next()?.atMs,
    step: () => {
      const event = next();
      if (event === undefined) return false;
      events.takeFirst();
      nowMs = event.atMs;
      const { run } = event;
      // What has run cannot be cancelled any more, and must not be counted as if it could.
      event.run = undefined;
      trace.note('event', nowMs, event.order);
      run?.();
      return true;
    },
    moveTo: (ms) => {
      const due = next()?.atMs;
      if (due !== undefined && due < ms) throw new Error(`Something is due at ${due} ms, before ${ms} ms`);
      nowMs = Math.max(nowMs, ms);
    },
  };
};

const before = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** A binary heap with the event that comes first on top. */
const heap = () => {
  let events: Event[] = [];
  const swap = (i: number, j: number): void => {
    [events[i], events[j]] = [events[j] as Event, events[i] as Event];
  };
  const isBefore = (i: number, j: number): boolean => before(events[i] as Event, events[j] as Event);
  const rise = (from: number): void => {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!isBefore(at, parent)) return;
      swap(at, parent);
      at = parent;
    }
  };
  const sink = (): void => {
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < events.length && isBefore(child, least)) least = child;
      }
      if (least === at) return;
      swap(at, least);
      at = least;
    }
  };
  return {
    size: () => events.length,
    first: () => events[0],
    add: (event: Event) => {
      events.push(event);
      rise(events.length - 1);
    },
    takeFirst: () => {
      const last = events.pop();
      if (last === undefined || events.length === 0) return;
      events[0] = last;
      sink();
    },
    keep: (wanted: (event: Event) => boolean) => {
      // A list that is in order is a heap.
      events = events.filter(wanted).sort((a, b) => (before(a, b) ? -1 : 1));
    },
  };
};
