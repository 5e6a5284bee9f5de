import type { AnyClass } from '../model/class.ts';
import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { LogFenced } from './appending.ts';
import { type Committing, committingOf } from './committing.ts';
import type { Durable, StoredRow, Tombstone } from './durable.ts';
import type { Feed } from './feed.ts';
import { drain } from './pipeline.ts';
import { reached } from './reached.ts';
import { pointersOf, type Spare } from './references.ts';
import { type Replica, replicaOf } from './replica.ts';
import type { SetAside } from './replication.ts';
import { type AnyRecord, type Schema, schemasOf } from './schema.ts';
import { openPipeline, type Pipeline } from './state.ts';
import { type Table, table } from './table.ts';
import type { Draft } from './transaction.ts';
import { committedView, latestView } from './typed.ts';
import { endUndecided } from './undecided.ts';
import type { Change, Version } from './version.ts';
import type { Tx, View } from './view.ts';

/**
 * The pool's rows, as actors and the edge see them. All of them are in memory; what must survive is on disk,
 * and in the pool's log, before it is seen. Who leads is none of their business: see `Replica`.
 */
export interface Store extends Pick<Committing, 'commit' | 'decides'> {
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
  /** Called after each group of commits has become visible, with its changes in order. */
  watch(listener: (changes: readonly Change[]) => void): () => void;
  /**
   * Sets fields that live in memory only, before the first commit after a start and before anybody reads: as
   * if the first commit had set them. Fields that are on disk are left as they are. Throws later.
   */
  amend(cls: string, ref: string, fields: AnyRecord): void;
  /** Resolves once readers here see the generation. */
  reached(generation: number, signal?: AbortSignal): Promise<void>;
}

export interface StoreOptions {
  readonly classes: readonly AnyClass[];
  readonly durable: Durable;
  readonly log: Log;
  /** Adds to a commit what follows from it, such as `allowed_operations`. Runs once, before it is staged. */
  readonly derive?: (tx: Tx, drafts: readonly Draft[]) => void;
  /** Absent: nothing is spared that loses what it needs. */
  readonly spare?: Spare;
  /** Told of rows that a staged commit changed, before it is durable. */
  readonly onStaged?: (changes: readonly Change[]) => void;
  /**
   * Keeps what this host had and the pool lacks, before a copy takes its place. Rejecting keeps what is
   * there.
   */
  readonly setAside?: SetAside;
  readonly tombstonesMax?: number;
}

export const tombstonesMax = 16_384;

export interface OpenedStore {
  readonly store: Store;
  readonly replica: Replica;
}

export const openStore = (options: StoreOptions): OpenedStore => {
  const schemas = schemasOf(options.classes);
  const tables = new Map([...schemas].map(([name, schema]) => [name, table(schema)]));
  const loaded = options.durable.load();
  fill(tables, loaded.rows);
  // Deletions may have been newer than any row that is left.
  for (const one of tables.values()) one.newest = loaded.generation;
  const { durable, log } = options;
  const pipeline = openPipeline(
    { tables, durable, log, tombstonesMax: options.tombstonesMax ?? tombstonesMax },
    loaded,
  );
  const { derive, onStaged, setAside, spare = () => false } = options;
  const clearing = { tables, pointers: pointersOf(schemas), spare };
  const committing = committingOf(pipeline, { schemas, clearing, derive, onStaged });
  let closed = false;
  const open = (): void => {
    if (closed) throw new Fault('HOST_STILL_BOOTING', []);
  };
  const close = async (): Promise<void> => {
    closed = true;
    committing.end();
    await drain(pipeline);
    endUndecided(pipeline, new LogFenced('This host stops'));
    await durable.close();
  };
  const store: Store = {
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
      open();
      return committing.commit(make);
    },
    get decides() {
      return committing.decides;
    },
    watch: (listener) => {
      pipeline.listeners.add(listener);
      return () => pipeline.listeners.delete(listener);
    },
    amend: (cls, ref, fields) => amend(pipeline, tables.get(cls) as Table, ref, fields),
    reached: (generation, signal) => reached(pipeline, generation, signal),
  };
  return { store, replica: replicaOf(pipeline, { committing, onStaged, setAside, open, close }) };
};

const amend = (pipeline: Pipeline, owner: Table, ref: string, fields: AnyRecord): void => {
  const { schema } = owner;
  if (!pipeline.cold || pipeline.staged !== pipeline.generation) {
    throw new Error(`${schema.cls.name}/${ref} cannot be amended any more: commits have been made`);
  }
  const version = owner.latest(ref);
  if (version === undefined) return;
  // Nobody has seen this version yet, so it is changed itself.
  const fresh = version as { record: Record<string, unknown>; modified: number };
  for (const [field, value] of Object.entries(fields)) {
    if (!schema.stored.has(field)) fresh.record[field] = value;
  }
  fresh.modified = pipeline.generation + 1;
  owner.newest = fresh.modified;
};

const fill = (tables: ReadonlyMap<string, Table>, rows: Iterable<StoredRow>): void => {
  for (const { cls, ref, created, modified, fields } of rows) {
    const owner = tables.get(cls);
    if (owner === undefined) continue;
    const record = { ...owner.schema.defaults, ...fields };
    const version: Version = { record, created, modified, durable: true, stored: modified };
    const entry = owner.entry(ref);
    owner.stage(entry, version);
    owner.publish(entry, version);
  }
  for (const owner of tables.values()) relinkComputed(tables, owner);
};

/**
 * The ends that are not stored follow from the ends that are. Both are given the one text of a reference
 * that its row has: a text is found in a map much sooner when it is the very key, and a hundred thousand
 * rows are looked up many times before a host is ready.
 */
const relinkComputed = (tables: ReadonlyMap<string, Table>, { schema, entries }: Table): void => {
  const ends = [...schema.relations.values()].flatMap(
    ({ field, many, otherClass, otherField, otherMany }) => {
      const far = tables.get(otherClass);
      const computed = far?.schema.relations.get(otherField)?.computed === true;
      return far !== undefined && computed && !many && otherMany ? [{ field, far, otherField }] : [];
    },
  );
  if (ends.length === 0) return;
  for (const { ref, latest } of entries.values()) {
    const record = latest?.record as Record<string, unknown>;
    for (const { field, far, otherField } of ends) {
      const row = far.entries.get(record[field] as string);
      if (row?.latest === undefined) continue;
      record[field] = row.ref;
      const other = row.latest.record as Record<string, unknown>;
      const members = other[otherField] as string[];
      if (members === far.schema.defaults[otherField]) other[otherField] = [ref];
      else members.push(ref);
    }
  }
};
