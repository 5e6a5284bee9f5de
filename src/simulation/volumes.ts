import type { XenopsDisk } from '../drivers/hypervisor/hypervisor.ts';
import {
  type ChangeTracking,
  type NewVolume,
  type OpenVolume,
  type SrMethod,
  type SrStat,
  type Storage,
  type StorageCall,
  StorageError,
  type Volume,
  type VolumeMethod,
} from '../drivers/storage/storage.ts';
import type { Random } from '../std/clock.ts';
import { type Content, type ContentRoom, noContent } from './volume-content.ts';
import { type SimulatedType, simulatedPlugins, simulatedTypes } from './volume-plugins.ts';

/** The storage of a simulated pool: repositories that all hosts see, or one. */
export interface Volumes {
  /** Makes a repository that is there from the start. */
  add(repository: NewRepository): void;
  /** Puts a disk into it; answers nothing, as its rows are made by whoever calls. */
  addVolume(sr: string, volume: Volume): void;
  /** The storage as one host sees it. `takeTime`: takes as long as an operation takes. */
  of(host: string, takeTime: (call: StorageCall) => Promise<void>): HostVolumes;
}

export interface NewRepository {
  readonly uuid: string;
  readonly name: string;
  readonly description: string;
  readonly type: string;
  readonly totalBytes: bigint;
  /** The only host that sees it. */
  readonly host?: string;
}

/** The disks of guests. What they refuse is a `StorageError`. */
export interface GuestDisks {
  hold(disk: XenopsDisk, datapath: string, writable: boolean): void;
  /** The same bytes are on another disk, which is held in place of the one before. */
  exchange(from: XenopsDisk, into: XenopsDisk, datapath: string, writable: boolean): void;
  /** What is not held is let go without a word. */
  release(datapath: string): void;
}

export interface HostVolumes extends Storage, GuestDisks {
  /** The machine lost its power: it holds nothing and has nothing attached. */
  forget(): void;
}

interface Stored {
  volume: Volume;
  content: Content;
  /** What it had before its data went. */
  past?: Content;
}

interface Repository extends NewRepository {
  readonly kind: SimulatedType;
  readonly volumes: Map<string, Stored>;
  /** Of all volumes together. */
  usedBytes: bigint;
}

interface Hold {
  readonly host: string;
  readonly sr: string;
  readonly key: string;
  readonly datapath: string;
  readonly writable: boolean;
}

/** Disks of one repository; one more is refused as if it were full. */
export const volumesMax = 20_000;

const failed = (...params: readonly string[]): StorageError => new StorageError('SR_BACKEND_FAILURE', params);

export const simulatedVolumes = (random: Random): Volumes => {
  const repositories = new Map<string, Repository>();
  /** By disk. */
  const holds = new Map<string, Hold[]>();
  const world: World = { random, repositories, holds, room: { keptBytes: 0 } };
  const add = (repository: NewRepository): void => {
    const kind = simulatedTypes.get(repository.type);
    if (kind === undefined) throw new StorageError('SR_UNKNOWN_DRIVER', [repository.type]);
    repositories.set(repository.uuid, { ...repository, kind, volumes: new Map(), usedBytes: 0n });
  };
  return {
    add,
    addVolume: (sr, volume) => {
      const repository = repositories.get(sr);
      if (repository === undefined) throw failed('', `There is no repository ${sr}`, '');
      repository.volumes.set(volume.key, { volume, content: noContent(world.room) });
      repository.usedBytes += volume.physicalUtilisationBytes;
    },
    of: (host, takeTime) => hostVolumes({ ...world, add }, host, takeTime),
  };
};

interface World {
  readonly random: Random;
  readonly repositories: Map<string, Repository>;
  readonly holds: Map<string, Hold[]>;
  readonly room: ContentRoom;
}

type TakeTime = (call: StorageCall) => Promise<void>;

