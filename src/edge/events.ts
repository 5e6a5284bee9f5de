import type { ClassName } from '../model/class.ts';
import { int, nothing, type Ref, string } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import type { Caller } from '../objects/implement.ts';
import { type Clock, sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import { changesSince, type RowEvent } from '../store/changes.ts';
import type { Store } from '../store/store.ts';
import type { Change } from '../store/version.ts';
import { type Encoding, type Format, type Fragment, type Parts, typedEncoding } from './encoding.ts';
import { batchEncoding, eventsEncoding, type RefCounts } from './event-encoding.ts';
import {
  delivers,
  entriesOf,
  parseToken,
  type Subscription,
  subscriptionOf,
  tokenText,
} from './subscriptions.ts';
import { type Waiter, waitersOf } from './waiters.ts';

/** What the messages of the class `event` do. They are of the edge, for they are about its connections. */
export interface Events {
  /** `signal`: the client went away, so its wait ends. */
  answer(message: string, args: readonly unknown[], caller: Caller, signal: AbortSignal): Promise<Encoding>;
  /** Calls that wait now. */
  readonly waiting: number;
  /** Ends every wait with what there is. */
  stop(): void;
}

export interface EventsOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly clock: Clock;
  readonly fragment: Fragment;
  /** Calls that wait at once; one more is answered TOO_MANY_PENDING_TASKS. */
  readonly waitersMax?: number;
}

export const eventWaitersMax = 4_096;
/** More changes are let come before an answer, so that a busy pool costs a client twenty answers a second. */
export const batchMs = 50;
const timeoutMsMax = 24 * 3_600_000;
/** Answers kept for clients that ask for the same at the same time. */
const sharedMax = 8;

/** What changed for a subscription up to a generation. */
interface Batch {
  readonly events: readonly RowEvent[];
  readonly generation: number;
  readonly list: Encoding;
}

interface Registration {
  subscription: Subscription;
  /** The generation up to which the session has heard. The queue is the change feed of the store. */
  position: number;
}

