import type { SeededRandom } from './random.ts';

/** One change of a file, in the order in which it was made. */
export type FileChange = { readonly at: number; readonly bytes: Uint8Array } | { readonly sizeBytes: number };

/** A file as its readers see it, and as it would be found after power was cut. */
export interface MemoryFile {
  readonly mode: number;
  bytes(): Uint8Array;
  change(change: FileChange): void;
  /** How many changes there were so far. */
  unsynced(): number;
  /** The first `count` changes last from now on. */
  sync(count: number): void;
  /** Keeps of the changes that do not last those that `keeps` says. */
  lose(keeps: () => boolean): void;
}

/** A change, and what was there before it. */
interface Made {
  readonly change: FileChange;
  readonly sizeBefore: number;
  /** The bytes that it wrote over, or cut off. */
  readonly lost: Uint8Array;
}

export const newFile = (start: Uint8Array, mode: number): MemoryFile => {
  let room = start;
  let sizeBytes = start.length;
  let unsynced: Made[] = [];
  let synced = 0;

  const resize = (wanted: number): void => {
    if (wanted > room.length || room === start) {
      // More than is needed, so that a file that grows line by line is not copied for each.
      const larger = new Uint8Array(Math.max(wanted, room.length * 2));
      larger.set(room.subarray(0, sizeBytes));
      room = larger;
    }
    if (wanted > sizeBytes) room.fill(0, sizeBytes, wanted);
    sizeBytes = wanted;
  };
  const apply = (change: FileChange): Made => {
    const sizeBefore = sizeBytes;
    const [from, to] =
      'bytes' in change ? [change.at, change.at + change.bytes.length] : [change.sizeBytes, sizeBytes];
    const lost = room.slice(from, Math.max(from, Math.min(to, sizeBefore)));
    resize('bytes' in change ? Math.max(sizeBytes, to) : change.sizeBytes);
    if ('bytes' in change) room.set(change.bytes, change.at);
    return { change, sizeBefore, lost };
  };
  const takeBack = ({ change, sizeBefore, lost }: Made): void => {
    resize(sizeBefore);
    if (lost.length > 0) room.set(lost, 'bytes' in change ? change.at : change.sizeBytes);
  };

  return {
    mode,
    bytes: () => room.subarray(0, sizeBytes),
    change: (change) => {
      unsynced.push(apply(change));
    },
    unsynced: () => synced + unsynced.length,
    sync: (count) => {
      const done = Math.max(0, count - synced);
      unsynced = unsynced.slice(done);
      synced += done;
    },
    lose: (keeps) => {
      for (const made of unsynced.toReversed()) takeBack(made);
      for (const { change } of unsynced) if (keeps()) apply(change);
      synced += unsynced.length;
      unsynced = [];
    },
  };
};

/** The files and folders of one disk, by path. */
export interface Tree {
  file(path: string): MemoryFile;
  folder(path: string): void;
  exists(path: string): boolean;
  isExecutable(path: string): boolean;
  list(path: string): readonly { readonly name: string; readonly kind: 'file' | 'folder' }[];
  makeFolder(path: string): void;
  /** Puts a file in the place of what was there. Until the answer is called it is not certain to last. */
  replace(path: string, file: MemoryFile): () => void;
  remove(path: string): void;
  usedBytes(): number;
  loseUnsynced(): void;
}

export const treeOf = (random: SeededRandom): Tree => {
  const folders = new Set<string>(['/']);
  const files = new Map<string, MemoryFile>();
  /** What was there before a change of names that is not certain to last, oldest first. */
  let uncertain: { readonly path: string; readonly before: MemoryFile | undefined }[] = [];

  const missing = (path: string): Error => failure('ENOENT', path);
  const folder = (path: string): void => {
    if (!folders.has(path)) throw failure(files.has(path) ? 'ENOTDIR' : 'ENOENT', path);
  };
  const names = (path: string): readonly { readonly name: string; readonly kind: 'file' | 'folder' }[] => {
    const inside = path === '/' ? '/' : `${path}/`;
    const childOf = (one: string): string | undefined => {
      const name = one.startsWith(inside) ? one.slice(inside.length) : '';
      return name === '' || name.includes('/') ? undefined : name;
    };
    const found = (all: Iterable<string>, kind: 'file' | 'folder') =>
      [...all].flatMap((one) => {
        const name = childOf(one);
        return name === undefined ? [] : [{ name, kind }];
      });
    return [...found(folders, 'folder'), ...found(files.keys(), 'file')];
  };

  return {
    file: (path) => {
      if (folders.has(path)) throw failure('EISDIR', path);
      const found = files.get(path);
      if (found === undefined) throw missing(path);
      return found;
    },
    folder,
    exists: (path) => folders.has(path) || files.has(path),
    isExecutable: (path) => ((files.get(path)?.mode ?? 0) & 0o111) !== 0,
    list: (path) => {
      folder(path);
      return names(path);
    },
    makeFolder: (path) => {
      const parts = path.split('/').filter((part) => part !== '');
      parts.forEach((_, i) => {
        const one = `/${parts.slice(0, i + 1).join('/')}`;
        if (files.has(one)) throw failure('ENOTDIR', path);
        folders.add(one);
      });
    },
    replace: (path, file) => {
      if (folders.has(path)) throw failure('EISDIR', path);
      const change = { path, before: files.get(path) };
      uncertain.push(change);
      files.set(path, file);
      return () => {
        // A folder that is synced keeps all its names.
        const parent = parentOf(path);
        uncertain = uncertain.filter((one) => parentOf(one.path) !== parent);
      };
    },
    remove: (path) => {
      if (folders.has(path)) {
        if (names(path).length > 0) throw failure('ENOTEMPTY', path);
        folders.delete(path);
        return;
      }
      const before = files.get(path);
      if (before === undefined) throw missing(path);
      uncertain.push({ path, before });
      files.delete(path);
    },
    usedBytes: () => [...files.values()].reduce((sum, file) => sum + file.bytes().length, 0),
    loseUnsynced: () => {
      // Names are kept in order: when one change is lost, so are those after it.
      const lasting = uncertain.length === 0 ? 0 : random.between(0, uncertain.length);
      for (const { path, before } of uncertain.slice(lasting).reverse()) {
        if (before === undefined) files.delete(path);
        else files.set(path, before);
      }
      uncertain = [];
      for (const file of files.values()) file.lose(() => random.chance(0.5));
    },
  };
};

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

/** As the system says it. */
export const failure = (code: string, path: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`${code}: ${path}`), { code, path });