const hostVolumes = (
  world: World & { readonly add: Volumes['add'] },
  host: string,
  takeTime: TakeTime,
): HostVolumes => {
  const { repositories, holds } = world;
  const attached = new Set<string>();
  const own = new Map<string, Hold>();

  const repositoryOf = (sr: string): Repository => {
    const found = repositories.get(sr);
    if (found === undefined || !attached.has(sr)) throw new StorageError('SR_NOT_ATTACHED', [sr]);
    return found;
  };
  const find = (sr: string, key: string): Stored => {
    const found = repositoryOf(sr).volumes.get(key);
    if (found === undefined) throw new StorageError('VDI_MISSING', [sr, key]);
    return found;
  };
  const hold = (sr: string, key: string, datapath: string, writable: boolean): void => {
    const { volume } = find(sr, key);
    const others = (holds.get(`${sr}/${key}`) ?? []).filter(
      (one) => one.host !== host || one.datapath !== datapath,
    );
    if (!volume.sharable && writable && others.some((one) => one.writable)) {
      throw new StorageError('VDI_IN_USE', [key, 'attach']);
    }
    const made = { host, sr, key, datapath, writable };
    holds.set(`${sr}/${key}`, [...others, made]);
    own.set(datapath, made);
  };
  const release = (datapath: string): void => {
    const held = own.get(datapath);
    if (held === undefined) return;
    own.delete(datapath);
    const name = `${held.sr}/${held.key}`;
    const left = (holds.get(name) ?? []).filter((one) => one !== held);
    if (left.length === 0) holds.delete(name);
    else holds.set(name, left);
  };
  const heldBy = (sr: string, key: string): readonly string[] =>
    (holds.get(`${sr}/${key}`) ?? []).filter((one) => one.host === host).map((one) => one.datapath);

  return {
    ...repositoryMethods({ ...world, host, attached, own, repositoryOf, takeTime }),
    ...volumeMethods({ ...world, repositoryOf, find, takeTime }),
    tracking: trackingOf({ room: world.room, repositoryOf, find, takeTime }),
    openVolume: async (sr, key, datapath, writable, call) => {
      await takeTime(call);
      if (own.has(datapath)) throw new StorageError('VDI_IN_USE', [key, 'attach']);
      hold(sr, key, datapath, writable);
      return opened(repositoryOf(sr), find(sr, key));
    },
    closeVolume: async (_sr, _key, datapath) => release(datapath),
    datapaths: heldBy,
    attachedSrs: () => [...attached],
    // Those of guests alone are named so; this host's own end with their work.
    held: () =>
      [...own.values()]
        .filter(({ datapath }) => datapath.startsWith('vbd/'))
        .map(({ sr, key, datapath }) => ({ sr, key, datapath, leaked: false })),
    letGo: async ({ datapath }) => release(datapath),
    close: async () => {},
    hold: (disk, datapath, writable) => {
      const name = nameOf(disk);
      // A path of the host itself needs no storage.
      if (name !== undefined) hold(...name, datapath, writable);
    },
    exchange: (from, into, datapath, writable) => {
      const [before, after] = [nameOf(from), nameOf(into)];
      if (before === undefined || after === undefined) return;
      const [source, target] = [find(...before), find(...after)];
      const { physicalUtilisationBytes } = source.volume;
      target.content = source.content.copy();
      target.volume = { ...target.volume, physicalUtilisationBytes };
      repositoryOf(after[0]).usedBytes += physicalUtilisationBytes;
      release(datapath);
      hold(...after, datapath, writable);
    },
    release,
    forget: () => {
      for (const datapath of [...own.keys()]) release(datapath);
      attached.clear();
    },
  };
};

const nameOf = ([kind, place]: XenopsDisk): readonly [sr: string, key: string] | undefined => {
  const slash = place.indexOf('/');
  return kind === 'Local' ? undefined : [place.slice(0, slash), place.slice(slash + 1)];
};

const statOf = ({ name, description, totalBytes, usedBytes, kind }: Repository): SrStat => {
  const freeBytes = usedBytes > totalBytes ? 0n : totalBytes - usedBytes;
  return { name, description, freeBytes, totalBytes, clustered: kind.shared, health: 'Healthy' };
};

