import { basename, dirname, join } from 'node:path';
import type { Disk } from '../drivers/disk.ts';
import { folderRefusal, type OwnFolders, plainFolder } from '../std/repository-folder.ts';
import { type Args, failure, type Methods, textOf, textsOf, wrapped } from './script.ts';

/** What a plugin has to know to serve folders of its host. */
export interface FolderGiven {
  readonly disk: Disk;
  /** Absent: this host has no folders that a repository has to stay out of, but the system's. */
  readonly own?: OwnFolders;
}

/** The folder that an SR's configuration names. */
export const locationOf = (configuration: Readonly<Record<string, string>>): string => {
  const { location } = configuration;
  if (location === undefined) throw failure('The configuration has no location; give an absolute path');
  return location;
};

/**
 * The same methods, which are told the folder that all links lead to, in `configuration` and in `sr`, and
 * only of folders that may be repositories. An SR is known by its folder from its attach on.
 */
export const inAllowedFolders = (given: FolderGiven, methods: Methods, elsewhere?: Elsewhere): Methods =>
  wrapped(methods, (method) => async (args) => method(await withRealFolders(given, args, elsewhere)));

/** What is no folder of the administrator's. */
export interface Elsewhere {
  /** Whether a location names what the plugin mounts. */
  isShare(location: string): boolean;
  /** Whether the plugin has mounted the folder. */
  isMounted(folder: string): boolean;
}

const withRealFolders = async (given: FolderGiven, args: Args, elsewhere?: Elsewhere): Promise<Args> => {
  const real: { sr?: string; configuration?: Readonly<Record<string, string>> } = {};
  if (args['sr'] !== undefined && elsewhere?.isMounted(textOf(args, 'sr')) !== true)
    real.sr = await allowedFolder(given, textOf(args, 'sr'));
  if (args['configuration'] !== undefined) {
    const configuration = textsOf(args, 'configuration');
    const location = locationOf(configuration);
    if (elsewhere?.isShare(location) === true) return { ...args, ...real };
    real.configuration = { ...configuration, location: await allowedFolder(given, location) };
  }
  return { ...args, ...real };
};

const allowedFolder = async ({ disk, own }: FolderGiven, path: string): Promise<string> => {
  const real = await realFolder(disk, allowed(path));
  return allowed(
    real,
    own && { data: await realFolder(disk, own.data), run: await realFolder(disk, own.run) },
  );
};

const allowed = (path: string, own?: OwnFolders): string => {
  const refusal = folderRefusal(path, own);
  if (refusal !== undefined) throw failure(refusal, path);
  return plainFolder(path);
};

/** Where links lead, as far as there is anything yet. */
const realFolder = async (disk: Disk, path: string): Promise<string> => {
  if (path === '/') return path;
  const real = await disk.realPath(path);
  if (real !== undefined) return real;
  return join(await realFolder(disk, dirname(path)), basename(path));
};

export interface SrFigures {
  readonly sr: string;
  readonly name: string;
  readonly description: string;
  readonly uuid?: string;
}

/** The answer of SR.stat, for a folder that may have gone, or is not what it was as `lacks` says. */
export const srStat = async (disk: Disk, about: SrFigures, lacks?: string): Promise<object> => {
  const there = await disk.exists(about.sr);
  const { freeBytes, totalBytes } = there ? await disk.space(about.sr) : { freeBytes: 0n, totalBytes: 0n };
  return {
    ...about,
    free_space: Number(freeBytes),
    total_space: Number(totalBytes),
    datasources: [],
    clustered: false,
    health: healthOf(there, lacks),
  };
};

const healthOf = (there: boolean, lacks: string | undefined): readonly [string, string] => {
  if (!there) return ['Unavailable', 'The folder is gone'];
  return lacks === undefined ? ['Healthy', ''] : ['Unavailable', lacks];
};
