import type { ClassName } from '../model/class.ts';
import { int, nothing, type Ref, string } from '../model/types.ts';
import { holderOf } from '../objects/holdings.ts';
import type { Caller } from '../objects/implement.ts';
import { Fault } from '../std/fault.ts';
import { sharesOf } from '../std/shares.ts';
import { type Encoding, typedEncoding } from './encoding.ts';
import { type BatchesOptions, batchesOf, type EventBatch } from './event-batches.ts';
import { registrationsOf } from './event-registrations.ts';
import { type EventQuestion, eventWatchOf, type Listening } from './event-watch.ts';
import type { Mandates } from './mandates.ts';
import { delivers, parseToken, type Subscription, subscriptionOf, tokenText } from './subscriptions.ts';

/** What the messages of the class `event` do. They are of the edge, for they are about its connections. */
export interface Events {
  answer(message: string, args: readonly any[], caller: Caller, asked: EventQuestion): Promise<Encoding>;
  /** Calls that wait now. */
  readonly waiting: number;
  /** Ends every wait with what there is. */
  stop(): void;
}

export interface EventsOptions extends BatchesOptions {
  readonly waitersMax?: number;
  readonly waitersOfUserMax?: number;
  readonly mandates: Mandates;
}

export const eventWaitersMax = 4_096;
/** Of them, those of one user. */
export const eventWaitersOfUserMax = 2_048;
/** Characters of what calls that wait and registered sessions listen to: of one user, and of all. */
export const subscribedOfUserMax = 16 * 1_048_576;
export const subscribedMax = 4 * subscribedOfUserMax;
const timeoutMsMax = 24 * 3_600_000;

export const eventsOf = (options: EventsOptions): Events => {
  const { catalog, store, clock } = options;
  const watch = eventWatchOf({
    store,
    clock,
    batches: batchesOf(options),
    places: sharesOf({
      ofOneMax: Math.min(
        options.waitersMax ?? eventWaitersMax,
        options.waitersOfUserMax ?? eventWaitersOfUserMax,
      ),
      totalMax: options.waitersMax ?? eventWaitersMax,
    }),
    mandates: options.mandates,
  });
  const spelled = new Map(catalog.classes.map(({ name }) => [name.toLowerCase(), name]));

  const subscribed = sharesOf({ ofOneMax: subscribedOfUserMax, totalMax: subscribedMax });
  const userOf = (caller: Caller): string => holderOf(store.committed, caller);
  /** Keeps a subscription for a user. Throws TOO_MANY_PENDING_TASKS where the user, or all, have too much. */
  const hold = (caller: Caller, { key }: Subscription): (() => void) => {
    const release = subscribed.take(userOf(caller), key.length);
    if (release === undefined) throw new Fault('TOO_MANY_PENDING_TASKS');
    return release;
  };
  const { registered, register, unregister } = registrationsOf(options, hold);
  const collect = async (
    caller: Caller,
    listening: Omit<Listening, 'session' | 'holder'>,
  ): Promise<EventBatch> => {
    const release = hold(caller, listening.subscription);
    try {
      return await watch.collect({ ...listening, session: caller.session, holder: userOf(caller) });
    } finally {
      release();
    }
  };

  const from = async (
    caller: Caller,
    [classes, token, timeoutS]: readonly [readonly string[], string, number],
    asked: EventQuestion,
  ): Promise<Encoding> => {
    const subscription = subscriptionOf(classes);
    const { generation, messages } = parseToken(token);
    if (generation > store.generation) throw new Fault('EVENTS_LOST');
    const position = Number(clamp(generation, store.generation));
    // A timeout that makes no sense is a long one.
    const timeoutMs = timeoutS >= 0 ? Math.min(timeoutS * 1_000, timeoutMsMax) : timeoutMsMax;
    const hearsMessages =
      delivers(subscription, 'message', '') || [...subscription.objects].some(isOfMessage);
    // A number from another server may be ahead of ours, and says nothing about our messages.
    const messagesPosition = hearsMessages ? Number(clamp(messages, store.generation)) : position;
    const batch = await collect(caller, { subscription, position, messagesPosition, timeoutMs, asked });
    return batch.answer(hearsMessages ? BigInt(batch.generation) : messages);
  };

  const next = async (caller: Caller, asked: EventQuestion): Promise<Encoding> => {
    const known = registered(caller);
    const { subscription, position } = known;
    try {
      const batch = await collect(caller, { subscription, position, timeoutMs: timeoutMsMax, asked });
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
    return tokenText({ generation: BigInt(touched - 1), messages: 0n });
  };

  const done = (_: void): Encoding => typedEncoding(nothing, undefined);

  return {
    answer: async (message, args, caller, asked) => {
      switch (message) {
        case 'from':
          return from(caller, args as unknown as Parameters<typeof from>[1], asked);
        case 'next':
          return next(caller, asked);
        case 'inject':
          return typedEncoding(string, await inject(args[0], args[1]));
        case 'register':
          return done(register(caller, args[0], asked));
        case 'unregister':
          return done(unregister(caller, args[0]));
        case 'get_current_id':
          return typedEncoding(int, BigInt(store.generation));
        default:
          throw new Fault('MESSAGE_METHOD_UNKNOWN', [`event.${message}`]);
      }
    },
    get waiting() {
      return watch.waiting;
    },
    stop: watch.stop,
  };
};

/** Names a single message, or an object of any class, which may be one. */
const isOfMessage = (entry: string): boolean => entry.startsWith('message/') || entry.startsWith('*/');

const clamp = (position: bigint, max: number): bigint =>
  position < 0n ? 0n : position > BigInt(max) ? BigInt(max) : position;
