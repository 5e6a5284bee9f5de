import type { Epochs } from './epochs.ts';
import type { AnyRecord } from './schema.ts';
import type { Pipeline } from './state.ts';

/** What a host has on its disk that the pool's log lacks, and that a whole copy is about to replace. */
export interface Diverged {
  /** The last epoch of this host's own log. */
  readonly epoch: number;
  /** From here to there the logs differ. */
  readonly from: number;
  readonly to: number;
  readonly rows: readonly DivergedRow[];
}

export interface DivergedRow {
  readonly cls: string;
  readonly ref: string;
  readonly generation: number;
  /** Absent: the row was deleted. */
  readonly fields?: AnyRecord;
}

/**
 * The first generation in which two logs differ; undefined: one goes on from the other, or they have nothing
 * in common.
 */
const partsAt = (own: Epochs, pool: Epochs): number | undefined => {
  const common = own.findLastIndex(([epoch, first]) =>
    pool.some((other) => other[0] === epoch && other[1] === first),
  );
  const epoch = own[common]?.[0];
  const at = pool.findIndex((other) => other[0] === epoch);
  const nexts = [own[common + 1]?.[1], pool[at + 1]?.[1]].filter((one) => one !== undefined);
  return common < 0 || nexts.length === 0 ? undefined : Math.min(...nexts);
};

/** Undefined where nothing is lost by the copy. */
export const divergedFrom = (pipeline: Pipeline, pool: Epochs): Diverged | undefined => {
  const { epochs, written, tables, tombstones } = pipeline;
  const from = partsAt(epochs, pool);
  if (from === undefined || from > written) return undefined;
  const rows: DivergedRow[] = [];
  for (const { schema, entries } of tables.values()) {
    if (schema.cls.internal === true) continue;
    for (const { cls, ref, latest } of entries.values()) {
      if (latest?.durable !== true || latest.stored < from) continue;
      const fields = Object.fromEntries(schema.storedFields.map((name) => [name, latest.record[name]]));
      rows.push({ cls, ref, generation: latest.stored, fields });
    }
  }
  for (const { generation, cls, ref } of tombstones) {
    const schema = tables.get(cls)?.schema;
    if (generation >= from && schema?.cls.internal !== true) rows.push({ cls, ref, generation });
  }
  if (rows.length === 0) return undefined;
  rows.sort((a, b) => a.generation - b.generation);
  return { epoch: epochs.at(-1)?.[0] ?? 0, from, to: written, rows };
};
