import type { LogMark, RowChange } from './batch.ts';
import { newestEpoch } from './epochs.ts';
import type { Pipeline, Staged } from './state.ts';
import type { Change, Version } from './version.ts';

/** Where this host's log stands. */
export const logMark = (pipeline: Pipeline): LogMark => ({
  epoch: newestEpoch(pipeline.epochs),
  epochs: pipeline.epochs,
  generation: pipeline.written,
  acknowledged: pipeline.generation,
  horizon: pipeline.horizon,
  generationMax: Math.max(pipeline.reserved, pipeline.written),
});

/** Where the log stands once a group is in it that ends with this generation. */
export const groupMark = (pipeline: Pipeline, generation: number): LogMark => ({
  ...logMark(pipeline),
  epoch: newestEpoch(pipeline.stagedEpochs),
  epochs: pipeline.stagedEpochs,
  generation,
});

/** What a group changes, commit by commit. */
export const groupChanges = (group: readonly Staged[]): readonly RowChange[] =>
  group.flatMap(({ changes }) => changes.map(rowChange));

const rowChange = ({ entry, before, after, generation, changed, disk }: Change): RowChange => {
  const { cls, ref } = entry;
  const known = (after ?? before) as Version;
  const plain = { cls, ref, generation, created: known.created, durable: known.durable, disk };
  if (after === undefined) return plain;
  const whole = before === undefined || changed === undefined;
  const { record, stored } = after;
  const fields = whole ? record : Object.fromEntries([...changed].map((name) => [name, record[name]]));
  return { ...plain, row: { whole, stored, fields } };
};

/** A row as it is, whatever the other side has of it. */
export const wholeRow = (cls: string, ref: string, version: Version): RowChange => ({
  cls,
  ref,
  generation: version.modified,
  created: version.created,
  durable: version.durable,
  disk: version.durable,
  row: { whole: true, stored: version.stored, fields: version.record },
});

/** Each row that a group changed as it is after it, once. */
export const wholeRows = (group: readonly Staged[]): readonly RowChange[] => {
  const rows = new Map<string, RowChange>();
  for (const { entry, before, after, generation, ...rest } of group.flatMap(({ changes }) => changes)) {
    const { cls, ref } = entry;
    const change = { entry, before, after, generation, ...rest };
    rows.set(`${cls}/${ref}`, after === undefined ? rowChange(change) : wholeRow(cls, ref, after));
  }
  return [...rows.values()];
};
