import { open, type RootDatabase } from 'lmdb';
import type { Durable, Loaded, StoredRow, Tombstone, WriteGroup } from './durable.ts';
import { formatVersion, migrate } from './migrations.ts';

/** A data folder that this version cannot or must not open. */
export class StoreUnusable extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StoreUnusable';
  }
}

interface Meta {
  format: number;
  generationMax: number;
  horizon: number;
}

/**
 * Rows under `[class, reference]` with shared structures, tombstones under their generation, and one
 * meta record with the format version. A group is one LMDB transaction: it resolves after the sync.
 */
export const lmdbDurable = (folder: string): Durable => {
  const root = open({
    path: folder,
    maxDbs: 4,
    // Whole int64 range and maps with any key come back as they went in.
    encoder: { int64AsType: 'bigint', mapsAsObjects: false } as never,
  });
  const options = { encoder: { int64AsType: 'bigint', mapsAsObjects: false } } as const;
  const rows = root.openDB<Omit<StoredRow, 'cls' | 'ref'>, [string, string]>({
    name: 'rows',
    sharedStructuresKey: Symbol.for('structures'),
    ...(options as object),
  });
  const tombstones = root.openDB<Tombstone, [number, string]>({ name: 'tombstones' });
  const meta = root.openDB<Meta, string>({ name: 'meta' });

  openFormat(root, rows, meta);

  return {
    load: () => load(rows, tombstones, meta),
    write: async (group) => {
      await root.transaction(() => {
        for (const { cls, ref, ...row } of group.puts) rows.put([cls, ref], row);
        for (const { cls, ref } of group.deletes) rows.remove([cls, ref]);
        for (const tombstone of group.tombstones) tombstones.put([tombstone.generation, tombstone.ref], tombstone);
        if (group.tombstones.length > 0) {
          for (const key of tombstones.getKeys({ end: [group.horizon + 1, ''] })) tombstones.remove(key);
        }
        meta.put('meta', { format: formatVersion, generationMax: group.generationMax, horizon: group.horizon });
      });
    },
    close: () => root.close(),
  };
};

type Rows = ReturnType<typeof open<Omit<StoredRow, 'cls' | 'ref'>, [string, string]>>;

const openFormat = (root: RootDatabase, rows: unknown, meta: { get(key: string): Meta | undefined }): void => {
  const found = meta.get('meta');
  if (found === undefined) return;
  if (found.format > formatVersion) {
    throw new StoreUnusable(
      `The data folder has format ${found.format}, this version of xenact writes format ${formatVersion}. ` +
        'Start the newer xenact that wrote it, or give an empty folder with --data.',
    );
  }
  if (found.format < formatVersion) migrate(found.format, { root, rows });
};

const load = (
  rows: Pick<Rows, 'getRange'>,
  tombstones: { getRange(): Iterable<{ value: Tombstone }> },
  meta: { get(key: string): Meta | undefined },
): Loaded => {
  const found = meta.get('meta');
  return {
    rows: (function* () {
      for (const { key, value } of rows.getRange()) {
        // The shared structures live among the rows under a symbol.
        if (Array.isArray(key)) yield { cls: key[0], ref: key[1], ...value };
      }
    })(),
    tombstones: [...tombstones.getRange()].map(({ value }) => value),
    horizon: found?.horizon ?? 0,
    generation: found?.generationMax ?? 0,
  };
};
