import { basename } from 'node:path';
import { formatChoice } from '../file/plugin.ts';
import { type Configuration, type Found, type Place, uuidIn } from '../place.ts';
import { failure, type Methods, Refusal } from '../script.ts';
import { type BlockDevice, deviceNamed, freeDevices, labelsOf } from './devices.ts';
import { type MountedGiven, type Mounting, mountedPlugin } from './plugin.ts';

/**
 * SR type `ext`: disk images in a file system of ext4 that the plugin makes on a block device or a partition.
 * Its uuid is the repository's, so that the device is found whatever the kernel calls it next time.
 */
export const extPlugin = (given: MountedGiven): Methods => mountedPlugin(given, about, extPlace);

const LABEL = 'xenact-sr';

const about = {
  plugin: 'ext',
  name: 'Block device with disk images',
  description: 'Keeps each disk as an image file, qcow2 or raw, in a file system of ext4 on a block device',
  configuration: {
    device: 'path of a block device or a partition, such as /dev/sdb',
    erase: 'true: what is on the device may go when the SR is made',
    format: formatChoice,
  },
};

const extPlace = ({ mounts, disk, tool }: Mounting): Place => {
  const device = async ({ device: path }: Configuration): Promise<BlockDevice> => {
    if (path === undefined)
      throw failure('The configuration has no device; SR.probe_ext tells which there are');
    return deviceNamed(disk, tool, path);
  };

  const mount = (uuid: string, path: string): Promise<string> =>
    mounts.mount(uuid, { type: 'ext4', source: path, options: ['noatime'] });

  /** By what is on it: the kernel may call it by another name than when it was made. */
  const deviceOf = async (uuid: string, { device: hint }: Configuration): Promise<string> => {
    const all = await labelsOf(tool);
    const named = hint === undefined ? undefined : await disk.realPath(hint);
    const found = all.filter((one) => one.uuid === uuid && one.label === LABEL).map(({ path }) => path);
    if (named !== undefined && found.includes(named)) return named;
    const [only, ...others] = found;
    if (only === undefined) throw failure('No block device of this host has the file system of the SR', uuid);
    if (others.length > 0) throw failure('Several devices have the file system of the SR', found.join(' '));
    return only;
  };

  return {
    make: async (configuration, uuid) => {
      const { path, isEmpty, use } = await device(configuration);
      if (use !== undefined)
        throw new Refusal('SR_BACKEND_FAILURE', [`The device is in use: ${use}`, '', path]);
      if (!isEmpty && configuration['erase'] !== 'true')
        throw failure('There is something on the device; give erase=true if it may go', path);
      // The program looks itself whether anybody has the device, and then takes it whole.
      await tool('mkfs.ext4', ['-q', '-F', '-m', '0', '-L', LABEL, '-U', uuid, '--', path]);
      const { erase: _, ...kept } = configuration;
      return { folder: await mount(uuid, path), configuration: { ...kept, uuid } };
    },
    reach: async (configuration) => {
      const uuid = uuidIn(configuration);
      if (uuid === undefined)
        throw failure('The configuration has no uuid; SR.probe_ext tells which there are');
      return mount(uuid, await deviceOf(uuid, configuration));
    },
    leave: (folder) => mounts.unmount(basename(folder)),
    remove: async (folder) => {
      const uuid = basename(folder);
      const path = await deviceOf(uuid, {});
      await mounts.unmount(uuid);
      // Free for whatever is to be on it next.
      await tool('wipefs', ['--all', '--quiet', '--', path]);
    },
    look: async (configuration) => {
      const wanted = configuration['device'] === undefined ? undefined : await device(configuration);
      const made = (await labelsOf(tool)).filter(({ label }) => label === LABEL);
      const known = made.map((one) => repository(configuration, one.path, one.uuid));
      const free = await freeDevices(tool);
      return [...known, ...free.map((one) => candidate(configuration, one))].filter(
        (found) => wanted === undefined || found.configuration['device'] === wanted.path,
      );
    },
  };
};

/** What is on it is seen once it is attached. */
const repository = (configuration: Configuration, device: string, uuid: string): Found => ({
  configuration: { ...configuration, device, uuid },
  complete: true,
  sr: {
    sr: device,
    uuid,
    name: '',
    description: '',
    free_space: 0,
    total_space: 0,
    datasources: [],
    clustered: false,
    health: ['Healthy', ''],
  },
  extra_info: {},
});

const candidate = (configuration: Configuration, { path, sizeBytes }: BlockDevice): Found => ({
  configuration: { ...configuration, device: path },
  complete: false,
  extra_info: { size: `${sizeBytes}` },
});