const repositoryMethods = (given: {
  readonly repositories: Map<string, Repository>;
  readonly host: string;
  readonly attached: Set<string>;
  readonly own: ReadonlyMap<string, Hold>;
  readonly add: Volumes['add'];
  readonly repositoryOf: (sr: string) => Repository;
  readonly takeTime: TakeTime;
}): Pick<Storage, SrMethod | 'plugins'> => {
  const { repositories, host, attached, own, add, repositoryOf, takeTime } = given;
  const leave = (sr: string): void => {
    const used = [...own.values()].filter((one) => one.sr === sr).map(({ key }) => key);
    if (used.length > 0) throw new StorageError('VDI_IN_USE', used);
    attached.delete(sr);
  };
  return {
    plugins: async () => simulatedPlugins,
    createSr: async (type, { uuid, name, description, configuration }, call) => {
      await takeTime(call);
      const shared = simulatedTypes.get(type)?.shared === true;
      add({ uuid, name, description, type, totalBytes: newSrBytes, ...(!shared && { host }) });
      return configuration;
    },
    attachSr: async (_type, sr, _configuration, call) => {
      await takeTime(call);
      const found = repositories.get(sr);
      if (found === undefined) throw failed('', `There is no repository ${sr}`, '');
      if (found.host !== undefined && found.host !== host) {
        throw failed('', `Repository ${sr} is on the disks of host ${found.host}`, '');
      }
      attached.add(sr);
      return statOf(found);
    },
    detachSr: async (sr, call) => {
      await takeTime(call);
      leave(sr);
    },
    destroySr: async (sr, call) => {
      await takeTime(call);
      repositoryOf(sr);
      leave(sr);
      repositories.delete(sr);
    },
    statSr: async (sr) => statOf(repositoryOf(sr)),
    updateSr: async (sr) => statOf(repositoryOf(sr)),
    scanSr: async (sr, call) => {
      await takeTime(call);
      const repository = repositoryOf(sr);
      return {
        volumes: [...repository.volumes.values()].map(({ volume }) => volume),
        stat: statOf(repository),
      };
    },
    chainsOfSr: async () => 0,
    collapseSr: async () => 0,
    // Whatever it is told is enough to find it; whose it is its rows know.
    probeSr: async (type, configuration) => {
      if (!simulatedTypes.has(type)) throw new StorageError('SR_UNKNOWN_DRIVER', [type]);
      return [{ configuration, complete: true, extraInfo: new Map() }];
    },
    isSrAttached: (sr) => attached.has(sr),
  };
};

/** What a repository has that a client makes. */
const newSrBytes = 4n << 40n;

const volumeMethods = (given: {
  readonly random: Random;
  readonly holds: ReadonlyMap<string, readonly Hold[]>;
  readonly room: ContentRoom;
  readonly repositoryOf: (sr: string) => Repository;
  readonly find: (sr: string, key: string) => Stored;
  readonly takeTime: TakeTime;
}): Pick<Storage, VolumeMethod> => {
  const { random, holds, room, repositoryOf, find, takeTime } = given;
  const put = (sr: string, facts: Omit<Volume, 'key' | 'uuid'>, content: Content): Volume => {
    const { volumes } = repositoryOf(sr);
    if (volumes.size >= volumesMax) throw failed('', `${volumesMax} disks are in the repository already`, '');
    const key = random.uuid();
    const volume: Volume = { ...facts, key, uuid: key };
    volumes.set(key, { volume, content });
    return volume;
  };
  const change = (sr: string, key: string, changes: Partial<Volume>): void => {
    const stored = find(sr, key);
    stored.volume = { ...stored.volume, ...changes };
  };
  const copy = async (
    sr: string,
    key: string,
    call: StorageCall,
    changes: Partial<Volume>,
  ): Promise<Volume> => {
    await takeTime(call);
    const { volume, content } = find(sr, key);
    // Both go on from the same bytes, which is what takes no room.
    return put(sr, { ...volume, ...changes, physicalUtilisationBytes: 0n }, content.copy());
  };
  return {
    createVolume: async (sr, volume, call) => {
      await takeTime(call);
      return put(sr, factsOf(volume), noContent(room));
    },
    snapshotVolume: (sr, key, call) => copy(sr, key, call, {}),
    cloneVolume: (sr, key, call) => copy(sr, key, call, { tracked: false }),
    revertVolume: async (sr) => {
      throw new StorageError('SR_OPERATION_NOT_SUPPORTED', [sr]);
    },
    destroyVolume: async (sr, key, call) => {
      await takeTime(call);
      const { content, past, volume } = find(sr, key);
      if (holds.has(`${sr}/${key}`)) throw new StorageError('VDI_IN_USE', [key, 'destroy']);
      for (const kept of [content, past]) kept?.drop();
      const repository = repositoryOf(sr);
      repository.volumes.delete(key);
      repository.usedBytes -= volume.physicalUtilisationBytes;
    },
    resizeVolume: async (sr, key, sizeBytes, call) => {
      await takeTime(call);
      change(sr, key, { virtualSizeBytes: sizeBytes });
      return sizeBytes;
    },
    statVolume: async (sr, key) => find(sr, key).volume,
    updateVolume: async (sr, key) => find(sr, key).volume,
    introduceVolume: async (sr, { key }) => find(sr, key).volume,
    setVolumeName: async (sr, key, name) => change(sr, key, { name }),
    setVolumeDescription: async (sr, key, description) => change(sr, key, { description }),
  };
};

