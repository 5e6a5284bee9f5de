import { basename, dirname, join } from 'node:path';
import { own } from '../../std/own.ts';
import { formatChoice } from '../file/plugin.ts';
import { type Configuration, type Found, type Place, UUID, uuidIn } from '../place.ts';
import { failure, type Methods } from '../script.ts';
import type { Mountable } from './mounts.ts';
import { type MountedGiven, type Mounting, mountedPlugin } from './plugin.ts';

/**
 * SR type `nfs`: disk images on the export of an NFS server. Each repository has a folder of its own on it,
 * named by its uuid.
 */
export const nfsPlugin = (given: MountedGiven): Methods => mountedPlugin(given, about, nfsPlace);

const about = {
  plugin: 'nfs',
  name: 'NFS export with disk images',
  description: 'Keeps each disk as an image file, qcow2 or raw, on an export of an NFS server',
  configuration: {
    server: 'name or address of the server',
    serverpath: 'path of the export',
    nfsversion: '3, 4, 4.0, 4.1 or 4.2; without it the newest that both know',
    options: 'of the mount, such as hard,timeo=600',
    format: formatChoice,
  },
};

const nfsPlace = ({ mounts, disk, tool, random }: Mounting): Place => {
  /** Mounts for a moment what is not attached. */
  const during = async <T>(
    configuration: Configuration,
    look: (folder: string) => Promise<T>,
  ): Promise<T> => {
    const name = random.uuid();
    try {
      return await look(await mounts.mount(name, exportOf(configuration)));
    } finally {
      await mounts.unmount(name);
    }
  };

  return {
    make: async (configuration, uuid) => {
      const folder = join(await mounts.mount(uuid, exportOf(configuration)), uuid);
      await disk.makeFolder(folder, 0o700).catch(async (error) => {
        await mounts.unmount(uuid);
        throw error;
      });
      return { folder, configuration: { ...configuration, uuid } };
    },
    reach: async (configuration) => {
      const uuid = uuidIn(configuration);
      if (uuid === undefined)
        throw failure('The configuration has no uuid; SR.probe_ext tells which there are');
      const folder = join(await mounts.mount(uuid, exportOf(configuration)), uuid);
      if (await disk.exists(folder)) return folder;
      await mounts.unmount(uuid);
      throw failure('The export has no folder of this SR', `${configuration['serverpath']}/${uuid}`);
    },
    leave: (folder) => mounts.unmount(basename(dirname(folder))),
    remove: async (folder) => {
      const strangers = await disk.list(folder);
      if (strangers.length === 0) await disk.remove(folder);
      await mounts.unmount(basename(dirname(folder)));
    },
    look: async (configuration, at) => {
      if (configuration['serverpath'] === undefined) return exportsOf(tool, configuration);
      return during(configuration, async (folder) => {
        const found: Found[] = [];
        for (const { name, kind } of await disk.list(folder)) {
          const sr = kind === 'folder' && UUID.test(name) ? await at(join(folder, name)) : undefined;
          const complete = { ...configuration, uuid: name };
          if (sr !== undefined) found.push({ configuration: complete, complete: true, sr, extra_info: {} });
        }
        return found;
      });
    },
  };
};

const EXPORTS_MAX = 1_000;

const exportsOf = async (tool: Mounting['tool'], configuration: Configuration): Promise<Found[]> => {
  const server = serverOf(configuration);
  const lines = (await tool('showmount', ['--no-headers', '--exports', server])).split('\n');
  return lines.slice(0, EXPORTS_MAX).flatMap((line) => {
    const [, serverpath, clients] = /^(\/.*?)\s+(\S+)\s*$/.exec(line) ?? [];
    if (serverpath === undefined || clients === undefined) return [];
    return [{ configuration: { ...configuration, serverpath }, complete: false, extra_info: { clients } }];
  });
};

const exportOf = (configuration: Configuration): Mountable => {
  const server = serverOf(configuration);
  const { serverpath = '', nfsversion, options = '' } = configuration;
  if (!isSharePath(serverpath))
    throw failure('The serverpath must be an absolute path on the server', serverpath);
  if (nfsversion !== undefined && !versions.includes(nfsversion))
    throw failure(`The nfsversion must be one of ${versions.join(', ')}`, nfsversion);
  const wanted = options.split(',').filter((option) => option !== '');
  const unknown = wanted.find((option) => !isOption(option));
  if (unknown !== undefined) throw failure('An option that is not for a repository, or not known', unknown);
  const version = nfsversion === undefined ? [] : [`vers=${nfsversion}`];
  return {
    type: 'nfs',
    source: `${addressed(server)}:${serverpath}`,
    options: [...version, 'retry=0', ...wanted],
  };
};

const versions: readonly string[] = ['3', '4', '4.0', '4.1', '4.2'];

/** A name or an address, and nothing that could be an option. */
const serverOf = ({ server = '' }: Configuration): string => {
  const bare = server.replace(/^\[(.*)\]$/, '$1');
  if (isServer(bare)) return bare;
  throw failure('The server must be a name or an address', server);
};

export const isServer = (text: string): boolean =>
  text.length <= 253 && /^(?!-)([A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?)$/.test(text);

const addressed = (server: string): string => (server.includes(':') ? `[${server}]` : server);

export const isSharePath = (path: string): boolean =>
  path.startsWith('/') && path.length <= 1_024 && !/\p{Cc}/u.test(path) && !path.split('/').includes('..');

/** Without those that would turn locks off, change who is who, or run something. */
const flags: readonly string[] = [
  ...['hard', 'soft', 'softerr', 'tcp', 'udp', 'cto', 'nocto', 'ac', 'noac'],
  ...['noatime', 'nodiratime', 'relatime', 'rdirplus', 'nordirplus', 'sharecache', 'nosharecache'],
];
const numbers: readonly string[] = [
  ...['timeo', 'retrans', 'rsize', 'wsize', 'port', 'mountport', 'nconnect'],
  ...['acregmin', 'acregmax', 'acdirmin', 'acdirmax', 'actimeo'],
];
const words: Readonly<Record<string, readonly string[]>> = {
  proto: ['tcp', 'udp', 'tcp6', 'udp6', 'rdma'],
  sec: ['sys', 'krb5', 'krb5i', 'krb5p'],
  lookupcache: ['all', 'pos', 'positive', 'none'],
};

const isOption = (option: string): boolean => {
  const [, name = '', value] = /^([a-z]+)(?:=(.*))?$/.exec(option) ?? [];
  if (value === undefined) return flags.includes(name);
  if (numbers.includes(name)) return /^\d{1,9}$/.test(value);
  return own(words, name)?.includes(value) === true;
};
