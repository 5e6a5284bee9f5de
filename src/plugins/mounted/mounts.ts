import { join } from 'node:path';
import type { Disk } from '../../drivers/disk.ts';
import type { OwnFolders } from '../../std/repository-folder.ts';
import { failure, Refusal } from '../script.ts';
import type { Tool } from '../tools.ts';

/** What a host has mounted for its repositories, each in a folder of its own in the host's run folder. */
export interface Mounts {
  folderOf(name: string): string;
  /** Does nothing where the same is mounted already. Nothing on it is run, nor taken for a device. */
  mount(name: string, what: Mountable): Promise<string>;
  /** Does nothing where nothing is mounted. */
  unmount(name: string): Promise<void>;
}

export interface Mountable {
  readonly type: 'ext4' | 'nfs' | 'cifs';
  /** A device, or what names a share. */
  readonly source: string;
  readonly options: readonly string[];
}

/** Of both: what the kernel calls the file system, and what a host without it has to install. */
const needs: Readonly<Record<Mountable['type'], { readonly program?: string; readonly advice: string }>> = {
  ext4: { advice: 'a kernel with ext4' },
  nfs: { program: 'mount.nfs', advice: 'the package nfs-common and a kernel with the module nfs' },
  cifs: { program: 'mount.cifs', advice: 'the package cifs-utils and a kernel with the module cifs' },
};

const programFolders: readonly string[] = ['/sbin', '/usr/sbin', '/bin', '/usr/bin'];
const safely: readonly string[] = ['nosuid', 'nodev', 'noexec'];
const TABLE_BYTES_MAX = 16 * 1024 * 1024;

export const mountsFolder = ({ run }: OwnFolders): string => join(run, 'mounts');

export const mountsOf = (disk: Disk, tool: Tool, own: OwnFolders): Mounts => {
  const folderOf = (name: string): string => join(mountsFolder(own), name);

  const mountedAt = async (name: string): Promise<string | undefined> => {
    const folder = await disk.realPath(folderOf(name));
    const table = await disk.readText('/proc/self/mountinfo', TABLE_BYTES_MAX);
    // The last of several at one place is the one that is seen.
    return linesOf(table).findLast(({ at }) => at === folder)?.source;
  };

  /** What somebody put there while nothing was mounted stays, and is in nobody's way. */
  const removePlace = async (folder: string): Promise<void> => {
    if (await disk.exists(folder)) await disk.remove(folder).catch(() => {});
  };

  const isThere = async (program: string): Promise<boolean> => {
    for (const folder of programFolders) if (await disk.isExecutable(join(folder, program))) return true;
    return false;
  };

  const explained = async (type: Mountable['type'], error: unknown): Promise<unknown> => {
    if (!(error instanceof Refusal)) return error;
    const known = await disk.readText('/proc/filesystems', TABLE_BYTES_MAX).catch(() => type);
    if (new RegExp(`\\b${type}\\b`).test(known)) return error;
    const detail = error.params.filter((text) => text !== '').join(': ');
    return failure(`The kernel of this host cannot mount ${type}; install ${needs[type].advice}`, detail);
  };

  return {
    folderOf,
    mount: async (name, { type, source, options }) => {
      const folder = folderOf(name);
      const there = await mountedAt(name);
      if (there === source) return folder;
      if (there !== undefined)
        throw failure('Something else is mounted in the folder', `${folder}: ${there}`);
      const { program, advice } = needs[type];
      if (program !== undefined && !(await isThere(program)))
        throw failure(`This host has no program ${program}; install ${advice}`);
      await disk.makeFolder(folder, 0o700);
      const how = [...safely, ...options].join(',');
      try {
        await tool('mount', ['-t', type, '-o', how, '--', source, folder]);
      } catch (error) {
        await removePlace(folder);
        throw await explained(type, error);
      }
      return folder;
    },
    unmount: async (name) => {
      if ((await mountedAt(name)) !== undefined) await tool('umount', ['--', folderOf(name)]);
      await removePlace(folderOf(name));
    },
  };
};

/** What is mounted where, of the kernel's table: the fields after a dash are type and source. */
const linesOf = (table: string): readonly { readonly at: string; readonly source: string }[] =>
  table.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [at, source] = [fields[4], fields[dash + 2]];
    return dash < 0 || at === undefined || source === undefined
      ? []
      : [{ at: plain(at), source: plain(source) }];
  });

/** Spaces and the like are written as numbers of base 8. */
const plain = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
