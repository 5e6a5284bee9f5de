import { isAbsolute, normalize } from 'node:path';
import type { Disk } from '../drivers/disk.ts';
import { failure } from './script.ts';

const PATH_CHARS_MAX = 2_048;

/** The folder that an SR's configuration names. */
export const locationOf = (configuration: Readonly<Record<string, string>>): string => {
  const { location } = configuration;
  if (location === undefined) throw failure('The configuration has no location; give an absolute path');
  return checkedLocation(location);
};

/** An SR is known by its folder from its attach on. */
export const checkedLocation = (path: string): string => {
  const folder = normalize(path).replace(/\/+$/, '');
  if (!isAbsolute(path) || folder === '')
    throw failure('The location must be an absolute path below /', path);
  if (path.length > PATH_CHARS_MAX || /\p{Cc}/u.test(path))
    throw failure('The location is not a usable path');
  return folder;
};

export interface SrFigures {
  readonly sr: string;
  readonly name: string;
  readonly description: string;
  readonly uuid?: string;
}

/** The answer of SR.stat, for a folder that may have gone. */
export const srStat = async (disk: Disk, about: SrFigures): Promise<object> => {
  const there = await disk.exists(about.sr);
  const { freeBytes, totalBytes } = there ? await disk.space(about.sr) : { freeBytes: 0n, totalBytes: 0n };
  return {
    ...about,
    free_space: Number(freeBytes),
    total_space: Number(totalBytes),
    datasources: [],
    clustered: false,
    health: there ? ['Healthy', ''] : ['Unavailable', 'The folder is gone'],
  };
};
