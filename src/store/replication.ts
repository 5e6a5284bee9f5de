import { weightOf } from '../std/weight.ts';
import {
  type Batch,
  BatchRefused,
  type CopyPiece,
  checkChanges,
  checkMark,
  type LogMark,
  type RowChange,
} from './batch.ts';
import { type Diverged, divergedFrom } from './diverged.ts';
import { isPrefix, newestEpoch, type Position } from './epochs.ts';
import { acknowledge, idle, schedule } from './pipeline.ts';
import type { AnyRecord, Schema } from './schema.ts';
import { type Pipeline, type Received, unpublished } from './state.ts';
import type { Table } from './table.ts';
import { logMark, wholeRow } from './tell.ts';
import { type Change, same, type Version } from './version.ts';

/** Rows of one piece of a whole copy, and characters of what is in them; a piece has one row at least. */
export const copyPieceRowsMax = 512;
export const copyPieceCharsMax = 4 * 1_048_576;

/** Rows of a catch-up; who misses more takes a whole copy, which comes in pieces. */
export const catchUpRowsMax = 16_384;
export const catchUpCharsMax = 4 * 1_048_576;

/** Rows that a host takes in one whole copy. */
export const copyRowsMax = 8_388_608;

export const positionOf = (pipeline: Pipeline): Position => ({
  epoch: newestEpoch(pipeline.epochs),
  generation: pipeline.epochs.length === 0 ? 0 : pipeline.written,
  ...(pipeline.cold && { cold: true }),
});

/** What a host at `position` misses, or undefined when only a whole copy can tell. */
export const catchUp = (pipeline: Pipeline, position: Position): Batch | undefined => {
  if (position.generation > pipeline.written || !isPrefix(pipeline.epochs, position)) return undefined;
  const missed = position.cold === true ? fromRows(pipeline, position) : fromFeed(pipeline, position);
  if (missed === undefined || missed.size > catchUpRowsMax) return undefined;
  let chars = 0;
  for (const { row } of missed.values()) chars += row === undefined ? 0 : weightOfRow(row.fields);
  if (chars > catchUpCharsMax) return undefined;
  const changes = [...missed.values()].sort((a, b) => a.generation - b.generation);
  return { ...logMark(pipeline), after: position.generation, changes, warms: position.cold === true };
};

type Missed = Map<string, RowChange>;

const deletion = (
  cls: string,
  ref: string,
  generation: number,
  created: number,
  durable: boolean,
): RowChange => ({
  cls,
  ref,
  generation,
  created,
  durable,
  disk: durable,
});

/** For a host that was away while it went on running. */
const fromFeed = (pipeline: Pipeline, { generation: after }: Position): Missed | undefined => {
  const items = pipeline.cold ? undefined : pipeline.feed.since(after);
  if (items === undefined) return undefined;
  const missed: Missed = new Map();
  for (const { entry, generation, deletedCreated, deletedDurable } of items) {
    const { cls, ref, committed } = entry;
    const key = `${cls}/${ref}`;
    if (committed !== undefined) missed.set(key, wholeRow(cls, ref, committed));
    else missed.set(key, deletion(cls, ref, generation, deletedCreated ?? generation, deletedDurable));
  }
  addUnpublished(pipeline, after, missed);
  return missed;
};

/** For a host that has what its disk had: it misses newer rows, and all that lives in memory only. */
const fromRows = (pipeline: Pipeline, { generation: after }: Position): Missed | undefined => {
  if (after < pipeline.horizon) return undefined;
  const missed: Missed = new Map();
  for (const { cls, ref, generation, created } of pipeline.tombstones) {
    if (generation > after) missed.set(`${cls}/${ref}`, deletion(cls, ref, generation, created, true));
  }
  for (const { schema, entries } of pipeline.tables.values()) {
    for (const { cls, ref, committed } of entries.values()) {
      if (committed === undefined) continue;
      if (committed.modified <= after && !livesInMemory(schema, committed)) continue;
      missed.set(`${cls}/${ref}`, wholeRow(cls, ref, committed));
    }
  }
  // Also of what it had: part of that may have lived in memory only.
  addUnpublished(pipeline, 0, missed);
  return missed;
};

/** Also groups that are not acknowledged yet: followers must have them first, to acknowledge them. */
const addUnpublished = ({ unacknowledged }: Pipeline, position: number, missed: Missed): void => {
  for (const { changes } of unacknowledged.flat()) {
    for (const { entry, before, after, generation } of changes) {
      if (generation <= position) continue;
      const { cls, ref } = entry;
      const durable = before?.durable === true;
      const gone = (): RowChange => deletion(cls, ref, generation, before?.created ?? generation, durable);
      missed.set(`${cls}/${ref}`, after === undefined ? gone() : wholeRow(cls, ref, after));
    }
  }
};

const livesInMemory = ({ fieldNames, stored, defaults, relations }: Schema, version: Version): boolean =>
  version.stored !== version.modified ||
  fieldNames.some(
    (name) =>
      !stored.has(name) &&
      relations.get(name)?.computed !== true &&
      !same(version.record[name], defaults[name]),
  );

