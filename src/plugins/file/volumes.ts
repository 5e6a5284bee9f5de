import { basename, join } from 'node:path';
import type { Disk } from '../../drivers/disk.ts';
import { jsonIn } from '../../std/reader.ts';
import { failure, isObject, Refusal } from '../script.ts';
import { isImage } from './chain.ts';
import type { Contents } from './changed.ts';

/** What is kept of a volume beside its image: `<key>.json` in the SR's folder. */
export interface VolumeNote {
  /** The image file that holds its contents now. */
  readonly image: string;
  readonly name: string;
  readonly description: string;
  readonly sharable: boolean;
  readonly keys: Readonly<Record<string, string>>;
  /** Whether clients may ask which of its blocks have changed. */
  readonly tracked: boolean;
  /** Its data are gone: what they were, as far as it is told which blocks have changed since. */
  readonly past?: Contents;
}

/** The one key that is as true of a copy; others tell of the volume's own past and its clones. */
export const VDI_TYPE = 'vdi-type';

/** What is kept of the SR itself: `sr.json`. */
export interface SrNote {
  readonly uuid: string;
  readonly name: string;
  readonly description: string;
  readonly imageFormat: 'raw' | 'qcow2';
}

/** Notes of one folder; every change replaces a whole file, and is the one instant at which it counts. */
export interface Notes {
  readSr(): Promise<SrNote | undefined>;
  writeSr(note: SrNote): Promise<void>;
  removeSr(): Promise<void>;
  keys(): Promise<readonly string[]>;
  read(key: string): Promise<VolumeNote>;
  write(key: string, note: VolumeNote): Promise<void>;
  remove(key: string): Promise<void>;
}

const FORMAT = 1;
const NOTE_BYTES_MAX = 1024 * 1024;
const KEY_PATTERN = /^[0-9a-f-]{36}$/;

export const notesIn = (disk: Disk, folder: string): Notes => {
  const srPath = join(folder, 'sr.json');
  const pathOf = (key: string): string => {
    // The caller's word, which becomes a path.
    if (!KEY_PATTERN.test(key)) throw new Refusal('VDI_MISSING', [folder, key]);
    return join(folder, `${key}.json`);
  };

  const read = async (path: string): Promise<Readonly<Record<string, unknown>> | undefined> => {
    const text = await noteText(disk, folder, path);
    const note = text === undefined ? undefined : parsed(text);
    if (text !== undefined && note?.['format'] !== FORMAT) throw damaged(path);
    return note;
  };
  const write = (path: string, note: object): Promise<void> =>
    disk.replaceText(path, `${JSON.stringify({ format: FORMAT, ...note }, null, 2)}\n`);
  const remove = async (path: string): Promise<void> => {
    if (await disk.exists(path)) await disk.remove(path);
  };

  return {
    readSr: async () => srNoteOf(await read(srPath), srPath),
    writeSr: (note) => write(srPath, note),
    removeSr: () => remove(srPath),
    keys: async () =>
      (await disk.list(folder))
        .filter(({ name, kind }) => kind === 'file' && name.endsWith('.json'))
        .map(({ name }) => name.slice(0, -'.json'.length))
        .filter((key) => KEY_PATTERN.test(key)),
    read: async (key) => {
      const note = volumeNoteOf(await read(pathOf(key)), pathOf(key));
      if (note === undefined) throw new Refusal('VDI_MISSING', [folder, key]);
      return note;
    },
    write: (key, note) => write(pathOf(key), note),
    remove: (key) => remove(pathOf(key)),
  };
};

const damaged = (path: string): Refusal => failure('A note of the SR is damaged or of another version', path);

/** Undefined when there is none. A link to one is none of this folder's. */
const noteText = async (disk: Disk, folder: string, path: string): Promise<string | undefined> => {
  if (!(await disk.exists(path))) return undefined;
  const file = await disk.openWithin(folder, basename(path), 'read').catch((error: NodeJS.ErrnoException) => {
    throw ['ELOOP', 'EINVAL'].includes(error.code ?? '') ? damaged(path) : error;
  });
  try {
    if (file.sizeBytes > NOTE_BYTES_MAX) throw damaged(path);
    const bytes = Buffer.alloc(Number(file.sizeBytes));
    return bytes.toString('utf8', 0, await file.read(bytes, 0n));
  } finally {
    await file.close();
  }
};

const parsed = (text: string): Readonly<Record<string, unknown>> | undefined => {
  const note = jsonIn(text);
  return isObject(note) ? note : undefined;
};

type Note = Readonly<Record<string, unknown>> | undefined;

/** Member by member, as whoever can write to the folder can write notes: an image is one of this folder. */
const volumeNoteOf = (note: Note, path: string): VolumeNote | undefined => {
  if (note === undefined) return undefined;
  const { image, name, description, sharable, keys, tracked = false, past } = note;
  const isNamed = typeof name === 'string' && typeof description === 'string';
  if (typeof image !== 'string' || !isImage(image) || !isNamed || typeof sharable !== 'boolean') {
    throw damaged(path);
  }
  if (!isObject(keys) || Object.values(keys).some((value) => typeof value !== 'string')) throw damaged(path);
  if (typeof tracked !== 'boolean' || (past !== undefined && !isContents(past))) throw damaged(path);
  const was = past !== undefined && { past };
  return { image, name, description, sharable, keys: keys as VolumeNote['keys'], tracked, ...was };
};

const isContents = (past: unknown): past is Contents => {
  if (!isObject(past)) return false;
  const { image, except } = past;
  const isPlace = image === undefined || (typeof image === 'string' && isImage(image));
  return isPlace && Array.isArray(except) && except.every(isRun);
};

const isRun = (run: unknown): boolean =>
  Array.isArray(run) &&
  run.length === 2 &&
  run.every((number) => Number.isSafeInteger(number) && number >= 0);

const srNoteOf = (note: Note, path: string): SrNote | undefined => {
  if (note === undefined) return undefined;
  const { uuid, name, description, imageFormat } = note;
  const isNamed = typeof name === 'string' && typeof description === 'string';
  if (typeof uuid !== 'string' || !isNamed || (imageFormat !== 'raw' && imageFormat !== 'qcow2')) {
    throw damaged(path);
  }
  return { uuid, name, description, imageFormat };
};
