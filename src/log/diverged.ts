import { join } from 'node:path';
import type { Disk } from '../drivers/disk.ts';
import { countOf, jsonOf, listOf, membersOf, stringOf } from '../std/reader.ts';
import type { Diverged } from '../store/diverged.ts';

// What this host had answered and its pool lacks, each time in a file of its own, until an operator has
// looked at it.

/**
 * While so many are kept, or so large a one comes, the host does not follow: nothing is dropped in silence.
 */
export const divergedFilesMax = 64;
export const divergedBytesMax = 256 * 1_048_576;

export interface KeptDiverged {
  readonly name: string;
  readonly epoch: number;
  readonly from: number;
  readonly to: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Clients were told by an alert. */
  readonly told: boolean;
  readonly rows: readonly {
    readonly class: string;
    readonly ref: string;
    readonly generation: number;
    readonly deleted: boolean;
    readonly fields?: unknown;
  }[];
}

export interface DivergedFiles {
  /** Resolves once it is on disk. Rejects with what to do where there is no room for it. */
  keep(diverged: Diverged): Promise<void>;
  list(): Promise<readonly KeptDiverged[]>;
  /** Clients were told of it. */
  tell(name: string): Promise<void>;
  /** Answers whether there was one. */
  remove(name: string): Promise<boolean>;
}

const nameForm = /^\d+-\d+\.json$/;

export const divergedFiles = ({
  disk,
  folder,
  now,
  filesMax = divergedFilesMax,
  bytesMax = divergedBytesMax,
}: {
  readonly disk: Disk;
  readonly folder: string;
  readonly now: () => number;
  readonly filesMax?: number;
  readonly bytesMax?: number;
}): DivergedFiles => {
  const names = async (): Promise<readonly string[]> => {
    if (!(await disk.exists(folder))) return [];
    const found = await disk.list(folder);
    return found.flatMap(({ name, kind }) => (kind === 'file' && nameForm.test(name) ? [name] : [])).sort();
  };
  const read = async (name: string): Promise<KeptDiverged> =>
    keptOf(name, jsonOf(await disk.readText(join(folder, name), bytesMax), name));
  const write = (name: string, { name: _, ...kept }: KeptDiverged): Promise<void> =>
    disk.replaceText(join(folder, name), `${JSON.stringify(kept, null, 1)}\n`, 0o600);
  return {
    keep: async ({ epoch, from, to, rows }) => {
      const name = `${epoch}-${to}.json`;
      const there = await names();
      if (!there.includes(name) && there.length >= filesMax) {
        throw new Error(
          `${folder} has ${there.length} files of changes that the pool lacks: look at them with xenact ` +
            `diverged, and remove some`,
        );
      }
      await disk.makeFolder(folder, 0o700);
      const kept = { name, epoch, from, to, at: now(), told: false, rows: rows.map(plainRow) };
      if (JSON.stringify(kept).length > bytesMax) {
        throw new Error(
          `The changes that the pool lacks are larger than ${bytesMax} bytes: copy the data ` +
            `folder away, and start this host with --rebuild`,
        );
      }
      await write(name, kept);
    },
    list: async () => Promise.all((await names()).map(read)),
    tell: async (name) => write(name, { ...(await read(name)), told: true }),
    remove: async (name) => {
      if (!(await names()).includes(name)) return false;
      await disk.remove(join(folder, name));
      return true;
    },
  };
};

/** Throws where somebody has made something else of the file. */
const keptOf = (name: string, value: unknown): KeptDiverged => {
  const { epoch, from, to, at, told, rows } = membersOf(value);
  return {
    name,
    ...{ epoch: countOf(epoch), from: countOf(from), to: countOf(to), at: countOf(at), told: told === true },
    rows: listOf(rows).map((row) => {
      const { class: cls, ref, generation, deleted, fields } = membersOf(row);
      return {
        ...{ class: stringOf(cls), ref: stringOf(ref), generation: countOf(generation) },
        ...{ deleted: deleted === true, fields },
      };
    }),
  };
};

const plainRow = ({
  cls,
  ref,
  generation,
  fields,
}: Diverged['rows'][number]): KeptDiverged['rows'][number] => ({
  ...{ class: cls, ref, generation, deleted: fields === undefined },
  ...(fields !== undefined && { fields: plain(fields) }),
});

/** As JSON: whole numbers as texts where they may be too large for it, maps as lists of pairs. */
const plain = (value: unknown): unknown => {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Map) return [...value].map(([key, one]) => [plain(key), plain(one)]);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
};