/** Everything as it is now. Rows may change while the pieces are taken: versions never do. */
export function* copyOf(pipeline: Pipeline): Generator<CopyPiece> {
  const mark = logMark(pipeline);
  const newer = unpublished(pipeline);
  const rows: [cls: string, ref: string, version: Version][] = [];
  for (const { entries } of pipeline.tables.values()) {
    for (const entry of entries.values()) {
      const version = newer.has(entry) ? newer.get(entry) : entry.committed;
      if (version !== undefined) rows.push([entry.cls, entry.ref, version]);
    }
  }
  for (let index = 0, from = 0; ; index++) {
    const until = pieceEnd(rows, from);
    const last = until >= rows.length;
    yield { ...mark, index, last, rows: rows.slice(from, until).map((row) => wholeRow(...row)) };
    if (last) return;
    from = until;
  }
}

const pieceEnd = (rows: readonly (readonly [unknown, unknown, Version])[], from: number): number => {
  let chars = 0;
  for (let at = from; at < rows.length; at++) {
    chars += weightOfRow(rows[at]?.[2].record ?? {});
    if (at > from && (chars > copyPieceCharsMax || at - from >= copyPieceRowsMax)) return at;
  }
  return rows.length;
};

const weightOfRow = (record: AnyRecord): number =>
  Object.values(record).reduce((sum: number, value) => sum + weightOf(value), 0);

type OnStaged = ((changes: readonly Change[]) => void) | undefined;

/**
 * Takes a batch of the host that decides; resolves once it is durable here. Readers see it once it is
 * acknowledged.
 */
export const applyBatch = (pipeline: Pipeline, batch: Batch, onStaged: OnStaged): Promise<void> => {
  checkMark(batch);
  checkChanges(batch.changes);
  if (!pipeline.follows) throw new BatchRefused('This host decides itself and takes no batch');
  const { staged, queue } = pipeline;
  const own = { epoch: newestEpoch(pipeline.stagedEpochs), generation: staged };
  if (
    batch.after !== staged ||
    batch.generation < staged ||
    queue.some(({ received }) => received === undefined)
  ) {
    throw new BatchRefused(`The batch goes on from generation ${batch.after}; this host is at ${staged}`);
  }
  if (!isPrefix(batch.epochs, own)) {
    throw new BatchRefused(
      `Epoch ${batch.epoch} does not go on from what this host has of epoch ${own.epoch}`,
    );
  }
  if (pipeline.cold && !batch.warms) {
    throw new BatchRefused('This host just started and must first get what lives in memory only');
  }
  checkKnown(pipeline.tables, batch.changes);
  const changes = batch.changes.flatMap((one) => takeChange(pipeline.tables, one) ?? []);
  return stageReceived(pipeline, changes, batch, { afresh: batch.warms ? 'memory' : undefined }, onStaged);
};

/** Throws before anything is taken when a row changes that is not here. */
const checkKnown = (tables: ReadonlyMap<string, Table>, changes: readonly RowChange[]): void => {
  const made = new Set<string>();
  for (const { cls, ref, row } of changes) {
    if (row === undefined) continue;
    const owner = tables.get(cls);
    if (row.whole) made.add(`${cls}/${ref}`);
    else if (owner !== undefined && owner.latest(ref) === undefined && !made.has(`${cls}/${ref}`)) {
      throw new BatchRefused(`${cls}/${ref} changes and is not known here`);
    }
  }
};

/** A class that this version does not know is left out. */
const takeChange = (tables: ReadonlyMap<string, Table>, one: RowChange): Change | undefined => {
  const owner = tables.get(one.cls);
  if (owner === undefined) return undefined;
  const { generation, disk, row } = one;
  const entry = owner.entry(one.ref);
  const before = entry.latest;
  const after = row && versionOf(owner.schema, one, row, before);
  owner.stage(entry, after);
  owner.newest = Math.max(owner.newest, generation);
  // A row that came and went while this host was away: its deletion is known all the same.
  const gone = { created: one.created, modified: generation, durable: one.durable, stored: 0 };
  const unknown = after === undefined ? { record: owner.schema.defaults, ...gone } : undefined;
  const changed = row === undefined || row.whole ? undefined : new Set(Object.keys(row.fields));
  return { entry, before: before ?? unknown, after, generation, changed, disk };
};

const versionOf = (
  { defaults }: Schema,
  { created, generation, durable }: RowChange,
  { whole, stored, fields }: NonNullable<RowChange['row']>,
  before: Version | undefined,
): Version => {
  const from: AnyRecord = whole ? defaults : (before?.record ?? defaults);
  return { record: { ...from, ...fields }, created, modified: generation, durable, stored };
};

