import type { AnyClass } from '../model/class.ts';
import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { DiskFull, type Durable, type StoredRow, type Tombstone, type WriteGroup } from './durable.ts';
import { type Feed, feed } from './feed.ts';
import { type Schema, schemasOf } from './schema.ts';
import { type Table, table } from './table.ts';
import { type Draft, drafting } from './transaction.ts';
import { committedView, latestView, txView } from './typed.ts';
import type { Change, Version } from './version.ts';
import type { Tx, View } from './view.ts';

/** The pool's database on this host. The whole of it is in memory; what must survive is on disk before it is seen. */
export interface Store {
  readonly schemas: ReadonlyMap<string, Schema>;
  readonly tables: ReadonlyMap<string, Table>;
  /** What clients see: commits that are durable. */
  readonly committed: View;
  /** What the next decision builds on: every commit so far, also those on their way to disk. */
  readonly latest: View;
  /** Generation of the newest commit that readers see. */
  readonly generation: number;
  /** Deletions before this generation are no longer known. */
  readonly horizon: number;
  readonly feed: Feed;
  readonly tombstones: readonly Tombstone[];
  /**
   * Makes a commit of what `make` does and resolves, with what it answered, once the commit is durable
   * and visible. What `make` throws is thrown at once and nothing is changed.
   */
  commit<T>(make: (tx: Tx) => T): Promise<T>;
  /** Called after each group of commits has become visible, with its changes in order. */
  watch(listener: (changes: readonly Change[]) => void): () => void;
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly classes: readonly AnyClass[];
  readonly durable: Durable;
  readonly log: Log;
  /** Adds to a commit what follows from it, such as `allowed_operations`. Runs once, before it is staged. */
  readonly derive?: (tx: Tx, drafts: readonly Draft[]) => void;
  /** Told of rows that a staged commit changed, before it is durable. */
  readonly onStaged?: (changes: readonly Change[]) => void;
  readonly tombstonesMax?: number;
}

interface Staged {
  readonly generation: number;
  readonly changes: readonly Change[];
  readonly durable: boolean;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export const tombstonesMax = 16_384;
/** Generations are reserved on disk in blocks, so that volatile commits need no write of their own. */
const generationsReserved = 65_536;

export const openStore = (options: StoreOptions): Store => {
  const schemas = schemasOf(options.classes);
  const tables = new Map([...schemas].map(([name, schema]) => [name, table(schema)]));
  const loaded = options.durable.load();
  fill(tables, loaded.rows);
  const listeners = new Set<(changes: readonly Change[]) => void>();
  const changesFeed = feed(loaded.generation);
  const keep = options.tombstonesMax ?? tombstonesMax;
  let tombstones: Tombstone[] = [...loaded.tombstones];
  let horizon = loaded.horizon;
  let generation = loaded.generation;
  let staged = loaded.generation;
  let reserved = loaded.generation;
  let queue: Staged[] = [];
  let flushing: Promise<void> | undefined;
  let closed = false;

  const publish = (group: readonly Staged[]): void => {
    const seen: Change[] = [];
    for (const commit of group) {
      generation = commit.generation;
      for (const change of commit.changes) {
        const { entry, before, after } = change;
        tables.get(entry.cls)?.publish(entry, after);
        changesFeed.add({
          generation,
          entry,
          deletedCreated: after === undefined ? (before?.created ?? generation) : undefined,
        });
        seen.push(change);
      }
    }
    for (const commit of group) commit.done();
    for (const listener of listeners) listener(seen);
  };

  const writeGroup = (group: readonly Staged[]): WriteGroup => {
    const rows = new Map<string, { put?: StoredRow; cls: string; ref: string }>();
    const buried: Tombstone[] = [];
    for (const commit of group) {
      for (const { entry, before, after } of commit.changes) {
        const durable = (after ?? before)?.durable === true;
        if (after === undefined && before !== undefined && durable) {
          buried.push({
            generation: commit.generation,
            cls: entry.cls,
            ref: entry.ref,
            created: before.created,
          });
        }
        const schema = schemas.get(entry.cls);
        if (!commit.durable || !durable || schema === undefined) continue;
        rows.set(`${entry.cls}/${entry.ref}`, {
          cls: entry.cls,
          ref: entry.ref,
          ...(after === undefined ? {} : { put: storedRow(schema, entry.ref, after) }),
        });
      }
    }
    const over = tombstones.length + buried.length - keep;
    const dropped =
      over > 0 && buried.length > 0 ? [...tombstones, ...buried][over - 1]?.generation : undefined;
    return {
      puts: [...rows.values()].flatMap((row) => row.put ?? []),
      deletes: [...rows.values()].filter((row) => row.put === undefined),
      tombstones: buried,
      horizon: Math.max(horizon, dropped ?? 0),
      generationMax: Math.max(reserved, (group.at(-1)?.generation ?? 0) + generationsReserved),
    };
  };

  const fail = (group: readonly Staged[], error: unknown): void => {
    // What waits was decided upon rows that will never be, so it fails with the group.
    const lost = [...group, ...queue];
    queue = [];
    for (const commit of lost) {
      for (const { entry } of commit.changes) tables.get(entry.cls)?.revert(entry);
    }
    staged = generation;
    options.log.error(
      { error: String(error), commits: lost.length },
      'A group of commits could not be written',
    );
    const fault = writeFault(error);
    for (const commit of lost) commit.failed(fault);
  };

  const flush = async (): Promise<void> => {
    while (queue.length > 0) {
      const group = queue;
      queue = [];
      const last = group.at(-1)?.generation ?? 0;
      if (group.some((commit) => commit.durable) || last > reserved) {
        const write = writeGroup(group);
        try {
          await options.durable.write(write);
        } catch (error) {
          fail(group, error);
          continue;
        }
        reserved = write.generationMax;
        if (write.tombstones.length > 0) {
          horizon = write.horizon;
          tombstones = [...tombstones, ...write.tombstones].filter((one) => one.generation > horizon);
        }
      }
      publish(group);
    }
  };

  const schedule = (): void => {
    flushing ??= Promise.resolve()
      .then(flush)
      .finally(() => {
        flushing = undefined;
        if (queue.length > 0) schedule();
      });
  };

  const commit = <T>(make: (tx: Tx) => T): Promise<T> => {
    if (closed) throw new Fault('HOST_STILL_BOOTING', []);
    const draft = drafting(tables);
    const tx = txView(tables, draft);
    const value = make(tx);
    options.derive?.(tx, draft.drafts());
    const drafts = draft.drafts();
    if (drafts.length === 0)
      return flushing === undefined ? Promise.resolve(value) : flushing.then(() => value);
    const number = staged + 1;
    staged = number;
    const changes = drafts.map((one) => stage(tables, one, number));
    const durable = drafts.some((one) => needsDisk(schemas, one));
    options.onStaged?.(changes);
    return new Promise<T>((resolve, reject) => {
      queue.push({ generation: number, changes, durable, done: () => resolve(value), failed: reject });
      schedule();
    });
  };

  return {
    schemas,
    tables,
    committed: committedView(tables),
    latest: latestView(tables),
    get generation() {
      return generation;
    },
    get horizon() {
      return horizon;
    },
    feed: changesFeed,
    get tombstones() {
      return tombstones;
    },
    commit,
    watch: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      closed = true;
      while (flushing !== undefined) await flushing;
      // After a clean stop the next start goes on with the very next generation.
      await options.durable.write({
        puts: [],
        deletes: [],
        tombstones: [],
        horizon,
        generationMax: generation,
      });
      await options.durable.close();
    },
  };
};

