import type { Catalog } from '../objects/catalog.ts';
import type { Clock } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import { changesSince, type RowEvent } from '../store/changes.ts';
import type { Store } from '../store/store.ts';
import type { Encoding, Format, Fragment, Parts } from './encoding.ts';
import { eventsEncoding } from './event-encoding.ts';
import { delivers, type Subscription } from './subscriptions.ts';

/** What changed for a subscription up to a generation. */
export interface Batch {
  readonly events: readonly RowEvent[];
  readonly generation: number;
  readonly list: Encoding;
}

export interface Batches {
  /** What changed since a generation. Throws EVENTS_LOST when that cannot be told any more. */
  read(subscription: Subscription, position: number): Batch;
  /** Something has changed: what was read so far is of no use to anyone else. */
  forget(): void;
  /** The name that events of a class go by, in lower case; undefined for a class that has none. */
  toldAs(cls: string): string | undefined;
}

export interface BatchesOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly clock: Clock;
  readonly fragment: Fragment;
}

/** Answers kept for clients that ask for the same at the same time. */
const sharedMax = 8;

export const batchesOf = ({ catalog, store, clock, fragment }: BatchesOptions): Batches => {
  const told = catalog.classes.filter(({ events }) => events !== false);
  const names = new Map(told.map(({ name }) => [name, name.toLowerCase()]));
  const forgotten = told.filter(({ persist }) => persist === false).map(({ name }) => name.toLowerCase());
  const shared = new Map<string, Batch>();

  /** Deletions of rows that are never on disk are known as far back as the feed goes, and no further. */
  const missesDeletions = ({ all, classes, objects }: Subscription, position: number): boolean =>
    position > 0 &&
    store.feed.since(position) === undefined &&
    forgotten.some((cls) => all || classes.has(cls) || [...objects].some((one) => one.startsWith(`${cls}/`)));

  const make = (subscription: Subscription, position: number): Batch => {
    const events = changesSince(store, position, (cls, ref) => {
      const name = names.get(cls);
      return name !== undefined && delivers(subscription, name, ref);
    });
    if (events === undefined || missesDeletions(subscription, position)) throw new Fault('EVENTS_LOST');
    return { events, generation: store.generation, list: once(eventsEncoding(events, fragment, clock)) };
  };

  return {
    read: (subscription, position) => {
      if (position > store.generation) throw new Fault('EVENTS_LOST');
      const key = `${position} ${subscription.key}`;
      const batch = shared.get(key) ?? make(subscription, position);
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

/** Encodes for each language once, whoever asks for it. */
const once = (encoding: Encoding): Encoding => {
  const made = new Map<Format, Parts | Promise<Parts>>();
  return (format) => {
    const known = made.get(format) ?? encoding(format);
    made.set(format, known);
    return known;
  };
};
