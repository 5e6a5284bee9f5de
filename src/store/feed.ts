import type { Entry } from './version.ts';

/** A row that changed and the generation in which it did. */
export interface FeedItem {
  readonly generation: number;
  readonly entry: Entry;
  /** Of a deletion: the generation in which the row had been made. */
  readonly deletedCreated: number | undefined;
  /** Of a deletion: the row was on disk. */
  readonly deletedDurable: boolean;
}

/** The latest changes in order, so that a watcher pays for what is new and not for what there is. */
export interface Feed {
  add(item: FeedItem): void;
  /**
   * Everything after `generation`, oldest first, or undefined when that is further back than the feed goes.
   */
  since(generation: number): readonly FeedItem[] | undefined;
  /** Forgets all: what comes next does not go on from what was there. */
  restart(generation: number): void;
}

export const feedItemsMax = 65_536;

/** Keeps at least the newest `itemsMax` items; `start` is the generation that it begins after. */
export const feed = (start: number, itemsMax = feedItemsMax): Feed => {
  let items: FeedItem[] = [];
  let begins = start;
  return {
    add: (item) => {
      items.push(item);
      if (items.length < itemsMax * 2) return;
      begins = items[itemsMax - 1]?.generation ?? begins;
      items = items.slice(itemsMax);
    },
    since: (generation) => {
      if (generation < begins) return undefined;
      let low = 0;
      let high = items.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((items[middle]?.generation ?? 0) <= generation) low = middle + 1;
        else high = middle;
      }
      return items.slice(low);
    },
    restart: (generation) => {
      items = [];
      begins = generation;
    },
  };
};
