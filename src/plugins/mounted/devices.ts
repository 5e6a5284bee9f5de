import type { Disk } from '../../drivers/disk.ts';
import { own } from '../../std/own.ts';
import { jsonIn } from '../../std/reader.ts';
import { failure, isObject, Refusal } from '../script.ts';
import type { Tool } from '../tools.ts';

// The block devices of this host, and what is on them.

export interface BlockDevice {
  readonly path: string;
  readonly sizeBytes: number;
  /** Neither a file system nor a table of partitions, nor a part of anything. */
  readonly isEmpty: boolean;
  /** Who has it or a part of it. */
  readonly use: string | undefined;
}

const COLUMNS = 'PATH,SIZE,TYPE,FSTYPE,PTTYPE,MOUNTPOINTS,RO';
const kinds: readonly string[] = ['disk', 'part', 'loop', 'lvm', 'raid0', 'raid1', 'raid5', 'mpath', 'crypt'];

/** A device by a path that leads to it. */
export const deviceNamed = async (disk: Disk, tool: Tool, path: string): Promise<BlockDevice> => {
  const real = path.startsWith('/dev/') ? await disk.realPath(path) : undefined;
  if (real === undefined || !real.startsWith('/dev/'))
    throw failure('The device must be the path of one block device below /dev', path);
  const [found] = await listed(tool, [real]);
  if (found === undefined) throw failure('This is no block device that can hold an SR', path);
  return { ...found, isEmpty: found.isEmpty && (await isBlank(tool, real)) };
};

/** What is told of a device may be older than what is on it. */
const isBlank = async (tool: Tool, path: string): Promise<boolean> =>
  (await tool('wipefs', ['--noheadings', '--output', 'TYPE', '--', path])).trim() === '';

const FREE_MAX = 128;

/** Those that nobody has and nothing is on. */
export const freeDevices = async (tool: Tool): Promise<readonly BlockDevice[]> => {
  const likely = (await listed(tool, [])).filter(({ isEmpty, use }) => isEmpty && use === undefined);
  const free: BlockDevice[] = [];
  for (const device of likely.slice(0, FREE_MAX)) if (await isBlank(tool, device.path)) free.push(device);
  return free;
};

const listed = async (tool: Tool, paths: readonly string[]): Promise<readonly BlockDevice[]> => {
  const args = ['--json', '--bytes', '--output', COLUMNS];
  const answer = jsonIn(await tool('lsblk', [...args, ...(paths.length > 0 ? ['--', ...paths] : [])]));
  const devices = isObject(answer) ? own(answer, 'blockdevices') : undefined;
  const all = Array.isArray(devices) ? devices.filter(isObject) : [];
  return all.flatMap((device) => withParts(device)).flatMap((device) => deviceOf(device) ?? []);
};

type Row = Readonly<Record<string, unknown>>;

const partsOf = (device: Row): readonly Row[] => {
  const parts = own(device, 'children');
  return Array.isArray(parts) ? parts.filter(isObject) : [];
};

const withParts = (device: Row): readonly Row[] => [device, ...partsOf(device).flatMap(withParts)];

const deviceOf = (row: Row): BlockDevice | undefined => {
  const path = own(row, 'path');
  const sizeBytes = Number(own(row, 'size'));
  if (typeof path !== 'string' || !kinds.includes(String(own(row, 'type'))) || !(sizeBytes > 0))
    return undefined;
  const [part] = partsOf(row);
  const points = own(row, 'mountpoints');
  const mounted = Array.isArray(points) ? points.find((point) => typeof point === 'string') : undefined;
  const partUse = part === undefined ? undefined : `${own(part, 'path')} is a part of it or made of it`;
  const readOnly = own(row, 'ro') === true ? 'it is read-only' : undefined;
  return {
    path,
    sizeBytes,
    isEmpty: own(row, 'fstype') === null && own(row, 'pttype') === null && part === undefined,
    use: (mounted === undefined ? undefined : `it is mounted at ${mounted}`) ?? partUse ?? readOnly,
  };
};

export interface Labelled {
  readonly path: string;
  readonly uuid: string;
  readonly label: string;
}

/** File systems of ext4 as they are on the devices now, not as somebody remembers them. */
export const labelsOf = async (tool: Tool): Promise<readonly Labelled[]> => {
  const blocks = await tool('blkid', ['-c', '/dev/null', '-o', 'export', '-t', 'TYPE=ext4']).catch(
    (error) => {
      // Where there is none it fails, and says nothing.
      if (error instanceof Refusal && error.params[2] === '') return '';
      throw error;
    },
  );
  return blocks.split('\n\n').flatMap((block) => {
    const facts = new Map(block.split('\n').map((line) => pair(line)));
    const [path, uuid, label] = [facts.get('DEVNAME'), facts.get('UUID'), facts.get('LABEL')];
    return path === undefined || uuid === undefined ? [] : [{ path, uuid, label: label ?? '' }];
  });
};

const pair = (line: string): readonly [string, string] => {
  const at = line.indexOf('=');
  return [line.slice(0, at), line.slice(at + 1)];
};
