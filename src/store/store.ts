import type { AnyClass } from '../model/class.ts';
import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import type { Durable, StoredRow, Tombstone } from './durable.ts';
import type { Feed } from './feed.ts';
import { drain, openPipeline, type Pipeline, stage } from './pipeline.ts';
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
   * and visible. `make` runs at once; what it throws rejects, and nothing is changed.
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

export const tombstonesMax = 16_384;

export const openStore = (options: StoreOptions): Store => {
  const schemas = schemasOf(options.classes);
  const tables = new Map([...schemas].map(([name, schema]) => [name, table(schema)]));
  const loaded = options.durable.load();
  fill(tables, loaded.rows);
  const { durable, log } = options;
  const pipeline = openPipeline(
    { tables, durable, log, tombstonesMax: options.tombstonesMax ?? tombstonesMax },
    loaded,
  );
  let closed = false;
  return {
    schemas,
    tables,
    committed: committedView(tables),
    latest: latestView(tables),
    get generation() {
      return pipeline.generation;
    },
    get horizon() {
      return pipeline.horizon;
    },
    get tombstones() {
      return pipeline.tombstones;
    },
    feed: pipeline.feed,
    commit: (make) => {
      if (closed) throw new Fault('HOST_STILL_BOOTING', []);
      return commit(pipeline, options, make);
    },
    watch: (listener) => {
      pipeline.listeners.add(listener);
      return () => pipeline.listeners.delete(listener);
    },
    close: async () => {
      closed = true;
      await drain(pipeline);
      await durable.close();
    },
  };
};

const commit = async <T>(pipeline: Pipeline, options: StoreOptions, make: (tx: Tx) => T): Promise<T> => {
  const draft = drafting(pipeline.tables);
  const tx = txView(pipeline.tables, draft);
  const value = make(tx);
  options.derive?.(tx, draft.drafts());
  const drafts = draft.drafts();
  if (drafts.length === 0) {
    // What it read may still be on its way to disk; an answer must not be ahead of it.
    await pipeline.flushing;
    return value;
  }
  const { changes, durable } = stage(pipeline, drafts);
  options.onStaged?.(changes);
  await durable;
  return value;
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
