import type { StoredRow, Tombstone, WriteGroup } from './durable.ts';
import type { Schema } from './schema.ts';
import type { Pipeline, Staged } from './state.ts';
import type { Version } from './version.ts';

/** Generations are reserved on disk in blocks, so that volatile commits need no write of their own. */
export const generationsReserved = 65_536;

/** The part of a group of commits that is written to disk. */
export const writeGroup = (pipeline: Pipeline, group: readonly Staged[]): WriteGroup => {
  const rows = new Map<string, { put?: StoredRow; cls: string; ref: string }>();
  let buried: Tombstone[] = [];
  let afresh = false;
  for (const { changes, received } of group) {
    if (received?.afresh === 'rows') {
      afresh = true;
      buried = [];
    }
    for (const { entry, before, after, generation, disk } of changes) {
      const { cls, ref } = entry;
      const schema = pipeline.tables.get(cls)?.schema;
      if (!disk || schema === undefined) continue;
      if (after === undefined && received?.afresh !== 'rows') {
        buried.push({ generation, cls, ref, created: before?.created ?? generation });
      }
      rows.set(`${cls}/${ref}`, {
        cls,
        ref,
        ...(after?.durable === true && { put: storedRow(schema, ref, after) }),
      });
    }
  }
  const last = group.at(-1);
  const received = last?.received;
  const generation = last?.generation ?? 0;
  const kept = afresh ? [] : pipeline.tombstones;
  const over = kept.length + buried.length - pipeline.tombstonesMax;
  const dropped = over > 0 && buried.length > 0 ? [...kept, ...buried][over - 1]?.generation : undefined;
  return {
    puts: [...rows.values()].flatMap((row) => row.put ?? []),
    deletes: [...rows.values()].filter((row) => row.put === undefined),
    tombstones: buried,
    horizon: Math.max(afresh ? 0 : pipeline.horizon, received?.horizon ?? 0, dropped ?? 0),
    generationMax: Math.max(pipeline.reserved, received?.generationMax ?? generation + generationsReserved),
    generation,
    epochs: received?.epochs ?? pipeline.stagedEpochs,
    follows: received !== undefined || pipeline.follows,
    ...(afresh && { afresh }),
  };
};

const storedRow = (schema: Schema, ref: string, { record, created, stored }: Version): StoredRow => {
  // A copy of what has the right shape already: making an object of ninety fields costs several times as
  // much.
  const fields: Record<string, unknown> = { ...schema.storedDefaults };
  for (const field of schema.storedFields) fields[field] = record[field];
  // A later change in memory only is on no disk: hosts that wrote the row at different times have the same.
  return { cls: schema.cls.name, ref, created, modified: stored, fields };
};