const storedRow = (schema: Schema, ref: string, version: Version): StoredRow => ({
  cls: schema.cls.name,
  ref,
  created: version.created,
  modified: version.modified,
  fields: Object.fromEntries(schema.storedFields.map((field) => [field, version.record[field]])),
});

/** A row whose changed fields are all in memory only needs no disk. */
const needsDisk = (schemas: ReadonlyMap<string, Schema>, draft: Draft): boolean => {
  if (!draft.durable) return false;
  if (draft.record === undefined || draft.before === undefined) return true;
  const schema = schemas.get(draft.cls);
  return [...draft.changed].some((field) => schema?.stored.has(field) === true);
};

const stage = (tables: ReadonlyMap<string, Table>, draft: Draft, generation: number): Change => {
  const entry = (tables.get(draft.cls) as Table).entry(draft.ref);
  const after: Version | undefined =
    draft.record === undefined
      ? undefined
      : {
          record: draft.record,
          created: draft.before?.created ?? generation,
          modified: generation,
          durable: draft.durable,
        };
  entry.latest = after;
  return { entry, before: draft.before, after };
};

const fill = (tables: ReadonlyMap<string, Table>, rows: Iterable<StoredRow>): void => {
  const records: { table: Table; ref: string; record: Record<string, unknown> }[] = [];
  for (const row of rows) {
    const owner = tables.get(row.cls);
    if (owner === undefined) continue;
    const record = { ...owner.schema.defaults, ...row.fields };
    const version: Version = { record, created: row.created, modified: row.modified, durable: true };
    const entry = owner.entry(row.ref);
    entry.latest = version;
    owner.publish(entry, version);
    records.push({ table: owner, ref: row.ref, record });
  }
  relinkComputed(tables, records);
};

/** The ends that are not stored follow from the ends that are. */
const relinkComputed = (
  tables: ReadonlyMap<string, Table>,
  rows: readonly { readonly table: Table; readonly ref: string; readonly record: Record<string, unknown> }[],
): void => {
  const sets = new Map<unknown, string[]>();
  for (const { table: owner, ref, record } of rows) {
    for (const relation of owner.schema.relations.values()) {
      if (relation.computed || relation.many || !relation.otherMany) continue;
      const far = tables.get(relation.otherClass)?.latest(record[relation.field] as string)?.record;
      if (far === undefined) continue;
      const members = sets.get(far[relation.otherField]) ?? [];
      if (members.length === 0) {
        (far as Record<string, unknown>)[relation.otherField] = members;
        sets.set(members, members);
      }
      members.push(ref);
    }
  }
};

const writeFault = (error: unknown): Fault => {
  if (error instanceof DiskFull) {
    return new Fault('OUT_OF_SPACE', ['the data folder: free some space on its disk, then repeat the call']);
  }
  const text = error instanceof Error ? error.message : String(error);
  return new Fault('INTERNAL_ERROR', [`The change could not be written to disk: ${text}`]);
};
