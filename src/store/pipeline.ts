import { commitBytesMax } from '../model/sizes.ts';
import { Fault } from '../std/fault.ts';
import { GroupTooLarge, LogFenced } from './appending.ts';
import type { LogMark } from './batch.ts';
import { DiskFull, type WriteGroup } from './durable.ts';
import { type Epochs, newestEpoch } from './epochs.ts';
import { writeGroup } from './group.ts';
import { groupsOwedMax, pay } from './owed.ts';
import { type Pipeline, type Staged, unpublished } from './state.ts';
import type { Table } from './table.ts';
import { groupChanges, groupMark, wholeRows } from './tell.ts';
import type { Draft } from './transaction.ts';
import { leaveOpen, notInLog, tellDecided } from './undecided.ts';
import type { Change, Version } from './version.ts';

/** Makes the drafts the latest rows; they are durable and visible when `durable` resolves. */
export const stage = (
  pipeline: Pipeline,
  drafts: readonly Draft[],
  bytes: number,
): { readonly generation: number; readonly changes: readonly Change[]; readonly durable: Promise<void> } => {
  pipeline.staged += 1;
  const generation = pipeline.staged;
  const needed = drafts.some((draft) => needsDisk(pipeline.tables, draft));
  const changes = drafts.map((draft) => stageDraft(pipeline.tables, draft, generation, needed));
  const durable = new Promise<void>((done, failed) => {
    pipeline.queue.push({ generation, changes, bytes, durable: needed, done, failed });
  });
  schedule(pipeline);
  return { generation, changes, durable };
};

/** Resolves when nothing is on its way into the log any more. */
export const flushed = async (pipeline: Pipeline): Promise<void> => {
  while (pipeline.flushing !== undefined) await pipeline.flushing;
};

/** Resolves when nothing is on its way to disk any more either, or the disk has refused it. */
export const idle = async (pipeline: Pipeline): Promise<void> => {
  await flushed(pipeline);
  await pay(pipeline).catch(() => {});
  if (pipeline.flushing !== undefined) await idle(pipeline);
};

/** Resolves when nothing is on its way any more, and leaves the disk as a clean stop does. */
export const drain = async (pipeline: Pipeline): Promise<void> => {
  await idle(pipeline);
  // After a clean stop the next start goes on with the very next generation.
  const generationMax = pipeline.follows ? pipeline.reserved : pipeline.written;
  await writeMark(pipeline, { generationMax, epochs: pipeline.epochs });
};

/** Writes down where the log stands, without any row. */
export const writeMark = async (
  pipeline: Pipeline,
  mark: { readonly generationMax: number; readonly epochs: Epochs; readonly follows?: boolean },
): Promise<void> => {
  await pay(pipeline);
  const { durable, horizon, follows, written } = pipeline;
  const nothing = { puts: [], deletes: [], tombstones: [] };
  await durable.write([{ ...nothing, horizon, follows, generation: written, ...mark }]);
};

const stageDraft = (
  tables: ReadonlyMap<string, Table>,
  draft: Draft,
  generation: number,
  needed: boolean,
): Change => {
  const owner = tables.get(draft.cls) as Table;
  const entry = owner.entry(draft.ref);
  const disk = needed && draft.durable;
  const after: Version | undefined = draft.record && {
    record: draft.record,
    created: draft.before?.created ?? generation,
    modified: generation,
    durable: draft.durable,
    stored: disk ? generation : (draft.before?.stored ?? 0),
  };
  owner.stage(entry, after);
  owner.newest = generation;
  return { entry, before: draft.before, after, generation, changed: draft.changed, disk };
};

/** A row whose changed fields are all in memory only needs no disk. */
const needsDisk = (tables: ReadonlyMap<string, Table>, draft: Draft): boolean => {
  if (!draft.durable) return false;
  if (draft.record === undefined || draft.before === undefined) return true;
  const stored = tables.get(draft.cls)?.schema.stored;
  return [...draft.changed].some((field) => stored?.has(field) === true);
};

export const schedule = (pipeline: Pipeline): void => {
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
    const group = takeGroup(pipeline);
    const received = group.at(-1)?.received !== undefined;
    try {
      await (received ? write(pipeline, group) : appendParts(pipeline, group));
    } catch (error) {
      // Of what this host decided a part may be in the log; what another decided may be of an older
      // generation.
      const { written } = pipeline;
      fail(pipeline, received ? group : group.filter(({ generation }) => generation > written), error);
    }
  }
};

