import { open, type RootDatabase } from 'lmdb';
import { UnusableError } from '../std/unusable.ts';
import {
  DiskFull,
  type Durable,
  type Loaded,
  type StoredRow,
  type Tombstone,
  type WriteGroup,
} from './durable.ts';
import { type Epochs, firstEpochs } from './epochs.ts';
import { formatVersion, migrate } from './migrations.ts';

/** Room on the disk of the data folder, to tell a full disk from a broken one. */
type FreeBytes = () => Promise<bigint>;

const roomBytesMin = 1n << 20n;
const ioErrno = 5;
const noSpaceErrno = 28;

interface Meta {
  format: number;
  generationMax: number;
  horizon: number;
  /** These came with format 2. */
  generation?: number;
  epochs?: Epochs;
  follows?: boolean;
}

/**
 * Rows under `[class, reference]` with shared structures, tombstones under their generation, and one
 * meta record with the format version. A write is one LMDB transaction: it resolves after the sync.
 */
export const lmdbDurable = (folder: string, freeBytes: FreeBytes = async () => roomBytesMin): Durable => {
  const root = open({
    path: folder,
    maxDbs: 4,
    // A write is one explicit transaction; the library's own batches reject promises that nobody holds.
    eventTurnBatching: false,
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
    write: async (groups) => {
      const writes: Promise<unknown>[] = [];
      const put = (group: WriteGroup): void => {
        for (const { cls, ref, ...row } of group.puts) writes.push(rows.put([cls, ref], row));
        for (const { cls, ref } of group.deletes) writes.push(rows.remove([cls, ref]));
        for (const one of group.tombstones) writes.push(tombstones.put([one.generation, one.ref], one));
        if (group.afresh === true || group.tombstones.length > 0) {
          const dropped = tombstones.getKeys(group.afresh === true ? {} : { end: [group.horizon + 1, ''] });
          for (const key of dropped) writes.push(tombstones.remove(key));
        }
        const { generationMax, horizon, generation, epochs, follows } = group;
        const position = { generation, epochs, follows };
        writes.push(meta.put('meta', { format: formatVersion, generationMax, horizon, ...position }));
      };
      const transaction = root.transaction(() => groups.forEach(put));
      await allWritten([transaction, ...writes], freeBytes);
    },
    close: () => root.close(),
  };
};

/**
 * Each write of a failed transaction rejects by itself, with a promise of the cause: all are awaited, one is
 * told.
 */
const allWritten = async (writes: readonly Promise<unknown>[], freeBytes: FreeBytes): Promise<void> => {
  const results = await Promise.allSettled(writes);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed === undefined) return;
  const promised: unknown = (failed.reason as { commitError?: unknown }).commitError;
  const cause: unknown =
    promised instanceof Promise ? await promised.catch((error: unknown) => error) : failed.reason;
  const { code, message } = cause as { code?: unknown; message?: unknown };
  // A write that the disk cut short is an I/O error to LMDB, also when all that was missing is room.
  const full = code === noSpaceErrno || (code === ioErrno && (await freeBytes()) < roomBytesMin);
  throw full ? new DiskFull(String(message)) : cause;
};

type Rows = ReturnType<typeof open<Omit<StoredRow, 'cls' | 'ref'>, [string, string]>>;

const openFormat = (
  root: RootDatabase,
  rows: unknown,
  meta: { get(key: string): Meta | undefined },
): void => {
  const found = meta.get('meta');
  if (found === undefined) return;
  if (found.format > formatVersion) {
    throw new UnusableError(
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
        if (!Array.isArray(key)) continue;
        const { created, modified, fields } = value;
        yield { cls: key[0], ref: key[1], created, modified, fields };
      }
    })(),
    tombstones: [...tombstones.getRange()].map(({ value }) => value),
    horizon: found?.horizon ?? 0,
    // Who follows knows exactly what it has; who leads may have handed out all that was reserved.
    generation: (found?.follows === true ? found.generation : found?.generationMax) ?? 0,
    reserved: found?.generationMax ?? 0,
    epochs: found?.epochs ?? firstEpochs,
    follows: found?.follows === true,
  };
};
