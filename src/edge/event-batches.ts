import type { Catalog } from '../objects/catalog.ts';
import type { Clock } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import { changesSince, type RowEvent } from '../store/changes.ts';
import type { Store } from '../store/store.ts';
import type { EncodedParts, Encoding, Format, Fragments } from './encoding.ts';
import { batchEncoding, eventsEncoding } from './event-encoding.ts';
import { delivers, type Subscription, tokenText } from './subscriptions.ts';

/** What changed for a subscription up to a generation. */
export interface EventBatch {
  readonly events: readonly RowEvent[];
  readonly generation: number;
  readonly list: Encoding;
  /** The whole answer of `event.from`, with how far the caller has heard of messages. */
  answer(messages: bigint): Encoding;
}

export interface Batches {
  /**
   * What changed since a generation, and of messages since one of their own; they come first. Throws
   * EVENTS_LOST when that cannot be told any more.
   */
  read(subscription: Subscription, position: number, messagesPosition?: number): EventBatch;
  /** Something has changed: what was read so far is of no use to anyone else. */
  forget(): void;
  /** The name that events of a class go by, in lower case; undefined for a class that has none. */
  toldAs(cls: string): string | undefined;
}

export interface BatchesOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly clock: Clock;
  readonly fragments: Fragments;
}

/** Answers kept for clients that ask for the same at the same time. */
const sharedMax = 8;

export const batchesOf = ({ catalog, store, clock, fragments }: BatchesOptions): Batches => {
  const told = catalog.classes.filter(({ events }) => events !== false);
  const names = new Map(told.map(({ name }) => [name, name.toLowerCase()]));
  const classes = catalog.classes.map(({ name }) => [name.toLowerCase(), name] as const);
  const forgotten = told.filter(({ persist }) => persist === false).map(({ name }) => name.toLowerCase());
  const shared = new Map<string, EventBatch>();

  /** Deletions of rows that are never on disk are known as far back as the feed goes, and no further. */
  const missesDeletions = ({ all, classes, objects }: Subscription, position: number): boolean =>
    position > 0 &&
    store.feed.since(position) === undefined &&
    forgotten.some((cls) => all || classes.has(cls) || [...objects].some((one) => one.startsWith(`${cls}/`)));

  const since = (subscription: Subscription, position: number): readonly RowEvent[] => {
    const wants = (cls: string, ref: string): boolean => {
      const name = names.get(cls);
      return name !== undefined && delivers(subscription, name, ref);
    };
    // A message that came and went is still told of: clients that were asked to show it take it back.
    const events = changesSince(store, position, wants, isMessage);
    if (events === undefined || missesDeletions(subscription, position)) throw new Fault('EVENTS_LOST');
    return events;
  };

  const make = (subscription: Subscription, position: number, messagesPosition: number): EventBatch => {
    const newer = since(subscription, position);
    const messages = messagesPosition === position ? newer : since(subscription, messagesPosition);
    const events = [
      ...messages.filter(({ cls }) => isMessage(cls)),
      ...newer.filter(({ cls }) => !isMessage(cls)),
    ];
    const { generation } = store;
    const list = once(eventsEncoding(events, fragments, clock));
    // A thousand clients that wait for the same have the same token: theirs is one answer.
    let known: { readonly messages: bigint; readonly encoding: Encoding } | undefined;
    const answer = (messages: bigint): Encoding => {
      if (known?.messages === messages) return known.encoding;
      const counts = classes.map(([cls, name]) => [cls, store.tables.get(name)?.count ?? 0] as const);
      const token = tokenText({ generation: BigInt(generation), messages });
      const value = () => ({ token, events: events.map(valueOfEvent) });
      known = { messages, encoding: Object.assign(once(batchEncoding(list, counts, token)), { value }) };
      return known.encoding;
    };
    return { events, generation, list, answer };
  };

  return {
    read: (subscription, position, messagesPosition = position) => {
      if (position > store.generation) throw new Fault('EVENTS_LOST');
      const key = `${position} ${messagesPosition} ${subscription.key}`;
      const batch = shared.get(key) ?? make(subscription, position, messagesPosition);
      // Single objects are watched by one client each.
      if (subscription.objects.size > 0 || batch.events.length === 0) return batch;
      if (shared.size >= sharedMax) shared.clear();
      shared.set(key, batch);
      return batch;
    },
    forget: () => shared.clear(),
    toldAs: (cls) => names.get(cls),
  };
};

/** An event for who calls from within. */
const valueOfEvent = ({ cls, ref, operation, version }: RowEvent) => ({
  ...{ class: cls.toLowerCase(), operation, ref, snapshot: version?.record },
});

/** Messages for people have a place of their own in tokens, as other servers keep them apart. */
const isMessage = (cls: string): boolean => cls === 'message';

/** Encodes for each language once, whoever asks for it. */
const once = (encoding: Encoding): Encoding => {
  const made = new Map<Format, EncodedParts | Promise<EncodedParts>>();
  return (format) => {
    const known = made.get(format) ?? encoding(format);
    made.set(format, known);
    return known;
  };
};
