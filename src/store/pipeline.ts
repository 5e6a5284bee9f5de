import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import {
  DiskFull,
  type Durable,
  type Loaded,
  type StoredRow,
  type Tombstone,
  type WriteGroup,
} from './durable.ts';
import { type Feed, feed } from './feed.ts';
import type { Schema } from './schema.ts';
import type { Table } from './table.ts';
import type { Draft } from './transaction.ts';
import type { Change, Version } from './version.ts';

/**
 * The way of commits to disk: everything that waits is written as one group, in order, and becomes
 * visible only when it is there. One group is under way at a time.
 */
export interface Pipeline {
  readonly tables: ReadonlyMap<string, Table>;
  readonly durable: Durable;
  readonly feed: Feed;
  readonly log: Log;
  readonly tombstonesMax: number;
  /** Told of each group once it is visible. */
  readonly listeners: Set<(changes: readonly Change[]) => void>;
  /** Newest commit that readers see. */
  generation: number;
  /** Newest commit that was decided. */
  staged: number;
  /** Generations up to this one are reserved on disk. */
  reserved: number;
  horizon: number;
  tombstones: readonly Tombstone[];
  queue: Staged[];
  flushing: Promise<void> | undefined;
}

interface Staged {
  readonly generation: number;
  readonly changes: readonly Change[];
  readonly durable: boolean;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Generations are reserved on disk in blocks, so that volatile commits need no write of their own. */
const generationsReserved = 65_536;

export const openPipeline = (
  given: Pick<Pipeline, 'tables' | 'durable' | 'log' | 'tombstonesMax'>,
  loaded: Loaded,
): Pipeline => ({
  ...given,
  feed: feed(loaded.generation),
  listeners: new Set(),
  generation: loaded.generation,
  staged: loaded.generation,
  reserved: loaded.generation,
  horizon: loaded.horizon,
  tombstones: loaded.tombstones,
  queue: [],
  flushing: undefined,
});

/** Makes the drafts the latest rows; they are durable and visible when `durable` resolves. */
export const stage = (
  pipeline: Pipeline,
  drafts: readonly Draft[],
): { readonly changes: readonly Change[]; readonly durable: Promise<void> } => {
  pipeline.staged += 1;
  const generation = pipeline.staged;
  const changes = drafts.map((draft) => stageDraft(pipeline.tables, draft, generation));
  const durable = new Promise<void>((done, failed) => {
    const needed = drafts.some((draft) => needsDisk(pipeline.tables, draft));
    pipeline.queue.push({ generation, changes, durable: needed, done, failed });
  });
  schedule(pipeline);
  return { changes, durable };
};

/** Resolves when nothing is on its way any more, and leaves the disk as a clean stop does. */
export const drain = async (pipeline: Pipeline): Promise<void> => {
  while (pipeline.flushing !== undefined) await pipeline.flushing;
  const { durable, horizon, generation } = pipeline;
  // After a clean stop the next start goes on with the very next generation.
  await durable.write({ puts: [], deletes: [], tombstones: [], horizon, generationMax: generation });
};

const stageDraft = (tables: ReadonlyMap<string, Table>, draft: Draft, generation: number): Change => {
  const entry = (tables.get(draft.cls) as Table).entry(draft.ref);
  const after: Version | undefined = draft.record && {
    record: draft.record,
    created: draft.before?.created ?? generation,
    modified: generation,
    durable: draft.durable,
  };
  entry.latest = after;
  return { entry, before: draft.before, after };
};

/** A row whose changed fields are all in memory only needs no disk. */
const needsDisk = (tables: ReadonlyMap<string, Table>, draft: Draft): boolean => {
  if (!draft.durable) return false;
  if (draft.record === undefined || draft.before === undefined) return true;
  const stored = tables.get(draft.cls)?.schema.stored;
  return [...draft.changed].some((field) => stored?.has(field) === true);
};

const schedule = (pipeline: Pipeline): void => {
  // Whatever else is committed in this turn of the event loop joins the same group.
  pipeline.flushing ??= Promise.resolve()
    .then(() => flush(pipeline))
    .finally(() => {
      pipeline.flushing = undefined;
      if (pipeline.queue.length > 0) schedule(pipeline);
    });
};

const flush = async (pipeline: Pipeline): Promise<void> => {
  while (pipeline.queue.length > 0) {
    const group = pipeline.queue;
    pipeline.queue = [];
    try {
      await write(pipeline, group);
    } catch (error) {
      fail(pipeline, group, error);
      continue;
    }
    publish(pipeline, group);
  }
};

const write = async (pipeline: Pipeline, group: readonly Staged[]): Promise<void> => {
  const last = group.at(-1)?.generation ?? 0;
  if (!group.some((commit) => commit.durable) && last <= pipeline.reserved) return;
  const written = writeGroup(pipeline, group);
  await pipeline.durable.write(written);
  pipeline.reserved = written.generationMax;
  if (written.tombstones.length === 0) return;
  pipeline.horizon = written.horizon;
  pipeline.tombstones = [...pipeline.tombstones, ...written.tombstones].filter(
    (one) => one.generation > written.horizon,
  );
};

const writeGroup = (pipeline: Pipeline, group: readonly Staged[]): WriteGroup => {
  const rows = new Map<string, { put?: StoredRow; cls: string; ref: string }>();
  const buried: Tombstone[] = [];
  for (const commit of group) {
    for (const { entry, before, after } of commit.changes) {
      if ((after ?? before)?.durable !== true) continue;
      const { cls, ref } = entry;
      if (after === undefined && before !== undefined) {
        buried.push({ generation: commit.generation, cls, ref, created: before.created });
      }
      const schema = pipeline.tables.get(cls)?.schema;
      if (!commit.durable || schema === undefined) continue;
      rows.set(`${cls}/${ref}`, { cls, ref, ...(after && { put: storedRow(schema, ref, after) }) });
    }
  }
  const over = pipeline.tombstones.length + buried.length - pipeline.tombstonesMax;
  const dropped =
    over > 0 && buried.length > 0 ? [...pipeline.tombstones, ...buried][over - 1]?.generation : undefined;
  return {
    puts: [...rows.values()].flatMap((row) => row.put ?? []),
    deletes: [...rows.values()].filter((row) => row.put === undefined),
    tombstones: buried,
    horizon: Math.max(pipeline.horizon, dropped ?? 0),
    generationMax: Math.max(pipeline.reserved, (group.at(-1)?.generation ?? 0) + generationsReserved),
  };
};

const storedRow = (schema: Schema, ref: string, version: Version): StoredRow => ({
  cls: schema.cls.name,
  ref,
  created: version.created,
  modified: version.modified,
  fields: Object.fromEntries(schema.storedFields.map((field) => [field, version.record[field]])),
});

const publish = (pipeline: Pipeline, group: readonly Staged[]): void => {
  const seen: Change[] = [];
  for (const { generation, changes } of group) {
    pipeline.generation = generation;
    for (const change of changes) {
      const { entry, before, after } = change;
      pipeline.tables.get(entry.cls)?.publish(entry, after);
      const deletedCreated = after === undefined ? (before?.created ?? generation) : undefined;
      pipeline.feed.add({ generation, entry, deletedCreated });
      seen.push(change);
    }
  }
  for (const commit of group) commit.done();
  for (const listener of pipeline.listeners) listener(seen);
};

/** What waits was decided upon rows that will never be, so it fails with the group. */
const fail = (pipeline: Pipeline, group: readonly Staged[], error: unknown): void => {
  const lost = [...group, ...pipeline.queue];
  pipeline.queue = [];
  for (const { changes } of lost) {
    for (const { entry } of changes) pipeline.tables.get(entry.cls)?.revert(entry);
  }
  pipeline.staged = pipeline.generation;
  pipeline.log.error(
    { error: String(error), commits: lost.length },
    'A group of commits could not be written',
  );
  for (const commit of lost) commit.failed(writeFault(error));
};

const writeFault = (error: unknown): Fault => {
  if (error instanceof DiskFull) {
    return new Fault('OUT_OF_SPACE', ['the data folder: free some space on its disk, then repeat the call']);
  }
  const text = error instanceof Error ? error.message : String(error);
  return new Fault('INTERNAL_ERROR', [`The change could not be written to disk: ${text}`]);
};