/** What the log does not take at once goes in two parts, as far as it is more than one commit. */
const appendParts = async (pipeline: Pipeline, group: readonly Staged[]): Promise<void> => {
  try {
    await append(pipeline, group);
  } catch (error) {
    if (!(error instanceof GroupTooLarge) || group.length === 1) throw error;
    const half = group.length >> 1;
    await appendParts(pipeline, group.slice(0, half));
    await appendParts(pipeline, group.slice(half));
  }
};

/** Adds a group that this host decided to the log; resolves once it is there. */
export const append = async (pipeline: Pipeline, group: readonly Staged[]): Promise<void> => {
  if (pipeline.owed.length >= groupsOwedMax) await pay(pipeline);
  const { tenure, written: after, stagedEpochs } = pipeline;
  const generation = group.at(-1)?.generation ?? after;
  const mark = (): LogMark => groupMark(pipeline, generation);
  const appended = pipeline.appending.append({
    epoch: newestEpoch(stagedEpochs),
    after,
    generation,
    mark,
    batch: () => ({ ...mark(), after, changes: groupChanges(group), warms: false }),
    whole: () => wholeRows(group),
    write: () => write(pipeline, group),
    keep: () => keep(pipeline, group),
  });
  appended.acknowledged.catch(() => {});
  await appended.written;
  appended.acknowledged.then(
    () => {
      if (pipeline.tenure === tenure) acknowledge(pipeline, generation);
    },
    (error: unknown) => {
      for (const commit of group) commit.failed(error);
    },
  );
};

/**
 * Commits that are written, and sent to others, as one: what waits, as far as it is not too much for one
 * message.
 */
const takeGroup = (pipeline: Pipeline): Staged[] => {
  const { queue } = pipeline;
  let count = 0;
  for (let bytes = 0; count < queue.length; count++) {
    bytes += queue[count]?.bytes ?? 0;
    if (count > 0 && bytes > commitBytesMax) break;
  }
  pipeline.queue = queue.slice(count);
  return queue.slice(0, count);
};

const write = async (pipeline: Pipeline, group: readonly Staged[]): Promise<void> => {
  if (pipeline.owed.length > 0) await pay(pipeline);
  const written = forDisk(pipeline, group);
  if (written !== undefined) await pipeline.durable.write([written]);
  take(pipeline, group, written);
};

const keep = (pipeline: Pipeline, group: readonly Staged[]): Promise<void> => {
  const written = forDisk(pipeline, group);
  if (written !== undefined) pipeline.owed.push(written);
  take(pipeline, group, written);
  return pay(pipeline);
};

/** Undefined: nothing of the group is for the disk. */
const forDisk = (pipeline: Pipeline, group: readonly Staged[]): WriteGroup | undefined => {
  const last = group.at(-1)?.generation ?? 0;
  const needed = group.some((commit) => commit.durable) || last > pipeline.reserved;
  return needed ? writeGroup(pipeline, group) : undefined;
};

/** All at once: whoever asks what there is must find the group either nowhere or everywhere. */
const take = (pipeline: Pipeline, group: readonly Staged[], written: WriteGroup | undefined): void => {
  if (written !== undefined) note(pipeline, written);
  pass(pipeline, group);
};

const note = (pipeline: Pipeline, { generationMax, afresh, tombstones, horizon }: WriteGroup): void => {
  pipeline.reserved = generationMax;
  if (afresh !== true && tombstones.length === 0) return;
  const kept = afresh === true ? [] : pipeline.tombstones;
  pipeline.horizon = horizon;
  pipeline.tombstones = [...kept, ...tombstones].filter((one) => one.generation > horizon);
};

/** What is written waits to be acknowledged, and is then seen by readers. */
const pass = (pipeline: Pipeline, group: readonly Staged[]): void => {
  const last = group.at(-1);
  pipeline.written = last?.generation ?? pipeline.written;
  pipeline.epochs = last?.received?.epochs ?? pipeline.stagedEpochs;
  pipeline.reserved = Math.max(pipeline.reserved, last?.received?.generationMax ?? 0);
  if (last?.received === undefined) pipeline.unacknowledged.push(group);
  else {
    for (const commit of group) {
      pipeline.unacknowledged.push([commit]);
      for (const one of commit.received?.replaced?.flat() ?? []) one.failed(notInLog);
      commit.done();
    }
  }
  publishAcknowledged(pipeline);
};

