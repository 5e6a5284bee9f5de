import type { Store } from './store.ts';
import type { Version } from './version.ts';

/** What became of one row since a generation. */
export interface RowEvent {
  readonly cls: string;
  readonly ref: string;
  readonly operation: 'add' | 'mod' | 'del';
  /** Generation of its newest change. */
  readonly generation: number;
  /** The row as it is now; absent of `del`. */
  readonly version: Version | undefined;
}

type Wants = (cls: string, ref: string) => boolean;

/**
 * Rows that differ from what they were at `generation`, each once: added ones, then changed ones, then
 * deleted ones. A row made and deleted since is left out, unless its class is one that `tellsAll`.
 * Undefined when deletions that far back are no longer known, so that the reader must start afresh.
 */
export const changesSince = (
  store: Store,
  generation: number,
  wants: Wants,
  tellsAll: (cls: string) => boolean = () => false,
): readonly RowEvent[] | undefined => {
  const items = store.feed.since(generation);
  const missed = (cls: string, created: number): boolean =>
    created <= generation || (generation > 0 && tellsAll(cls));
  const events = items === undefined ? scan(store, generation, wants, missed) : new Map<string, RowEvent>();
  if (events === undefined) return undefined;
  for (const { entry, generation: at, deletedCreated } of items ?? []) {
    if (!wants(entry.cls, entry.ref)) continue;
    const key = `${entry.cls}/${entry.ref}`;
    const version = entry.committed;
    if (version !== undefined) {
      const operation = version.created > generation ? 'add' : 'mod';
      events.set(key, { cls: entry.cls, ref: entry.ref, operation, generation: version.modified, version });
    } else if (deletedCreated !== undefined && missed(entry.cls, deletedCreated)) {
      events.set(key, { cls: entry.cls, ref: entry.ref, operation: 'del', generation: at, version });
    } else {
      events.delete(key);
    }
  }
  return ordered([...events.values()]);
};

const ranks = { add: 0, mod: 1, del: 2 } as const;

const ordered = (events: readonly RowEvent[]): readonly RowEvent[] =>
  events.toSorted((a, b) => ranks[a.operation] - ranks[b.operation] || a.generation - b.generation);

/** For a token older than the feed: every row is looked at, and deletions come from the tombstones. */
const scan = (
  store: Store,
  generation: number,
  wants: Wants,
  missed: (cls: string, created: number) => boolean,
): Map<string, RowEvent> | undefined => {
  // Whoever starts from nothing has no rows that could have been deleted.
  if (generation > 0 && generation < store.horizon) return undefined;
  const events = new Map<string, RowEvent>();
  for (const { schema, entries } of store.tables.values()) {
    if (!schema.events) continue;
    for (const { cls, ref, committed } of entries.values()) {
      if (committed === undefined || committed.modified <= generation || !wants(cls, ref)) continue;
      const operation = committed.created > generation ? 'add' : 'mod';
      events.set(`${cls}/${ref}`, {
        cls,
        ref,
        operation,
        generation: committed.modified,
        version: committed,
      });
    }
  }
  for (const { cls, ref, created, generation: at } of store.tombstones) {
    // A deletion that is on disk may still wait for other hosts, and is not seen before they have it.
    if (at <= generation || at > store.generation || !missed(cls, created) || !wants(cls, ref)) continue;
    events.set(`${cls}/${ref}`, { cls, ref, operation: 'del', generation: at, version: undefined });
  }
  return events;
};
