import type { Clock } from '../std/clock.ts';

/** Slots that most ids find free; a power of two. */
const SLOTS = 1_024;

/** What is under way, by id, each until a time. */
export interface Pending<T extends Timed> {
  add(id: number, one: T): void;
  get(id: number): T | undefined;
  /** Answers with it and forgets it. */
  take(id: number): T | undefined;
  count(): number;
  entries(): readonly (readonly [id: number, one: T])[];
}

export interface Timed {
  /** By the clock's `monotonicMs`. */
  readonly dueMs: number;
}

/**
 * A table for very many that come and go at once. Ids rise, so that their last bits are a place of their own
 * for all but the slow, and one timer is set for the first that is due: a `Map` and a timer for each call
 * cost more, in collecting what they leave behind, than all that is done for the call.
 */
export const underwayOf = <T extends Timed>(
  clock: Clock,
  expired: (id: number, one: T) => void,
): Pending<T> => {
  const slots: ({ readonly id: number; readonly one: T } | undefined)[] = new Array(SLOTS).fill(undefined);
  const others = new Map<number, T>();
  let count = 0;
  let armedMs = Number.POSITIVE_INFINITY;
  let disarm = (): void => {};

  const arm = (dueMs: number): void => {
    if (dueMs >= armedMs) return;
    disarm();
    armedMs = dueMs;
    disarm = clock.after(dueMs - clock.monotonicMs(), sweep);
  };

  const sweep = (): void => {
    armedMs = Number.POSITIVE_INFINITY;
    const nowMs = clock.monotonicMs();
    for (const [id, one] of all()) {
      if (one.dueMs > nowMs) arm(one.dueMs);
      else expired(id, one);
    }
  };

  const all = (): (readonly [number, T])[] => [
    ...slots.flatMap((slot) => (slot === undefined ? [] : [[slot.id, slot.one] as const])),
    ...others,
  ];

  const take = (id: number): T | undefined => {
    const at = id & (SLOTS - 1);
    const slot = slots[at];
    const one = slot?.id === id ? slot.one : others.get(id);
    if (one === undefined) return undefined;
    if (slot?.id === id) slots[at] = undefined;
    else others.delete(id);
    count -= 1;
    return one;
  };

  return {
    add: (id, one) => {
      const at = id & (SLOTS - 1);
      if (slots[at] === undefined) slots[at] = { id, one };
      else others.set(id, one);
      count += 1;
      arm(one.dueMs);
    },
    get: (id) => {
      const slot = slots[id & (SLOTS - 1)];
      return slot?.id === id ? slot.one : others.get(id);
    },
    take,
    count: () => count,
    entries: all,
  };
};
