import { join } from 'node:path';
import type { Disk } from '../../drivers/disk.ts';
import { failure, isObject, Refusal } from '../script.ts';

/** What is kept of a volume beside its image: `<key>.json` in the SR's folder. */
export interface VolumeNote {
  /** The image file that holds its contents now. */
  readonly image: string;
  readonly name: string;
  readonly description: string;
  readonly sharable: boolean;
  readonly keys: Readonly<Record<string, string>>;
}

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
    if (!(await disk.exists(path))) return undefined;
    const note: unknown = JSON.parse(await disk.readText(path, NOTE_BYTES_MAX));
    const { format } = isObject(note) ? note : {};
    if (!isObject(note) || format !== FORMAT) {
      throw failure('A note of the SR is damaged or of another version', path);
    }
    return note;
  };
  const write = (path: string, note: object): Promise<void> =>
    disk.replaceText(path, `${JSON.stringify({ format: FORMAT, ...note }, null, 2)}\n`);
  const remove = async (path: string): Promise<void> => {
    if (await disk.exists(path)) await disk.remove(path);
  };

  return {
    readSr: async () => (await read(srPath)) as SrNote | undefined,
    writeSr: (note) => write(srPath, note),
    removeSr: () => remove(srPath),
    keys: async () =>
      (await disk.list(folder))
        .filter(({ name, kind }) => kind === 'file' && name.endsWith('.json'))
        .map(({ name }) => name.slice(0, -'.json'.length))
        .filter((key) => KEY_PATTERN.test(key)),
    read: async (key) => {
      const note = await read(pathOf(key));
      if (note === undefined) throw new Refusal('VDI_MISSING', [folder, key]);
      return note as unknown as VolumeNote;
    },
    write: (key, note) => write(pathOf(key), note),
    remove: (key) => remove(pathOf(key)),
  };
};
