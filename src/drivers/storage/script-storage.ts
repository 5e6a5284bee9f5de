import { join } from 'node:path';
import { type Clock, sleep } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import type { Value } from '../../std/value.ts';
import type { Disk } from '../disk.ts';
import type { Network } from '../network.ts';
import type { Processes } from '../processes.ts';
import { type AttachedSrs, openAttachedSrs } from './attached-srs.ts';
import { HOST_DOMAIN, type VolumeName } from './datapath-holdings.ts';
import { type Datapaths, openDatapaths } from './datapaths.ts';
import { scriptDatapath } from './script-datapath.ts';
import { type ScriptPlugins, scriptPlugins } from './script-plugins.ts';
import { readNothing, readProbed, readSrStat, readText, readTextMap, readVolumes } from './script-values.ts';
import { CLONE_ON_BOOT, plain, type ScriptVolumes, scriptVolumes } from './script-volumes.ts';
import { type ScriptLimits, scriptLimits } from './scripts.ts';
import { stateFiles } from './state-files.ts';
import { type SrMethod, type SrStat, type Storage, type StorageCall, StorageError } from './storage.ts';
import { type Turns, turns } from './turns.ts';
import { type OpenedVolume, type VolumeOpener, volumeOpener } from './volume-opener.ts';

export interface ScriptStorageGiven {
  /** Folders that hold `volume/` and `datapath/`. */
  readonly roots: readonly string[];
  /** What is attached is remembered here; Unix sockets too, so its path must be short. */
  readonly stateFolder: string;
  readonly processes: Processes;
  readonly disk: Disk;
  readonly network: Network;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: ScriptLimits;
}

/** `Storage`, and what the server for hypervisor daemons needs beside it. */
export interface ScriptStorage extends Storage {
  readonly datapathsOf: Datapaths;
  readonly beginEpoch: ScriptVolumes['beginEpoch'];
  readonly endEpoch: ScriptVolumes['endEpoch'];
  attachedSrs(): readonly string[];
}

/** Requests that wait for one volume, and for one SR. */
const WAITING_MAX = 256;
const UNREACHABLE_RETRIES_MAX = 3;
const UNREACHABLE_RETRY_MS = 1_000;
const BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id';

/** Storage by SMAPIv3 plugins: a process for each call. */
export const scriptStorage = async (given: ScriptStorageGiven): Promise<ScriptStorage> => {
  const { disk, stateFolder, clock, log } = given;
  const bootId = await disk.readText(BOOT_ID_PATH, 64).catch(() => '');
  const filesOf = (kind: string) => stateFiles(disk, join(stateFolder, kind), bootId);

  const inTurn = turns(WAITING_MAX);
  const plugins = scriptPlugins({ ...given, limits: given.limits ?? scriptLimits });
  const srs = await openAttachedSrs(filesOf('srs'), plugins);
  const backend = scriptDatapath(srs, plugins);
  const datapaths = await openDatapaths({ backend, files: filesOf('volumes'), turns: inTurn, log });
  const { beginEpoch, endEpoch, ...volumes } = scriptVolumes({ srs, datapaths, clock });
  const opener = await volumeOpener({ ...given, folder: join(stateFolder, 'nbd') });

  return {
    plugins: () => plugins.describe({ debugInfo: 'plugins' }),
    ...srMethods({ srs, plugins, datapaths, turns: inTurn, clock }),
    ...volumes,
    ...hostUse(datapaths, opener),
    beginEpoch,
    endEpoch,
    datapathsOf: datapaths,
    attachedSrs: srs.all,
  };
};

