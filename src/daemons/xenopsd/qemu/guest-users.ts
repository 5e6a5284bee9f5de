// Who a guest's emulator runs as. Where the daemon is root each guest has a user of its own, which owns
// nothing but what it was given: its disks come as open files, so that no path of the host is its to open.
// Only what is plugged while it runs is opened by path, from a folder that it was started with.
import { basename, dirname } from 'node:path';
import type { Disk, Owner } from '../../../drivers/disk.ts';
import type { DiskImage } from '../../../drivers/disk-image.ts';
import type { Inherited } from '../../../drivers/processes.ts';
import type { GuestDisk } from '../backend.ts';
import { type Argument, fixed, option } from './arguments.ts';

/** A range that no distribution hands out to people or services. */
export const FIRST_USER = 131_072;
const USERS = 65_536;
const ROOT: Owner = { uid: 0, gid: 0 };
const MODE = { own: 0o600, shared: 0o640, passable: 0o711, readable: 0o004, enterable: 0o001 } as const;
const KVM = '/dev/kvm';
/** Standard input, output and errors are before them. */
const FIRST_INHERITED = 3;

/** Guests have users from `first` on, and one group in which they read what several stand on. */
export interface GuestUsers {
  readonly first: number;
  readonly gid: number;
}

export const userOf = ({ first, gid }: GuestUsers, domid: number): Owner => ({
  uid: first + (domid % USERS),
  gid,
});

/**
 * The group of guests. A KVM that is for a group already makes that group theirs, one for root alone is
 * given.
 */
export const groupOfGuests = async (disk: Disk, first: number): Promise<number> => {
  if (!(await disk.exists(KVM))) return first;
  const { uid, gid, mode } = await disk.ownerOf(KVM);
  if ((mode & 0o006) === 0o006) return first;
  if (gid !== 0 && (mode & 0o060) === 0o060) return gid;
  await disk.give(KVM, { uid, gid: first }, 0o660);
  return first;
};

/** How the emulator is to name a file, in the place of its path. */
export type Named = (path: string) => string;

export interface Handed {
  readonly inherited: readonly Inherited[];
  readonly arguments: readonly Argument[];
  /** By the disk's key. */
  readonly named: (key: string) => Named;
  readonly sets: readonly FileSet[];
  /** Folders that the emulator has open, by which it reaches what is plugged later. */
  readonly reach: readonly string[];
}

/** A file that the emulator was started with, which it keeps open until it is told to let go. */
export interface FileSet {
  /** Of the disk. */
  readonly key: string;
  readonly set: number;
}

const filesOf = ({ path, backing = [] }: DiskImage): readonly string[] => [path, ...backing];
const isWritable = ({ vbd }: GuestDisk): boolean => vbd.mode === 'ReadWrite' && vbd.ty !== 'CDROM';
/** What is reached by a socket is opened by whoever may write to that. */
const isOwned = (one: GuestDisk): boolean => isServed(one) || isWritable(one);
export const isServed = ({ exportName }: GuestDisk): boolean => exportName !== undefined;
const isDevice = (path: string): boolean => path.startsWith('/dev/');