export const eventsOf = (options: EventsOptions): Events => {
  const { catalog, store, clock, fragment } = options;
  const waitersMax = options.waitersMax ?? eventWaitersMax;
  const waiters = waitersOf();
  const registrations = new Map<string, Registration>();
  const lowerCase = new Map(catalog.classes.map(({ name }) => [name, name.toLowerCase()]));
  const spelled = new Map(catalog.classes.map(({ name }) => [name.toLowerCase(), name]));
  const told = catalog.classes.filter(({ events }) => events !== false);
  const toldAs = new Map(told.map(({ name }) => [name, name.toLowerCase()]));
  const forgotten = told.filter(({ persist }) => persist === false).map(({ name }) => name.toLowerCase());
  let seen = store.generation;
  let stopped = false;
  const shared = new Map<string, Batch>();

  const unwatch = store.watch((changes: readonly Change[]) => {
    const quietUntil = seen;
    seen = store.generation;
    shared.clear();
    for (const { entry, after } of changes) {
      if (entry.cls === 'session' && after === undefined) endSession(entry.ref);
      const cls = toldAs.get(entry.cls);
      if (cls !== undefined) waiters.changed(cls, entry.ref, quietUntil);
    }
  });

  const endSession = (session: string): void => {
    registrations.delete(session);
    for (const waiter of waiters.ofSession(session)) waiter.wake();
  };

  const wantsVolatile = ({ all, classes, objects }: Subscription): boolean =>
    forgotten.some((cls) => all || classes.has(cls) || [...objects].some((one) => one.startsWith(`${cls}/`)));

  const read = (subscription: Subscription, position: number): Batch => {
    const key = `${position} ${subscription.key}`;
    const known = shared.get(key);
    if (known !== undefined) return known;
    const events = changesSince(store, position, (cls, ref) => {
      const name = toldAs.get(cls);
      return name !== undefined && delivers(subscription, name, ref);
    });
    // Deletions of rows that are never on disk are known as far back as the feed goes, and no further.
    const unknown = position > 0 && store.feed.since(position) === undefined && wantsVolatile(subscription);
    if (events === undefined || unknown || position > store.generation) throw new Fault('EVENTS_LOST');
    const batch = {
      events,
      generation: store.generation,
      list: once(eventsEncoding(events, fragment, clock)),
    };
    if (subscription.objects.size > 0 || events.length === 0) return batch;
    if (shared.size >= sharedMax) shared.clear();
    shared.set(key, batch);
    return batch;
  };

  /** Resolves when something may have changed, with the generation up to which nothing has. */
  const changed = (
    session: string,
    subscription: Subscription,
    position: number,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<number> => {
    if (waiters.size >= waitersMax) throw new Fault('TOO_MANY_PENDING_TASKS');
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

  /** The next batch with something in it, or an empty one when the time is over. */
  const collect = async (
    caller: Caller,
    subscription: Subscription,
    from: number,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Batch> => {
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    const leftMs = (): number => deadlineMs - clock.monotonicMs();
    // Who asks for everything there is gains nothing by waiting for more.
    const delayMs = subscription.tasksOnly ? 0 : batchMs;
    let position = from;
    let fresh = from === 0;
    for (;;) {
      const pauseMs = Math.min(delayMs, leftMs());
      if (!fresh && pauseMs > 0 && position < store.generation) await sleep(clock, pauseMs);
      fresh = false;
      if (store.committed.get('session', caller.session) === undefined) {
        throw new Fault('SESSION_INVALID', [caller.session]);
      }
      const batch = read(subscription, position);
      const waitMs = leftMs();
      if (batch.events.length > 0 || waitMs <= 0 || signal.aborted || stopped) return batch;
      position = await changed(caller.session, subscription, batch.generation, waitMs, signal);
    }
  };

  const counts = (): RefCounts =>
    catalog.classes.map(({ name }) => [lowerCase.get(name) ?? name, store.tables.get(name)?.count ?? 0]);

  const from = async (
    caller: Caller,
    [classes, token, timeoutS]: readonly [readonly string[], string, number],
    signal: AbortSignal,
  ): Promise<Encoding> => {
    const subscription = subscriptionOf(classes);
    const { generation, messages } = parseToken(token);
    if (generation > store.generation) throw new Fault('EVENTS_LOST');
    const timeoutMs = timeoutS >= 0 ? Math.min(timeoutS * 1_000, timeoutMsMax) : timeoutMsMax;
    const batch = await collect(caller, subscription, generation, timeoutMs, signal);
    return batchEncoding(batch.list, counts(), tokenText({ generation: batch.generation, messages }));
  };

  const register = (caller: Caller, classes: readonly string[]): void => {
    const known = registrations.get(caller.session);
    const subscription = subscriptionOf([
      ...(known === undefined ? [] : entriesOf(known.subscription)),
      ...classes,
    ]);
    if (known === undefined) registrations.set(caller.session, { subscription, position: store.generation });
    else known.subscription = subscription;
  };

  const registered = ({ session }: Caller): Registration => {
    const known = registrations.get(session);
    if (known !== undefined) return known;
    // The reference is a secret, which an error must not repeat.
    throw new Fault('SESSION_NOT_REGISTERED', [store.committed.get('session', session)?.uuid ?? '']);
  };

  const unregister = (caller: Caller, classes: readonly string[]): void => {
    const known = registered(caller);
    const gone = new Set(entriesOf(subscriptionOf(classes)));
    known.subscription = subscriptionOf(entriesOf(known.subscription).filter((entry) => !gone.has(entry)));
  };

  const next = async (caller: Caller, signal: AbortSignal): Promise<Encoding> => {
    const known = registered(caller);
    try {
      const batch = await collect(caller, known.subscription, known.position, timeoutMsMax, signal);
      known.position = batch.generation;
      return batch.list;
    } catch (error) {
      // Told once; from here on the client can go on with what comes next.
      if (error instanceof Fault && error.code === 'EVENTS_LOST') known.position = store.generation;
      throw error;
    }
  };

  /** An event without a change. The token is just below it: who has heard more has heard all before it. */
  const inject = async (given: string, ref: string): Promise<string> => {
    const cls = spelled.get(given.toLowerCase());
    const table = cls === undefined ? undefined : store.tables.get(cls);
    if (table?.latest(ref) === undefined) throw new Fault('HANDLE_INVALID', [given, ref]);
    await store.commit((tx) => tx.touch(cls as ClassName, ref as Ref<any>));
    const touched = table.committed(ref)?.modified ?? store.generation;
    return tokenText({ generation: touched - 1, messages: 0n });
  };

  return {
    answer: async (message, args, caller, signal) => {
      switch (message) {
        case 'from':
          return from(caller, args as readonly [readonly string[], string, number], signal);
        case 'inject':
          return typedEncoding(string, await inject(String(args[0]), String(args[1])));
        case 'register':
          register(caller, args[0] as readonly string[]);
          return typedEncoding(nothing, undefined);
        case 'unregister':
          unregister(caller, args[0] as readonly string[]);
          return typedEncoding(nothing, undefined);
        case 'next':
          return next(caller, signal);
        case 'get_current_id':
          return typedEncoding(int, BigInt(store.generation));
        default:
          throw new Fault('MESSAGE_METHOD_UNKNOWN', [`event.${message}`]);
      }
    },
    get waiting() {
      return waiters.size;
    },
    stop: () => {
      stopped = true;
      unwatch();
      for (const waiter of waiters.all()) waiter.wake();
    },
  };
};

/** Encodes for each language once, whoever asks for it. */
const once = (encoding: Encoding): Encoding => {
  const made = new Map<Format, Parts | Promise<Parts>>();
  return (format) => {
    const known = made.get(format) ?? encoding(format);
    made.set(format, known);
    return known;
  };
};
