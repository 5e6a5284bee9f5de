import {
  type Storage,
  type StorageCall,
  StorageError,
  type Volume,
} from '../../src/drivers/storage/storage.ts';

// Storage in memory, each of whose steps can be made to fail or to hang until it is cancelled.

export interface FakeStorage {
  readonly storage: Partial<Storage>;
  /** Volumes by SR and key. */
  readonly volumes: Map<string, Map<string, Volume>>;
  readonly attached: Set<string>;
  readonly open: Set<string>;
  /** Calls so far, by method. */
  readonly calls: string[];
  /** From the next call on, the method does this first; what it throws is the answer. */
  disturb(method: keyof Storage, how: (call: StorageCall) => Promise<void>): void;
  restore(): void;
  /** Told of each call before it does anything; what it throws is the answer. */
  gate: (method: string, call: StorageCall) => Promise<void>;
}

export const failing = async (): Promise<never> => {
  throw new StorageError('SR_BACKEND_FAILURE', ['broken', '', '']);
};

/** As a plugin's process does: it ends when the call is given up. */
export const hanging = ({ signal }: StorageCall): Promise<never> =>
  new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

const features = ['SR_UPDATE', 'SR_SCAN', 'VDI_CREATE', 'VDI_DELETE', 'VDI_CLONE', 'VDI_SNAPSHOT'];
const more = ['VDI_RESIZE', 'VDI_UPDATE', 'VDI_INTRODUCE', 'VDI_ATTACH', 'VDI_DETACH'];
const totalBytes = 1n << 40n;

export const fakeStorage = (): FakeStorage => {
  const volumes = new Map<string, Map<string, Volume>>();
  const places = new Map<string, ReadonlyMap<string, string>>();
  const attached = new Set<string>();
  const open = new Set<string>();
  const calls: string[] = [];
  const disturbed = new Map<string, (call: StorageCall) => Promise<void>>();
  let keys = 0;

  const inSr = (sr: string): Map<string, Volume> => {
    const found = volumes.get(sr);
    if (found === undefined || !attached.has(sr)) throw new StorageError('SR_NOT_ATTACHED', [sr]);
    return found;
  };
  const find = (sr: string, key: string): Volume => {
    const volume = inSr(sr).get(key);
    if (volume === undefined) throw new StorageError('VDI_MISSING', [sr, key]);
    return volume;
  };
  const add = (sr: string, facts: Partial<Volume>): Volume => {
    keys += 1;
    const volume: Volume = {
      key: `${keys}`,
      uuid: undefined,
      name: '',
      description: '',
      readWrite: true,
      sharable: false,
      virtualSizeBytes: 0n,
      physicalUtilisationBytes: 0n,
      keys: new Map(),
      ...facts,
    };
    inSr(sr).set(volume.key, volume);
    return volume;
  };
  const stat = (sr: string) => ({
    name: sr,
    description: '',
    freeBytes: totalBytes - [...inSr(sr).values()].reduce((sum, one) => sum + one.virtualSizeBytes, 0n),
    totalBytes,
    clustered: false,
    health: 'Healthy' as const,
  });

  const plain: Partial<Storage> = {
    plugins: async () => [
      {
        type: 'fake',
        name: 'fake',
        description: '',
        vendor: '',
        copyright: '',
        version: '1',
        requiredApiVersion: '5.0',
        features: new Map([...features, ...more].map((name) => [name, 1n])),
        configuration: new Map(),
        requiredClusterStack: [],
        driverFilename: '',
      },
    ],
    createSr: async (_, { uuid, configuration }) => {
      volumes.set(uuid, new Map());
      places.set(uuid, configuration);
      return configuration;
    },
    attachSr: async (_, sr) => {
      if (!volumes.has(sr)) throw new StorageError('SR_BACKEND_FAILURE', ['There is no SR', '', '']);
      attached.add(sr);
      return stat(sr);
    },
    detachSr: async (sr) => {
      attached.delete(sr);
    },
    destroySr: async (sr) => {
      inSr(sr);
      volumes.delete(sr);
      attached.delete(sr);
    },
    probeSr: async (_, configuration) =>
      [...places]
        .filter(([uuid, at]) => volumes.has(uuid) && at.get('location') === configuration.get('location'))
        .map(([uuid]) => ({ configuration, complete: true, uuid, extraInfo: new Map() })),
    statSr: async (sr) => stat(sr),
    updateSr: async (sr) => stat(sr),
    chainsOfSr: async () => 0,
    collapseSr: async () => 0,
    scanSr: async (sr) => ({ volumes: [...inSr(sr).values()], stat: stat(sr) }),
    createVolume: async (sr, { name, description, sizeBytes, sharable, type }) =>
      add(sr, {
        name,
        description,
        sharable,
        virtualSizeBytes: sizeBytes,
        keys: new Map([['vdi-type', type]]),
      }),
    snapshotVolume: async (sr, key) => {
      const { key: _, ...facts } = find(sr, key);
      return add(sr, { ...facts, uuid: undefined });
    },
    cloneVolume: async (sr, key) => {
      const { key: _, ...facts } = find(sr, key);
      return add(sr, { ...facts, uuid: undefined, name: '' });
    },
    revertVolume: async (sr, key, snapshot) => {
      const was = { ...find(sr, snapshot), key };
      inSr(sr).set(key, was);
      return was;
    },
    destroyVolume: async (sr, key) => {
      find(sr, key);
      inSr(sr).delete(key);
    },
    resizeVolume: async (sr, key, sizeBytes) => {
      inSr(sr).set(key, { ...find(sr, key), virtualSizeBytes: sizeBytes });
      return sizeBytes;
    },
    statVolume: async (sr, key) => find(sr, key),
    updateVolume: async (sr, key) => find(sr, key),
    introduceVolume: async (sr, { key }) => find(sr, key),
    setVolumeName: async (sr, key, name) => {
      inSr(sr).set(key, { ...find(sr, key), name });
    },
    setVolumeDescription: async (sr, key, description) => {
      inSr(sr).set(key, { ...find(sr, key), description });
    },
    openVolume: async (sr, key, datapath) => {
      const { virtualSizeBytes: sizeBytes } = find(sr, key);
      open.add(`${sr}/${key} ${datapath}`);
      const read = async (into: Uint8Array, position: bigint): Promise<number> => {
        const left = sizeBytes - position;
        const bytes = left < BigInt(into.length) ? Number(left) : into.length;
        into.fill(7, 0, bytes);
        return bytes;
      };
      return { sizeBytes, address: '/where/it/is', read, write: async () => {}, flush: async () => {} };
    },
    closeVolume: async (sr, key, datapath) => {
      open.delete(`${sr}/${key} ${datapath}`);
    },
  };

  const watched = Object.fromEntries(
    Object.entries(plain).map(([method, run]) => [
      method,
      async (...args: unknown[]) => {
        calls.push(method);
        await self.gate(method, args.at(-1) as StorageCall);
        await disturbed.get(method)?.(args.at(-1) as StorageCall);
        return (run as (...all: unknown[]) => unknown)(...args);
      },
    ]),
  );
  const self: FakeStorage = {
    storage: {
      ...watched,
      isSrAttached: (sr) => attached.has(sr),
      attachedSrs: () => [...attached],
      datapaths: (sr, key) => [...open].filter((one) => one.startsWith(`${sr}/${key} `)),
    },
    volumes,
    attached,
    open,
    calls,
    disturb: (method, how) => disturbed.set(method, how),
    restore: () => disturbed.clear(),
    gate: async () => {},
  };
  return self;
};
