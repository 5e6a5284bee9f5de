import { basename, dirname, join } from 'node:path';
import type { Disk } from '../drivers/disk.ts';

// Beside an image that a datapath has handed out stands a mark of the host that has it:
// `<image>.<host>.held`. Who holds an image opens it by its path, so nothing may replace it or build on it
// meanwhile. Several hosts hold one image while its guest moves.

const SUFFIX = '.held';
const HOST = /^[0-9a-f-]{1,64}$/;

export const heldMark = (image: string, host: string): string => `${image}.${host}${SUFFIX}`;

/** The image and the host of a mark; versions that knew of one host alone wrote none. */
export const readMark = (name: string): { readonly image: string; readonly host?: string } | undefined => {
  if (!name.endsWith(SUFFIX)) return undefined;
  const [, image = '', host] = /^(.*?\.(?:raw|qcow2))(?:\.(.+))?$/.exec(name.slice(0, -SUFFIX.length)) ?? [];
  if (image === '' || (host !== undefined && !HOST.test(host))) return undefined;
  return { image, ...(host !== undefined && { host }) };
};

/** Names of the marks beside an image. */
export const marksOf = async (disk: Disk, image: string): Promise<readonly string[]> => {
  const marks: string[] = [];
  for (const { name } of await disk.list(dirname(image))) {
    if (readMark(name)?.image === basename(image)) marks.push(join(dirname(image), name));
  }
  return marks;
};

const DOMAIN_CHARS_MAX = 256;

/** Whether it is a host that has what is marked, and no guest, whose domain has a number. */
export const isOfHost = async (disk: Disk, mark: string): Promise<boolean> => {
  const domain = await disk.readText(mark, DOMAIN_CHARS_MAX).catch((error: NodeJS.ErrnoException) => {
    // Given back since it was listed.
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  return domain !== undefined && !/^\d+$/.test(domain.trim());
};
