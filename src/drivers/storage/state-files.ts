import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { readJson } from '../../codec/jsonrpc-reader.ts';
import { jsonValue } from '../../codec/jsonrpc-writer.ts';
import { UnusableError } from '../../std/unusable.ts';
import { isStruct, type Struct, struct, type Value } from '../../std/value.ts';
import type { Disk } from '../disk.ts';

/**
 * One small file for each name: what this host holds until it reboots. Every file is replaced as a
 * whole, so a kill leaves the old or the new one. What an earlier boot wrote describes things that
 * are gone, and is dropped.
 */
export interface StateFiles {
  /** All that was kept, by name. */
  load(): Promise<ReadonlyMap<string, Struct>>;
  put(name: string, state: Struct): Promise<void>;
  remove(name: string): Promise<void>;
}

const FORMAT = 1n;
const FILE_BYTES_MAX = 4 * 1024 * 1024;

export const stateFiles = (disk: Disk, folder: string, bootId: string): StateFiles => {
  // Names hold slashes and may be longer than a file name: their digest is neither.
  const pathOf = (name: string): string =>
    join(folder, `${createHash('sha256').update(name).digest('hex')}.json`);

  const read = async (path: string): Promise<Struct> => {
    const value = parsed(await disk.readText(path, FILE_BYTES_MAX));
    if (!isStruct(value) || value.get('format') !== FORMAT) {
      throw new UnusableError(
        `${path} does not say any more which disks are in use here. ` +
          'Halt the guests of this host, and remove it.',
      );
    }
    return value;
  };

  return {
    load: async () => {
      await disk.makeFolder(folder);
      const found = new Map<string, Struct>();
      for (const { name: file } of await disk.list(folder)) {
        const path = join(folder, file);
        // A hidden name is a replacement that a kill interrupted.
        const document = file.startsWith('.') ? undefined : await read(path);
        const [name, state] = [document?.get('name'), document?.get('state')];
        if (document?.get('boot') === bootId && typeof name === 'string' && isStruct(state)) {
          found.set(name, state);
        } else {
          await disk.remove(path);
        }
      }
      return found;
    },
    put: (name, state) =>
      disk.replaceText(pathOf(name), jsonValue(struct({ format: FORMAT, boot: bootId, name, state }))),
    remove: async (name) => {
      if (await disk.exists(pathOf(name))) await disk.remove(pathOf(name));
    },
  };
};

const parsed = (text: string): Value | undefined => {
  try {
    return readJson(text);
  } catch {
    return undefined;
  }
};
