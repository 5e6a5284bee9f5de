import { type Clock, sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { Shares } from '../std/shares.ts';
import type { Store } from '../store/store.ts';
import type { Change } from '../store/version.ts';
import type { Batches, EventBatch } from './event-batches.ts';
import type { Mandates } from './mandates.ts';
import type { Subscription } from './subscriptions.ts';
import { type Waiter, waitersOf } from './waiters.ts';

/** One call that wants to hear what changes. */
export interface Listening {
  readonly session: string;
  /** The user, whose waiting calls are counted together. */
  readonly holder: string;
  readonly subscription: Subscription;
  /** The generation up to which the caller has heard everything. */
  readonly position: number;
  /** The same of messages, where the caller has heard another part of them. */
  readonly messagesPosition?: number;
  readonly timeoutMs: number;
  readonly asked: EventQuestion;
}

/** What a call that may wait knows of its client. */
export interface EventQuestion {
  /** Aborted when the client went away, so that its wait ends. */
  readonly gone: AbortSignal;
  /** Throws what the same call would be answered with now: the wait ends with that. */
  readonly check: () => void;
}

export interface EventWatch {
  /** Calls that wait now. */
  readonly waiting: number;
  /** The next batch with something in it, or an empty one when the time is over or the client gone. */
  collect(listening: Listening): Promise<EventBatch>;
  /** Ends every wait with what there is. */
  stop(): void;
}

export interface EventWatchOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly batches: Batches;
  /** Calls that wait at once, of one user and of all; one more is answered TOO_MANY_PENDING_TASKS. */
  readonly places: Shares;
  readonly mandates: Mandates;
}

/** More changes are let come before an answer, so that a busy pool costs a client twenty answers a second. */
export const batchMs = 50;

export const eventWatchOf = (options: EventWatchOptions): EventWatch => {
  const { store, clock, batches } = options;
  const waiters = waitersOf();
  let seen = store.generation;
  let stopped = false;

  const unwatch = store.watch((changes: readonly Change[]) => {
    const quietUntil = seen;
    seen = store.generation;
    batches.forget();
    for (const { entry } of changes) {
      const cls = batches.toldAs(entry.cls);
      if (cls !== undefined) waiters.changed(cls, entry.ref, quietUntil);
    }
  });

  /** Resolves when something may have changed, with the generation up to which nothing has. */
  const changed = (
    { session, holder, subscription, position, asked: { gone, check } }: Listening,
    waitMs: number,
  ): Promise<number> => {
    const leave = options.places.take(holder, 1);
    if (leave === undefined) throw new Fault('TOO_MANY_PENDING_TASKS');
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        release();
        leave();
        gone.removeEventListener('abort', end);
        waiters.remove(waiter);
        resolve(waiter.quietUntil);
      };
      const waiter: Waiter = { subscription, quietUntil: position, wake: end };
      const cancel = clock.after(waitMs, end);
      const release = options.mandates.give(session, { check, withdrawn: end });
      gone.addEventListener('abort', end, { once: true });
      waiters.add(waiter);
    });
  };

  const collect = async (listening: Listening): Promise<EventBatch> => {
    const { subscription, asked } = listening;
    const deadlineMs = clock.monotonicMs() + listening.timeoutMs;
    const leftMs = (): number => deadlineMs - clock.monotonicMs();
    // Whoever waits for a result wants it at once, and who asks for all there is gains nothing by waiting.
    const delayMs = subscription.tasksOnly ? 0 : batchMs;
    let { position, messagesPosition } = listening;
    for (let fresh = position === 0; ; fresh = false) {
      const pauseMs = Math.min(delayMs, leftMs());
      const behind = Math.min(position, messagesPosition ?? position) < store.generation;
      if (!fresh && pauseMs > 0 && behind) await sleep(clock, pauseMs);
      asked.check();
      const batch = batches.read(subscription, position, messagesPosition);
      const waitMs = leftMs();
      if (batch.events.length > 0 || waitMs <= 0 || asked.gone.aborted || stopped) return batch;
      messagesPosition = undefined;
      position = await changed({ ...listening, position: batch.generation }, waitMs);
    }
  };

  return {
    get waiting() {
      return waiters.size;
    },
    collect,
    stop: () => {
      stopped = true;
      unwatch();
      for (const waiter of waiters.all()) waiter.wake();
    },
  };
};
