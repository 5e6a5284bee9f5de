import { type Clock, sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { Store } from '../store/store.ts';
import type { Change } from '../store/version.ts';
import type { Batch, Batches } from './event-batches.ts';
import type { Subscription } from './subscriptions.ts';
import { type Waiter, waitersOf } from './waiters.ts';

/** One call that wants to hear what changes. */
export interface Listening {
  readonly session: string;
  readonly subscription: Subscription;
  /** The generation up to which the caller has heard everything. */
  readonly position: number;
  /** The same of messages, where the caller has heard another part of them. */
  readonly messagesPosition?: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface EventWatch {
  /** Calls that wait now. */
  readonly waiting: number;
  /** The next batch with something in it, or an empty one when the time is over or the client gone. */
  collect(listening: Listening): Promise<Batch>;
  /** Ends every wait with what there is. */
  stop(): void;
}

export interface EventWatchOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly batches: Batches;
  /** Calls that wait at once; one more is answered TOO_MANY_PENDING_TASKS. */
  readonly waitersMax: number;
  readonly onSessionEnd: (session: string) => void;
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
    for (const { entry, after } of changes) {
      if (entry.cls === 'session' && after === undefined) {
        options.onSessionEnd(entry.ref);
        for (const waiter of waiters.ofSession(entry.ref)) waiter.wake();
      }
      const cls = batches.toldAs(entry.cls);
      if (cls !== undefined) waiters.changed(cls, entry.ref, quietUntil);
    }
  });

  /** Resolves when something may have changed, with the generation up to which nothing has. */
  const changed = (
    { session, subscription, position, signal }: Listening,
    waitMs: number,
  ): Promise<number> => {
    if (waiters.size >= options.waitersMax) throw new Fault('TOO_MANY_PENDING_TASKS');
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        signal.removeEventListener('abort', end);
        waiters.remove(waiter);
        resolve(waiter.quietUntil);
      };
      const waiter: Waiter = { session, subscription, quietUntil: position, wake: end };
      const cancel = clock.after(waitMs, end);
      signal.addEventListener('abort', end, { once: true });
      waiters.add(waiter);
    });
  };

  const collect = async (listening: Listening): Promise<Batch> => {
    const { session, subscription, signal } = listening;
    const deadlineMs = clock.monotonicMs() + listening.timeoutMs;
    const leftMs = (): number => deadlineMs - clock.monotonicMs();
    // Whoever waits for a result wants it at once, and who asks for all there is gains nothing by waiting.
    const delayMs = subscription.tasksOnly ? 0 : batchMs;
    let { position, messagesPosition } = listening;
    for (let fresh = position === 0; ; fresh = false) {
      const pauseMs = Math.min(delayMs, leftMs());
      const behind = Math.min(position, messagesPosition ?? position) < store.generation;
      if (!fresh && pauseMs > 0 && behind) await sleep(clock, pauseMs);
      if (store.tables.get('session')?.committed(session) === undefined) {
        throw new Fault('SESSION_INVALID', [session]);
      }
      const batch = batches.read(subscription, position, messagesPosition);
      const waitMs = leftMs();
      if (batch.events.length > 0 || waitMs <= 0 || signal.aborted || stopped) return batch;
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
