import { createHash } from 'node:crypto';
import type { HostFile } from '../drivers/host-files.ts';
import { decodeValue, encodeValue } from '../mesh/value.ts';
import type { Ref } from '../model/types.ts';
import { imageBytes } from '../rules/images/image-bytes.ts';
import { tarEntries } from '../rules/xva/entries.ts';
import { countOf, jsonOf, membersOf, stringOf } from '../std/reader.ts';
import { UnusableError } from '../std/unusable.ts';
import type { CopyPiece, RowChange } from '../store/batch.ts';
import type { Replica } from '../store/replica.ts';
import type { Store } from '../store/store.ts';

// A backup of a pool: the files of an archive, in this order, and the sum of each in the last.

export const backupFormat = 1;

/** What a backup says of itself. */
export interface BackupAbout {
  readonly format: number;
  /** Version of Xenact that wrote it, and of its database. */
  readonly xenact: string;
  readonly database: number;
  /** UUID and name of the pool. */
  readonly pool: string;
  readonly name: string;
  /** Who gave it, and where its data folder was. */
  readonly host: Ref<'host'>;
  readonly data: string;
  /** When, as in ISO 8601. */
  readonly at: string;
}

/** Who may log in, and what clients know the host by. */
export type BackupSecrets = Readonly<Record<(typeof secretNames)[number], string>>;
const secretNames = ['credentials.json', 'certificate.json'] as const;

const aboutName = 'backup.json';
const sumsName = 'sums';
const rowsFolder = 'rows/';
/** Of any one file. */
const fileBytesMax = 64 * 1_048_576;

const sumOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const textFile = (name: string, text: string): HostFile => ({ name, bytes: Buffer.from(text) });

/** Who was logged in and what was under way is over by then. */
const isKept =
  ({ schemas }: Pick<Store, 'schemas'>) =>
  ({ cls, durable }: RowChange): boolean =>
    durable && cls !== 'task' && cls !== 'xenact_step' && schemas.get(cls)?.cls.persist !== false;

export async function* backupFiles(
  { store, replica }: { readonly store: Store; readonly replica: Pick<Replica, 'copy'> },
  about: Omit<BackupAbout, 'format'>,
  secrets: BackupSecrets,
): AsyncGenerator<HostFile> {
  const kept = isKept(store);
  let sums = '';
  const summed = (file: HostFile): HostFile => {
    sums += `${sumOf(file.bytes)}  ${file.name}\n`;
    return file;
  };
  yield summed(textFile(aboutName, `${JSON.stringify({ format: backupFormat, ...about }, null, 2)}\n`));
  for (const name of secretNames) yield summed(textFile(name, secrets[name]));
  for (const piece of replica.copy()) {
    const bytes = encodeValue({ ...piece, rows: piece.rows.filter(kept) });
    yield summed({ name: `${rowsFolder}${piece.index}`, bytes });
  }
  yield textFile(sumsName, sums);
}

type Bytes = AsyncIterable<Uint8Array>;

async function* filesIn(archive: Bytes): AsyncGenerator<HostFile> {
  const entries = tarEntries(imageBytes(archive));
  for (let entry = await entries.peek(); entry !== undefined; entry = await entries.peek())
    yield { name: entry.name, bytes: await entries.take(fileBytesMax) };
}

const refused = (why: string): UnusableError => new UnusableError(`This is no backup of a pool: ${why}`);

/**
 * What a file is a backup of, once all of it was read and every sum is right. Throws UnusableError with what
 * is wrong with it.
 */
export const checkedBackup = async (archive: Bytes, database: number): Promise<BackupAbout> => {
  let about: BackupAbout | undefined;
  let [sums, said]: [string, string | undefined] = ['', undefined];
  try {
    for await (const { name, bytes } of filesIn(archive)) {
      about ??= aboutOf(name, bytes, database);
      if (name === sumsName) said = Buffer.from(bytes).toString('utf8');
      else sums += `${sumOf(bytes)}  ${name}\n`;
    }
  } catch (error) {
    throw error instanceof UnusableError ? error : refused((error as Error).message);
  }
  if (about === undefined) throw refused('it is empty');
  if (said !== sums) throw refused('it is damaged, or its end is missing: take another copy of it');
  return about;
};

const aboutOf = (name: string, bytes: Uint8Array, database: number): BackupAbout => {
  if (name !== aboutName) throw refused(`it begins with ${JSON.stringify(name.slice(0, 64))}`);
  const read = membersOf(jsonOf(Buffer.from(bytes).toString('utf8'), aboutName));
  const text = (member: string): string => stringOf(read[member], member);
  const about = {
    ...{ format: countOf(read['format'], 'format'), database: countOf(read['database'], 'database') },
    ...{ xenact: text('xenact'), pool: text('pool'), name: text('name'), data: text('data'), at: text('at') },
    host: text('host') as Ref<'host'>,
  };
  if (about.format === backupFormat && about.database === database) return about;
  throw new UnusableError(
    `The backup was written by xenact ${about.xenact}, in a format that this one does not read: restore it ` +
      'with that version, then start the data folder with this one',
  );
};

/** The rows of a backup that was checked, and what is secret beside them. */
export interface BackupRead {
  rows(): AsyncIterable<CopyPiece>;
  /** Known once the first rows were taken, which come after them. */
  readonly secrets: Partial<BackupSecrets>;
}

export const readBackup = (archive: Bytes): BackupRead => {
  const secrets: Partial<Record<keyof BackupSecrets, string>> = {};
  return {
    secrets,
    rows: async function* () {
      for await (const { name, bytes } of filesIn(archive)) {
        const secret = secretNames.find((one) => one === name);
        if (secret !== undefined) secrets[secret] = Buffer.from(bytes).toString('utf8');
        // Whoever takes a copy looks at the shape of its pieces.
        if (name.startsWith(rowsFolder)) yield decodeValue(bytes) as CopyPiece;
      }
    },
  };
};
