import type { Subscription } from './subscriptions.ts';

/** Someone who waits for a change. */
export interface Waiter {
  readonly subscription: Subscription;
  /** The generation up to which nothing it wants has changed. Set when it is woken. */
  quietUntil: number;
  /** Called once: with the change, or with what ended the wait. */
  readonly wake: () => void;
}

/**
 * Waiters by what they wait for, so that a change costs as much as there are waiters for it and a
 * waiter costs one wake however much changes.
 */
export interface Waiters {
  readonly size: number;
  add(waiter: Waiter): void;
  remove(waiter: Waiter): void;
  /** Wakes, and takes out, whoever wants to hear of the row. `cls` is in lower case. */
  changed(cls: string, ref: string, quietUntil: number): void;
  all(): readonly Waiter[];
}

type Index = Map<string, Set<Waiter>>;

export const waitersOf = (): Waiters => {
  const waiting = new Set<Waiter>();
  const byInterest: Index = new Map();

  const interests = ({ subscription }: Waiter): Iterable<string> =>
    subscription.all ? ['*'] : [...subscription.classes, ...subscription.objects];

  const enter = (index: Index, key: string, waiter: Waiter): void => {
    const known = index.get(key);
    if (known === undefined) index.set(key, new Set([waiter]));
    else known.add(waiter);
  };

  const leave = (index: Index, key: string, waiter: Waiter): void => {
    const known = index.get(key);
    known?.delete(waiter);
    if (known?.size === 0) index.delete(key);
  };

  const remove = (waiter: Waiter): void => {
    if (!waiting.delete(waiter)) return;
    for (const key of interests(waiter)) leave(byInterest, key, waiter);
  };

  return {
    get size() {
      return waiting.size;
    },
    add: (waiter) => {
      waiting.add(waiter);
      for (const key of interests(waiter)) enter(byInterest, key, waiter);
    },
    remove,
    changed: (cls, ref, quietUntil) => {
      if (byInterest.size === 0) return;
      for (const key of ['*', cls, `${cls}/${ref}`, `*/${ref}`]) {
        for (const waiter of byInterest.get(key) ?? []) {
          remove(waiter);
          waiter.quietUntil = quietUntil;
          waiter.wake();
        }
      }
    },
    all: () => [...waiting],
  };
};