const srMethods = (given: {
  readonly srs: AttachedSrs;
  readonly plugins: ScriptPlugins;
  readonly datapaths: Datapaths;
  readonly turns: Turns;
  readonly clock: Clock;
}): Pick<Storage, SrMethod> => {
  const { srs, plugins, datapaths, clock } = given;

  const stat = (sr: string, call: StorageCall): Promise<SrStat> =>
    srs.run(sr, 'SR.stat', {}, call, readSrStat);

  const leave = (sr: string, method: string, call: StorageCall): Promise<void> =>
    datapaths.withFreeSr(sr, call, async () => {
      await srs.run(sr, method, {}, call, readNothing);
      await srs.remove(sr);
    });

  /** An SR whose storage is away for a moment is asked again: forgetting its volumes costs more. */
  const healthy = async (sr: string, call: StorageCall): Promise<SrStat> => {
    for (let retries = 0; ; retries += 1) {
      const found = await stat(sr, call);
      if (found.health === 'Healthy') return found;
      if (found.health !== 'Unreachable' || retries >= UNREACHABLE_RETRIES_MAX) {
        const advice = 'Repair the storage and scan again';
        throw new StorageError('SR_UNHEALTHY', [sr, found.health, advice]);
      }
      await sleep(clock, UNREACHABLE_RETRY_MS, call.signal);
    }
  };

  return {
    createSr: async (type, { uuid, name, description, configuration }, call) =>
      (await plugins.ofType(type)).run(
        'SR.create',
        { uuid, name, description, configuration },
        call,
        readTextMap,
      ),

    attachSr: (type, sr, configuration, call) =>
      given.turns.alone(
        sr,
        async () => {
          if (srs.has(sr)) return stat(sr, call);
          const scripts = await plugins.ofType(type);
          const handle = await scripts.run('SR.attach', { configuration }, call, readText);
          await srs.add(sr, type, handle);
          return stat(sr, call);
        },
        call.signal,
      ),

    detachSr: async (sr, call) => {
      if (srs.has(sr)) await leave(sr, 'SR.detach', call);
    },
    destroySr: (sr, call) => leave(sr, 'SR.destroy', call),
    statSr: stat,

    scanSr: async (sr, call) => {
      const found = await healthy(sr, call);
      const all = await srs.run(sr, 'SR.ls', {}, call, readVolumes);
      const clones = new Set(all.map(({ keys }) => keys.get(CLONE_ON_BOOT)));
      return { volumes: all.filter(({ key }) => !clones.has(key)).map(plain), stat: found };
    },

    probeSr: async (type, configuration, call) =>
      (await plugins.ofType(type)).run('SR.probe', { configuration }, call, readProbed),

    isSrAttached: srs.has,
  };
};

/** What this host reads and writes itself: a datapath like any other, and a way to its bytes. */
const hostUse = (
  datapaths: Datapaths,
  opener: VolumeOpener,
): Pick<Storage, 'openVolume' | 'closeVolume' | 'datapaths' | 'close'> => {
  const opened = new Map<string, OpenedVolume>();
  /** Those that are being opened too. */
  const names = new Set<string>();

  const closeVolume = async (volume: VolumeName, datapath: string, call: StorageCall): Promise<void> => {
    const name = `${volume.sr}/${volume.key}/${datapath}`;
    const open = opened.get(name);
    opened.delete(name);
    names.delete(name);
    try {
      await open?.close();
    } finally {
      await datapaths.destroy(datapath, false, call, volume);
    }
  };

  return {
    openVolume: async (sr, key, datapath, writable, call) => {
      const volume = { sr, key };
      const name = `${sr}/${key}/${datapath}`;
      if (names.has(name)) throw new StorageError('VDI_IN_USE', [key, 'attach']);
      names.add(name);
      const use = { ...volume, datapath, vm: HOST_DOMAIN };
      try {
        const access = writable ? 'RW' : 'RO';
        const backend: Value = await datapaths.attach(use, access, call, true);
        await datapaths.activate(use, call);
        const open = await opener.open(backend, writable);
        opened.set(name, open);
        const { close: _, ...volumeOpened } = open;
        return volumeOpened;
      } catch (error) {
        await closeVolume(volume, datapath, { debugInfo: call.debugInfo }).catch(() => {});
        // The opener knows the image, the caller the volume.
        const inUse = error instanceof StorageError && error.code === 'VDI_IN_USE';
        throw inUse ? new StorageError(error.code, [key, 'attach']) : error;
      }
    },
    closeVolume: (sr, key, datapath, call) => closeVolume({ sr, key }, datapath, call),
    datapaths: (sr, key) => [...datapaths.statesOf({ sr, key }).states.keys()],
    close: async () => {
      await Promise.allSettled([...opened.values()].map((open) => open.close()));
      opened.clear();
      names.clear();
    },
  };
};
