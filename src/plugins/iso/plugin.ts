import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Disk } from '../../drivers/disk.ts';
import type { Processes } from '../../drivers/processes.ts';
import type { Random } from '../../std/clock.ts';
import { folderOrShare, type OwnFolders, shareOf } from '../../std/repository-folder.ts';
import { type FolderGiven, inAllowedFolders, locationOf, srStat } from '../location.ts';
import { mountsFolder, mountsOf } from '../mounted/mounts.ts';
import { sharesOf } from '../mounted/share.ts';
import { type Configuration, uuidIn } from '../place.ts';
import { type Args, always, failure, type Methods, ofOurs, Refusal, textOf, textsOf } from '../script.ts';
import { toolsBy } from '../tools.ts';

const NAME_BYTES_MAX = 255;

export interface IsoPluginGiven extends FolderGiven {
  readonly own: OwnFolders;
  readonly processes: Processes;
  readonly random: Random;
}

/**
 * SR type `iso`: the ISO images of a folder or of a share that is mounted, for reading only. A volume's key
 * is its file's name.
 */
export const isoPlugin = (given: IsoPluginGiven): Methods => {
  const { disk, own, random } = given;
  const tool = toolsBy(given.processes);
  const shares = sharesOf({ disk, tool, own, mounts: mountsOf(disk, tool, own) });
  const mounted = `${mountsFolder(own)}/`;
  const isMounted = (folder: string): boolean =>
    /^[0-9a-f-]{36}(\/|$)/.test(belowMounts(folder)) && !folder.split('/').includes('..');
  const belowMounts = (folder: string): string =>
    folder.startsWith(mounted) ? folder.slice(mounted.length) : '';

  /** Looks at what is not attached; a share is mounted meanwhile. */
  const during = async <T>(
    configuration: Configuration,
    look: (folder: string) => Promise<T>,
  ): Promise<T> => {
    const share = shareOf(locationOf(configuration));
    if (share === undefined) return look(locationOf(configuration));
    const name = random.uuid();
    try {
      return await look(await shares.reach(name, share, configuration));
    } finally {
      await shares.leave(name);
    }
  };

  const existing = async (path: string): Promise<string> => {
    if (!(await disk.exists(path))) throw failure('The location does not exist', path);
    await disk.list(path);
    return path;
  };
  const stat = (path: string): Promise<object> =>
    srStat(disk, { sr: path, name: 'ISO images', description: `ISO images in ${path}` });

  /** Only what the folder itself lists, so that no name leads out of it and no link is followed. */
  const images = async (folder: string): Promise<readonly string[]> =>
    (await disk.list(folder))
      .filter(({ name, kind }) => kind === 'file' && isIsoName(name))
      .map(({ name }) => name);

  const leave = async (args: Args): Promise<void> => {
    const [name = ''] = belowMounts(textOf(args, 'sr')).split('/');
    if (isMounted(textOf(args, 'sr'))) await shares.leave(name);
  };

  const methods: Methods = {
    'Plugin.query': always(about),
    'SR.create': async (args) => {
      const configuration = textsOf(args, 'configuration');
      await during(configuration, existing);
      return configuration;
    },
    'SR.attach': async (args) => {
      const configuration = textsOf(args, 'configuration');
      const location = locationOf(configuration);
      const share = shareOf(location);
      if (share === undefined) return existing(location);
      const uuid = uuidIn(configuration);
      if (uuid === undefined) throw failure('An attach of a share must say of which SR it is, as sr_uuid');
      return shares.reach(uuid, share, configuration);
    },
    'SR.detach': leave,
    // The images were there before the SR, and stay.
    'SR.destroy': leave,
    'SR.stat': (args) => stat(textOf(args, 'sr')),
    'SR.probe': async (args) => {
      const configuration = textsOf(args, 'configuration');
      return during(configuration, async (path) => {
        if (!(await disk.exists(path))) return [];
        return [{ configuration, complete: true, sr: await stat(path), extra_info: {} }];
      });
    },
    'SR.ls': async (args) => {
      const folder = textOf(args, 'sr');
      return Promise.all((await images(folder)).map((name) => volumeOf(disk, folder, name)));
    },
    'Volume.stat': async (args) => {
      const folder = textOf(args, 'sr');
      const key = textOf(args, 'key');
      if (!(await images(folder)).includes(key)) throw new Refusal('VDI_MISSING', [folder, key]);
      return volumeOf(disk, folder, key);
    },
  };
  return inAllowedFolders(given, methods, { isMounted, isShare: (path) => shareOf(path) !== undefined });
};

const volumeOf = async (disk: Disk, folder: string, key: string): Promise<object> => {
  const path = join(folder, key);
  const file = await disk.openWithin(folder, key, 'read');
  const size = Number(file.sizeBytes);
  await file.close();
  return {
    key,
    name: key,
    description: '',
    read_write: false,
    sharable: true,
    virtual_size: size,
    physical_utilisation: size,
    uri: [`raw+file://${pathToFileURL(path).pathname}`],
    keys: { 'image-format': 'raw' },
  };
};

const isIsoName = (name: string): boolean =>
  /\.iso$/i.test(name) &&
  !/[\p{Cc}/\ufffd]/u.test(name) &&
  !name.startsWith('.') &&
  Buffer.byteLength(name) <= NAME_BYTES_MAX;

const about = {
  plugin: 'iso',
  name: 'Folder of ISO images',
  description: 'Offers the ISO images of a folder of the host as CDs',
  ...ofOurs,
  features: [],
  configuration: {
    location: folderOrShare,
    username: 'of SMB; a domain before a backslash; without it a guest',
    cifspassword: 'of SMB, or cifspassword_secret: uuid of a secret with it',
    vers: 'version of SMB, without it 3.0',
    iso_path: 'folder within the share',
    nfsversion: '3, 4, 4.0, 4.1 or 4.2',
  },
};
