import { join } from 'node:path';
import type { Disk } from '../../drivers/disk.ts';
import type { OwnFolders, Share } from '../../std/repository-folder.ts';
import type { Configuration } from '../place.ts';
import { failure } from '../script.ts';
import type { Tool } from '../tools.ts';
import { type Mounts, mountsFolder } from './mounts.ts';
import { isServer, isSharePath } from './nfs.ts';

/** MountedShares of other machines, mounted for reading. */
export interface MountedShares {
  /** Answers the folder in it that the configuration means. */
  reach(name: string, share: Share, configuration: Configuration): Promise<string>;
  leave(name: string): Promise<void>;
}

export interface SharesGiven {
  readonly disk: Disk;
  readonly tool: Tool;
  readonly own: OwnFolders;
  readonly mounts: Mounts;
}

const versions: readonly string[] = ['1.0', '2.0', '2.1', '3', '3.0', '3.02', '3.1.1'];

export const sharesOf = ({ disk, own, mounts }: SharesGiven): MountedShares => {
  const mountNfs = (
    name: string,
    { server, path }: Share,
    { nfsversion }: Configuration,
  ): Promise<string> => {
    const version = nfsversion === undefined ? [] : [`vers=${nfsversion}`];
    if (nfsversion !== undefined && !/^[34](\.[012])?$/.test(nfsversion))
      throw failure('The nfsversion must be 3, 4, 4.0, 4.1 or 4.2', nfsversion);
    return mounts.mount(name, {
      type: 'nfs',
      source: `${server}:${path}`,
      options: ['ro', 'retry=0', ...version],
    });
  };

  /** Who one is there is told in a file, as the command line of a program is everybody's to read. */
  const mountSmb = async (name: string, { server, path }: Share, configuration: Configuration) => {
    const { vers = '3.0' } = configuration;
    if (!versions.includes(vers)) throw failure(`vers must be one of ${versions.join(', ')}`, vers);
    const told = credentialsIn(configuration);
    const file = join(mountsFolder(own), `.${name}.credentials`);
    await disk.makeFolder(mountsFolder(own), 0o700);
    if (told !== undefined) await disk.replaceText(file, told, 0o600);
    const who = told === undefined ? 'guest' : `credentials=${file}`;
    try {
      const source = `//${server}/${path}`;
      return await mounts.mount(name, { type: 'cifs', source, options: ['ro', `vers=${vers}`, who] });
    } finally {
      if (told !== undefined) await disk.remove(file);
    }
  };

  return {
    reach: async (name, share, configuration) => {
      if (!isServer(share.server.replace(/^\[(.*)\]$/, '$1')) || !isSharePath(`/${share.path}`))
        throw failure('The location is no share that can be mounted', configuration['location']);
      const mount = share.type === 'nfs' ? mountNfs : mountSmb;
      const folder = await mount(name, share, configuration);
      try {
        return await within(disk, folder, configuration['iso_path'] ?? '');
      } catch (error) {
        await mounts.unmount(name);
        throw error;
      }
    },
    leave: mounts.unmount,
  };
};

/** The server says where links of its lead: not out of what it serves. */
const within = async (disk: Disk, folder: string, path: string): Promise<string> => {
  const top = (await disk.realPath(folder)) ?? folder;
  const real = await disk.realPath(join(top, path));
  if (real === top || real?.startsWith(`${top}/`) === true) return `${folder}${real.slice(top.length)}`;
  throw failure('The share has no such folder', path);
};

const credentialsIn = ({ username, cifspassword, password }: Configuration): string | undefined => {
  if (username === undefined) return undefined;
  const [, domain, user = ''] = /^(?:([^\\/]+)[\\/])?(.*)$/s.exec(username) ?? [];
  const secret = cifspassword ?? password ?? '';
  if (/[\n\r\0]/.test(`${username}${secret}`))
    throw failure('The user name and password must be of one line');
  const lines = [
    `username=${user}`,
    `password=${secret}`,
    ...(domain === undefined ? [] : [`domain=${domain}`]),
  ];
  return `${lines.join('\n')}\n`;
};