const changedBlockBytes = 65_536n;

/** What has changed is read off what two disks have. */
const trackingOf = (given: {
  readonly room: ContentRoom;
  readonly repositoryOf: (sr: string) => Repository;
  readonly find: (sr: string, key: string) => Stored;
  readonly takeTime: TakeTime;
}): ChangeTracking => {
  const { room, repositoryOf, find, takeTime } = given;
  return {
    set: async (sr, key, on, call) => {
      await takeTime(call);
      const stored = find(sr, key);
      stored.volume = { ...stored.volume, tracked: on };
    },
    dropData: async (sr, key, call) => {
      await takeTime(call);
      const stored = find(sr, key);
      const { keys, physicalUtilisationBytes } = stored.volume;
      repositoryOf(sr).usedBytes -= physicalUtilisationBytes;
      stored.past ??= stored.content;
      stored.content = noContent(room);
      const typed = new Map([...keys, ['vdi-type', 'cbt_metadata']]);
      stored.volume = { ...stored.volume, keys: typed, physicalUtilisationBytes: 0n };
    },
    changedBlocks: async (sr, from, to, call) => {
      await takeTime(call);
      const [before, after] = [find(sr, from), find(sr, to)];
      const [old, size] = [before.volume.virtualSizeBytes, after.volume.virtualSizeBytes];
      const changed = new Set((after.past ?? after.content).differing(before.past ?? before.content));
      for (let at = old; at < size; at += changedBlockBytes) changed.add(Number(at / changedBlockBytes));
      const count = Number((size + changedBlockBytes - 1n) / changedBlockBytes);
      const bits = Buffer.alloc(Math.ceil(count / 8));
      for (const block of changed) {
        if (block < count) bits[block >> 3] = (bits[block >> 3] ?? 0) | (0x80 >> (block & 7));
      }
      return bits.toString('base64');
    },
    configurationOf: async (sr) => {
      throw new StorageError('SR_OPERATION_NOT_SUPPORTED', [sr]);
    },
  };
};

const factsOf = ({
  name,
  description,
  sizeBytes,
  sharable,
  type,
}: NewVolume): Omit<Volume, 'key' | 'uuid'> => ({
  name,
  description,
  readWrite: true,
  sharable,
  virtualSizeBytes: sizeBytes,
  physicalUtilisationBytes: 0n,
  keys: new Map([
    ['vdi-type', type],
    ['image-format', 'raw'],
  ]),
});

/** What was never written reads as zeros. */
const opened = (repository: Repository, stored: Stored): OpenVolume => {
  const sizeBytes = stored.volume.virtualSizeBytes;
  return {
    sizeBytes,
    read: async (into, position) => {
      const left = sizeBytes - position;
      const length = left < BigInt(into.length) ? Number(left < 0n ? 0n : left) : into.length;
      stored.content.read(into.subarray(0, length), position);
      return length;
    },
    write: async (from, position) => {
      if (position + BigInt(from.length) > sizeBytes)
        throw failed('', 'A write goes past the end of the disk', '');
      const usedBytes = BigInt(stored.content.write(from, position));
      const { physicalUtilisationBytes: before } = stored.volume;
      // What it had from the start is no bytes that anybody could read.
      if (usedBytes <= before) return;
      stored.volume = { ...stored.volume, physicalUtilisationBytes: usedBytes };
      repository.usedBytes += usedBytes - before;
    },
    flush: async () => {},
    extents: async (position, lengthBytes) => stored.content.extents(position, lengthBytes),
  };
};
