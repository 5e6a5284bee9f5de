import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { folderOfHost } from '../../std/repository-folder.ts';
import { type FolderGiven, inAllowedFolders, locationOf, srStat } from '../location.ts';
import { failure, type Methods, nothing, Refusal, textOf, textsOf } from '../script.ts';

const NAME_BYTES_MAX = 255;

/** SR type `iso`: the ISO images of a folder, for reading only. A volume's key is its file's name. */
export const isoPlugin = (given: FolderGiven): Methods => {
  const { disk } = given;
  const existing = async (path: string): Promise<string> => {
    if (!(await disk.exists(path))) throw failure('The location does not exist', path);
    await disk.list(path);
    return path;
  };
  const stat = (path: string): Promise<object> =>
    srStat(disk, { sr: path, name: 'ISO images', description: `ISO images in ${path}` });

  const volumeOf = async (folder: string, key: string): Promise<object> => {
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

  /** Only what the folder itself lists, so that no name leads out of it and no link is followed. */
  const images = async (folder: string): Promise<readonly string[]> =>
    (await disk.list(folder))
      .filter(({ name, kind }) => kind === 'file' && isIsoName(name))
      .map(({ name }) => name);

  return inAllowedFolders(given, {
    'Plugin.query': async () => about,
    'SR.create': async (args) => {
      const configuration = textsOf(args, 'configuration');
      return { ...configuration, location: await existing(locationOf(configuration)) };
    },
    'SR.attach': (args) => existing(locationOf(textsOf(args, 'configuration'))),
    'SR.detach': nothing,
    // The images were there before the SR, and stay.
    'SR.destroy': nothing,
    'SR.stat': (args) => stat(textOf(args, 'sr')),
    'SR.probe': async (args) => {
      const configuration = textsOf(args, 'configuration');
      const path = locationOf(configuration);
      if (!(await disk.exists(path))) return [];
      return [{ configuration, complete: true, sr: await stat(path), extra_info: {} }];
    },
    'SR.ls': async (args) => {
      const folder = textOf(args, 'sr');
      return Promise.all((await images(folder)).map((name) => volumeOf(folder, name)));
    },
    'Volume.stat': async (args) => {
      const folder = textOf(args, 'sr');
      const key = textOf(args, 'key');
      if (!(await images(folder)).includes(key)) throw new Refusal('VDI_MISSING', [folder, key]);
      return volumeOf(folder, key);
    },
  });
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
  vendor: 'Xenact',
  copyright: '',
  version: '1.0',
  required_api_version: '5.0',
  features: [],
  configuration: { location: folderOfHost },
  required_cluster_stack: [],
};