const stageReceived = (
  pipeline: Pipeline,
  changes: readonly Change[],
  { epochs, horizon, generationMax, generation, acknowledged }: LogMark,
  how: Pick<Received, 'afresh' | 'replaced'>,
  onStaged: OnStaged,
): Promise<void> => {
  pipeline.staged = generation;
  pipeline.stagedEpochs = epochs;
  const { cold } = pipeline;
  pipeline.cold = false;
  const received = { epochs, horizon, generationMax, cold, ...how };
  const durable = how.afresh === 'rows' || changes.some(({ disk }) => disk);
  const applied = new Promise<void>((done, failed) => {
    pipeline.queue.push({ generation, changes, durable, received, done, failed });
  });
  acknowledge(pipeline, acknowledged);
  schedule(pipeline);
  onStaged?.(changes);
  return applied;
};

/** All pieces of a copy, checked: rows by class and reference. */
const collect = async (
  pieces: Iterable<CopyPiece> | AsyncIterable<CopyPiece>,
): Promise<{
  readonly mark: LogMark;
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, RowChange>>;
}> => {
  const rows = new Map<string, Map<string, RowChange>>();
  let mark: LogMark | undefined;
  let next = 0;
  let count = 0;
  for await (const piece of pieces) {
    checkMark(piece);
    checkChanges(piece.rows);
    mark ??= piece;
    if (piece.index !== next || piece.generation !== mark.generation || piece.epoch !== mark.epoch) {
      throw new BatchRefused(`Piece ${next} of the copy is missing`);
    }
    next += 1;
    count += piece.rows.length;
    if (count > copyRowsMax) throw new BatchRefused(`The copy has more than ${copyRowsMax} rows`);
    for (const row of piece.rows) {
      if (row.row === undefined) throw new BatchRefused(`The copy has a deleted row, ${row.cls}/${row.ref}`);
      const ofClass = rows.get(row.cls) ?? new Map<string, RowChange>();
      rows.set(row.cls, ofClass.set(row.ref, row));
    }
    if (piece.last) return { mark, rows };
  }
  throw new BatchRefused('The copy ended before its last piece');
};

/** Keeps what this host has and the pool lacks, before it is replaced. */
export type SetAside = (diverged: Diverged) => Promise<void>;

/** Makes this host's rows those of the copy, as one write: a crash leaves what was, or what is to be. */
export const replaceAll = async (
  pipeline: Pipeline,
  pieces: Iterable<CopyPiece> | AsyncIterable<CopyPiece>,
  { onStaged, setAside }: { readonly onStaged: OnStaged; readonly setAside?: SetAside | undefined },
): Promise<void> => {
  const { mark, rows } = await collect(pieces);
  await idle(pipeline);
  if (!pipeline.follows) throw new BatchRefused('This host decides itself and takes no copy');
  if (mark.epoch < newestEpoch(pipeline.epochs)) {
    throw new BatchRefused(`The copy is of epoch ${mark.epoch}; this host knows a later one`);
  }
  const diverged = divergedFrom(pipeline, mark.epochs);
  if (diverged !== undefined) {
    await setAside?.(diverged);
    if (!pipeline.follows) throw new BatchRefused('This host has begun to decide, and takes no copy');
  }
  const changes: Change[] = [];
  for (const owner of pipeline.tables.values()) {
    replaceTable(owner, rows.get(owner.schema.cls.name) ?? new Map(), mark.generation, changes);
  }
  const replaced = pipeline.unacknowledged.splice(0);
  // A host that joins may have counted further, in a log that is no more.
  pipeline.acknowledged = 0;
  // Whoever heard of this host's own changes must read everything again.
  const how = { afresh: 'rows', replaced } as const;
  await stageReceived(pipeline, changes, { ...mark, horizon: mark.generation }, how, onStaged);
};

const nothing = { whole: true, stored: 0, fields: {} };

const replaceTable = (
  owner: Table,
  rows: ReadonlyMap<string, RowChange>,
  generation: number,
  changes: Change[],
): void => {
  for (const entry of [...owner.entries.values()]) {
    const before = entry.latest ?? entry.committed;
    if (rows.has(entry.ref) || before === undefined) continue;
    owner.stage(entry, undefined);
    changes.push({ entry, before, after: undefined, generation, changed: undefined, disk: before.durable });
  }
  for (const [ref, row] of rows) {
    const before = owner.latest(ref);
    const after = versionOf(owner.schema, row, row.row ?? nothing, before);
    const entry = owner.entry(ref);
    // Rows whose commit will never be published are shown to readers by the copy.
    if (before !== undefined && before === entry.committed && isSame(before, after)) continue;
    owner.stage(entry, after);
    const disk = after.durable || before?.durable === true;
    changes.push({ entry, before, after, generation, changed: undefined, disk });
  }
  owner.newest = generation;
};

const isSame = (a: Version, b: Version): boolean =>
  a.created === b.created &&
  a.modified === b.modified &&
  a.durable === b.durable &&
  a.stored === b.stored &&
  Object.keys(b.record).every((name) => same(a.record[name], b.record[name]));