/** The disks that a guest starts with, for its emulator to inherit. Sockets cannot be: it opens those. */
export const handDisks = async (
  disk: Disk,
  disks: readonly GuestDisk[],
  folders: readonly string[],
): Promise<Handed> => {
  const served = disks.flatMap((one) => (isServed(one) && one.path !== undefined ? [one.path] : []));
  const files = disks.flatMap((one) => {
    if (isServed(one)) return [];
    const paths = one.path === undefined ? [] : filesOf({ ...one, path: one.path });
    return paths.map((path, depth) => ({
      path,
      key: one.vbd.id[1],
      isWritten: depth === 0 && isWritable(one),
    }));
  });
  for (const { path } of files) if (!(await disk.exists(path))) throw missing(path);
  const near = [...files.map(({ path }) => path).filter((path) => !isDevice(path)), ...served].map(dirname);
  const reach: string[] = [];
  for (const folder of new Set([...folders, ...near])) if (await disk.exists(folder)) reach.push(folder);
  // Descriptors are counted with the files, which have no folders.
  const counted = [...files.map(() => ''), ...reach];
  return {
    inherited: [
      ...files.map(({ path, isWritten }) => ({
        path,
        how: isWritten ? ('write' as const) : ('read' as const),
      })),
      ...reach.map((path) => ({ path, how: 'folder' as const })),
    ],
    arguments: files.flatMap((_, set) => [
      ...fixed('-add-fd'),
      option`fd=${FIRST_INHERITED + set},set=${set}`,
    ]),
    named: (key) => (path) => {
      const set = files.findIndex((file) => file.key === key && file.path === path);
      return set < 0 ? reachedBy(counted)(path) : `/dev/fdset/${set}`;
    },
    sets: files.map(({ key }, set) => ({ key, set })),
    reach: counted,
  };
};

/** As the emulator says it of what it opens itself. */
const missing = (path: string): Error => new Error(`Could not open '${path}': No such file or directory`);

/** By an inherited folder, as the folders above it are not the guest's to enter. */
export const reachedBy =
  (reach: readonly string[]): Named =>
  (path) => {
    const index = reach.indexOf(dirname(path));
    return index < 0 ? path : `/proc/self/fd/${FIRST_INHERITED + index}/${basename(path)}`;
  };

/** A file that was made a guest's, under the node that it was made so for, and whose it was. */
export interface LentUser extends Owner {
  readonly node: string;
  readonly path: string;
  readonly mode: number;
}

/** What `lendDisk` is going to change hands of: to be noted before. */
export const lending = async (
  disk: Disk,
  node: string,
  given: GuestDisk & DiskImage,
): Promise<readonly LentUser[]> => {
  for (const path of filesOf(given)) if (!(await disk.exists(path))) throw missing(path);
  return isOwned(given) ? [{ node, path: given.path, ...(await disk.ownerOf(given.path)) }] : [];
};

/**
 * Makes a disk that is plugged later the guest's to open. What it only reads is made readable for all guests:
 * several may stand on it, and none can list the folder for its name.
 */
export const lendDisk = async (disk: Disk, user: Owner, given: GuestDisk & DiskImage): Promise<void> => {
  for (const [index, path] of filesOf(given).entries()) {
    if (isDevice(path)) {
      if (isWritable(given)) await disk.give(path, user, MODE.own);
      continue;
    }
    const folder = await disk.ownerOf(dirname(path));
    if ((folder.mode & MODE.enterable) === 0) {
      await disk.give(dirname(path), folder, folder.mode | MODE.enterable);
    }
    const { uid, mode } = await disk.ownerOf(path);
    if (index === 0 && isOwned(given)) await disk.give(path, user, MODE.own);
    else if ((mode & MODE.readable) === 0) await disk.give(path, { uid, gid: user.gid }, MODE.shared);
  }
};

/** Whose the files of a disk are, all the way down. */
export const ownersOf = (disk: Disk, node: string, given: DiskImage): Promise<readonly LentUser[]> =>
  Promise.all(filesOf(given).map(async (path) => ({ node, path, ...(await disk.ownerOf(path)) })));

/** A file that is gone needs nothing taken back. */
export const takeBack = async (disk: Disk, lent: readonly LentUser[]): Promise<void> => {
  for (const { path, uid, gid, mode } of lent) {
    if (await disk.exists(path)) await disk.give(path, { uid, gid }, mode);
  }
};

/** While the emulator makes its sockets the folder is its own; after that nothing in it can be exchanged. */
export const openFolder = (disk: Disk, path: string, user: Owner): Promise<void> =>
  disk.give(path, user, 0o700);
export const sealFolder = (disk: Disk, path: string): Promise<void> => disk.give(path, ROOT, MODE.passable);
