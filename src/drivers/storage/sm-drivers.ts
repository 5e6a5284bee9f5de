import { join } from 'node:path';
import { DecodeFailure } from '../../std/decode-failure.ts';
import type { Log } from '../../std/log.ts';
import { itemsOf, member, required, stringOf } from '../../std/reader.ts';
import type { Value } from '../../std/value.ts';
import type { Disk } from '../disk.ts';
import type { Processes } from '../processes.ts';
import { claimedFeatures } from './claims.ts';
import { runDriver, type SmLimits } from './sm-call.ts';
import { type StorageCall, StorageError, type StoragePlugin } from './storage.ts';

/** Which drivers of SMAPIv1 count. */
export interface SmSettings {
  /** Holds an executable `<Name>SR` for each driver. Absent: there are none. */
  readonly folder?: string;
  /** Names in lower case, or all that are there. */
  readonly wanted: ReadonlySet<string> | 'all';
}

/** The SMAPIv1 drivers of this host. */
export interface SmDrivers {
  /** Looks again, and asks each who it is. One that does not answer properly is left out and logged. */
  describe(call: StorageCall): Promise<readonly StoragePlugin[]>;
  /** Its path, or undefined where no driver of the type is wanted and there. */
  find(type: string): Promise<string | undefined>;
  /** True: somebody named it, so that it stands before a plugin of the same type. */
  isNamed(type: string): boolean;
}

const suffix = 'SR';

/** Only these know nothing of a toolstack that never calls back. */
export const isOldVersion = (version: string): boolean => version.startsWith('1.');

export const smDrivers = (given: {
  readonly settings: SmSettings;
  readonly disk: Disk;
  readonly processes: Processes;
  readonly limits: SmLimits;
  readonly host: () => string;
  readonly log: Log;
}): SmDrivers => {
  const { settings, disk, log } = given;
  let known: Promise<ReadonlyMap<string, string>> | undefined;

  const isWanted = (type: string): boolean => settings.wanted === 'all' || settings.wanted.has(type);

  /** Paths by type: a driver's name in lower case, where its file keeps the case. */
  const look = async (): Promise<ReadonlyMap<string, string>> => {
    const found = new Map<string, string>();
    if (settings.folder === undefined) return found;
    for (const { name, kind } of await disk.list(settings.folder).catch(unreadable(settings.folder, log))) {
      const type = name.slice(0, -suffix.length).toLowerCase();
      if (kind === 'folder' || !name.endsWith(suffix) || type === '' || !isWanted(type)) continue;
      const path = join(settings.folder, name);
      if (!found.has(type) && (await disk.isExecutable(path))) found.set(type, path);
    }
    return found;
  };

  const describe = async (type: string, path: string, call: StorageCall): Promise<StoragePlugin> => {
    const request = {
      host_ref: given.host(),
      command: 'sr_get_driver_info',
      args: [],
      device_config: new Map<string, string>(),
    };
    const about = readDriver(await runDriver(given, path, request, call));
    return { ...about, type, driverFilename: path, requiredClusterStack: [] };
  };

  return {
    describe: async (call) => {
      known = look();
      const plugins: StoragePlugin[] = [];
      for (const [type, path] of await known) {
        try {
          plugins.push(await describe(type, path, call));
        } catch (error) {
          call.signal?.throwIfAborted();
          log.warn({ driver: path, error }, 'a storage driver does not say who it is');
        }
      }
      return plugins;
    },
    find: async (type) => {
      const before = await (known ?? look());
      if (before.has(type)) return before.get(type);
      known = look();
      return (await known).get(type);
    },
    isNamed: (type) => settings.wanted !== 'all' && settings.wanted.has(type),
  };
};

const unreadable =
  (folder: string, log: Log) =>
  (error: unknown): readonly never[] => {
    log.warn({ folder, error }, 'the folder of storage drivers cannot be read');
    return [];
  };

const listMax = 1_000;

const readDriver = (
  value: Value,
): Omit<StoragePlugin, 'type' | 'driverFilename' | 'requiredClusterStack'> => {
  const requiredApiVersion = required(value, 'required_api_version', stringOf);
  if (!isOldVersion(requiredApiVersion)) {
    throw new DecodeFailure(`Expected required_api_version to be 1.x, got ${requiredApiVersion}`);
  }
  const settings = itemsOf(
    member(value, 'configuration'),
    (item) => [required(item, 'key', stringOf), required(item, 'description', stringOf)] as const,
    'configuration',
    listMax,
  );
  return {
    name: required(value, 'name', stringOf),
    description: required(value, 'description', stringOf),
    vendor: required(value, 'vendor', stringOf),
    copyright: required(value, 'copyright', stringOf),
    version: required(value, 'driver_version', stringOf),
    requiredApiVersion,
    features: featuresOf(itemsOf(member(value, 'capabilities'), stringOf, 'capabilities', listMax)),
    configuration: new Map(settings),
  };
};

/** One that copies while a guest writes can also be copied to. */
const featuresOf = (claims: readonly string[]): ReadonlyMap<string, bigint> =>
  claimedFeatures(
    claims.flatMap((one) => (one.split('/')[0] === 'VDI_MIRROR' ? [one, 'VDI_MIRROR_IN'] : [one])),
  );

/** What is asked of an SR type that nobody serves. */
export const requiredDriver = (path: string | undefined, type: string): string => {
  if (path === undefined) throw new StorageError('SR_UNKNOWN_DRIVER', [type]);
  return path;
};