/** The pool has everything up to the generation for good. */
export const acknowledge = (pipeline: Pipeline, generation: number): void => {
  pipeline.acknowledged = Math.max(pipeline.acknowledged, generation);
  publishAcknowledged(pipeline);
};

/** Publishes what is acknowledged. */
const publishAcknowledged = (pipeline: Pipeline): void => {
  // A listener may bring the next acknowledgement; groups are published one after another all the same.
  if (pipeline.publishing) return;
  pipeline.publishing = true;
  try {
    for (;;) {
      const [group] = pipeline.unacknowledged;
      if (group === undefined || (group.at(-1)?.generation ?? 0) > pipeline.acknowledged) return;
      pipeline.unacknowledged.shift();
      publish(pipeline, group);
    }
  } finally {
    pipeline.publishing = false;
  }
};

const publish = (pipeline: Pipeline, group: readonly Staged[]): void => {
  const seen: Change[] = [];
  for (const { generation, changes, received } of group) {
    for (const change of changes) {
      const { entry, before, after } = change;
      pipeline.tables.get(entry.cls)?.publish(entry, after);
      const deletedCreated = after === undefined ? (before?.created ?? generation) : undefined;
      const deletedDurable = after === undefined && before?.durable === true;
      pipeline.feed.add({ generation: change.generation, entry, deletedCreated, deletedDurable });
      seen.push(change);
    }
    pipeline.generation = generation;
    if (received?.afresh !== undefined) pipeline.feed.restart(generation);
  }
  for (const commit of group) commit.done();
  tellDecided(pipeline);
  for (const listener of pipeline.listeners) listener(seen);
  wake(pipeline);
};

const wake = (pipeline: Pipeline): void => {
  for (const waiter of pipeline.waiters) {
    if (waiter.generation > pipeline.generation) continue;
    pipeline.waiters.delete(waiter);
    waiter.wake();
  }
};

/** What waits was decided upon rows that will never be, so it fails with the group. */
const fail = (pipeline: Pipeline, group: readonly Staged[], error: unknown): void => {
  const lost = [...group, ...pipeline.queue];
  const epoch = newestEpoch(pipeline.stagedEpochs);
  pipeline.queue = [];
  pipeline.staged = pipeline.written;
  pipeline.stagedEpochs = pipeline.epochs;
  pipeline.acknowledged = Math.min(pipeline.acknowledged, pipeline.staged);
  for (const { received } of lost) pipeline.unacknowledged.unshift(...(received?.replaced ?? []));
  // What lives in memory only was there before, or was not.
  const first = lost.find(({ received }) => received !== undefined)?.received;
  if (first !== undefined) pipeline.cold = first.cold;
  const written = unpublished(pipeline);
  for (const { changes } of lost) {
    for (const { entry } of changes) {
      const owner = pipeline.tables.get(entry.cls);
      owner?.revert(entry, written.has(entry) ? written.get(entry) : entry.committed);
      if (owner !== undefined) owner.newest = Math.min(owner.newest, pipeline.staged);
    }
  }
  pipeline.log.error(
    { error: String(error), commits: lost.length },
    'A group of commits could not be written',
  );
  // What waited behind the group was never sent.
  const isOpen = error instanceof LogFenced;
  if (isOpen) leaveOpen(pipeline, epoch, group, error);
  const fault = isOpen ? notInLog : writeFault(error);
  for (const commit of isOpen ? lost.slice(group.length) : lost) commit.failed(fault);
};

const writeFault = (error: unknown): Fault => {
  // The log says itself why it takes nothing.
  if (error instanceof Fault) return error;
  if (error instanceof DiskFull) {
    return new Fault('OUT_OF_SPACE', ['the data folder: free some space on its disk, then repeat the call']);
  }
  const text = error instanceof Error ? error.message : String(error);
  return new Fault('INTERNAL_ERROR', [`The change could not be written to disk: ${text}`]);
};
