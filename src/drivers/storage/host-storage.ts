import { join } from 'node:path';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import type { Value } from '../../std/value.ts';
import { bootIdOf } from '../boot-id.ts';
import type { Disk } from '../disk.ts';
import type { Network } from '../network.ts';
import type { Processes } from '../processes.ts';
import type { SmRows } from '../sm-rows.ts';
import { type AttachedSrs, openAttachedSrs } from './attached-srs.ts';
import { type DatapathBackend, HOST_DOMAIN, HOST_USE, type VolumeName } from './datapath-holdings.ts';
import { type Datapaths, openDatapaths } from './datapaths.ts';
import type { DriverKind } from './driver-kind.ts';
import { scriptDatapath } from './script-datapath.ts';
import { scriptEpochs } from './script-epochs.ts';
import { scriptPlugins } from './script-plugins.ts';
import { scriptSrs } from './script-srs.ts';
import { scriptTracking } from './script-tracking.ts';
import { scriptVolumes } from './script-volumes.ts';
import { callMark, type ScriptLimits, scriptLimits } from './scripts.ts';
import { runDriver, type SmLimits, smLimits } from './sm-call.ts';
import { type SmSettings, smDrivers } from './sm-drivers.ts';
import { smDatapath, smStorage } from './sm-storage.ts';
import { stateFiles } from './state-files.ts';
import { type Storage, type StorageCall, StorageError, type StoragePlugin } from './storage.ts';
import { type KeyedTurns, turns } from './turns.ts';
import { type OpenedVolume, type VolumeOpener, volumeOpener } from './volume-opener.ts';

export interface HostStorageGiven {
  /** Folders that hold `volume/` and `datapath/`. */
  readonly roots: readonly string[];
  /** Drivers of SMAPIv1. Absent: none. */
  readonly sm?: { readonly settings: SmSettings; readonly rows: SmRows; readonly limits?: SmLimits };
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
export interface HostStorage extends Storage {
  readonly datapathsOf: Datapaths;
  readonly beginEpoch: DriverKind['beginEpoch'];
  readonly endEpoch: DriverKind['endEpoch'];
}

/** Requests that wait for one volume, and for one SR. */
const WAITING_MAX = 256;

/** Storage by SMAPIv3 plugins and SMAPIv1 drivers: a process for each call. */
export const hostStorage = async (given: HostStorageGiven): Promise<HostStorage> => {
  const { disk, processes, stateFolder, clock, log } = given;
  // What a process that was killed had asked of plugins must not be done after this one has looked.
  await processes.endStartedWith(given.roots.map(callMark));
  const bootId = await bootIdOf(disk);
  const filesOf = (kind: string) => stateFiles(disk, join(stateFolder, kind), bootId);

  const inTurn = turns(WAITING_MAX);
  const plugins = scriptPlugins({ ...given, limits: given.limits ?? scriptLimits });
  const srs = await openAttachedSrs(filesOf('srs'), plugins);
  const old = given.sm && smOf({ ...given, sm: given.sm, srs, turns: inTurn });
  const backend = backendFor(srs, scriptDatapath(srs, plugins), old?.backend);
  const datapaths = await openDatapaths({ backend, files: filesOf('volumes'), turns: inTurn, log });
  const scripts: DriverKind = {
    describe: plugins.describe,
    ...scriptSrs({ srs, plugins, datapaths, clock }),
    ...scriptVolumes({ srs, datapaths, clock }),
    ...scriptEpochs({ srs, plugins, datapaths }),
    tracking: scriptTracking({ srs, datapaths }),
  };
  const opener = await volumeOpener({
    processes,
    disk,
    clock,
    network: given.network,
    folder: join(stateFolder, 'nbd'),
  });
  const drivers = old?.kind(datapaths);
  const byType = async (type: string): Promise<DriverKind> =>
    drivers !== undefined && (await old?.serves(type, plugins.has)) === true ? drivers : scripts;

  return {
    plugins: () => describeAll([scripts, drivers], old?.isNamed),
    ...kindsOf(
      srs,
      byType,
      (sr) => (drivers !== undefined && srs.isOfDriver(sr) ? drivers : scripts),
      inTurn,
    ),
    ...hostUse(datapaths, opener),
    datapathsOf: datapaths,
  };
};

type SmOptions = HostStorageGiven & {
  readonly sm: NonNullable<HostStorageGiven['sm']>;
  readonly srs: AttachedSrs;
  readonly turns: KeyedTurns;
};

/** The drivers of SMAPIv1. */
const smOf = ({ sm, srs, turns: inTurn, ...given }: SmOptions) => {
  const limits = sm.limits ?? smLimits;
  const drivers = smDrivers({ ...given, settings: sm.settings, limits, host: sm.rows.host });
  const run: Parameters<typeof smDatapath>[0]['run'] = (path, request, call) =>
    runDriver({ processes: given.processes, limits }, path, request, call);
  const common = { drivers, rows: sm.rows, srs, turns: inTurn, run };
  return {
    backend: smDatapath(common),
    kind: (datapaths: Datapaths) => smStorage({ ...common, datapaths }),
    isNamed: drivers.isNamed,
    /** Of a plugin and a driver of one type the plugin counts, unless somebody named the driver. */
    serves: async (type: string, hasPlugin: (type: string) => Promise<boolean>): Promise<boolean> =>
      (await drivers.find(type)) !== undefined && (drivers.isNamed(type) || !(await hasPlugin(type))),
  };
};

/** One for each type; of two with one type the plugin, unless somebody named the driver. */
const describeAll = async (
  [scripts, drivers]: readonly [DriverKind, DriverKind | undefined],
  isNamed: ((type: string) => boolean) | undefined,
): Promise<readonly StoragePlugin[]> => {
  const call = { debugInfo: 'plugins' };
  const found = new Map((await scripts.describe(call)).map((plugin) => [plugin.type, plugin]));
  for (const driver of (await drivers?.describe(call)) ?? []) {
    if (!found.has(driver.type) || isNamed?.(driver.type) === true) found.set(driver.type, driver);
  }
  return [...found.values()];
};

const backendFor = (
  srs: AttachedSrs,
  scripts: DatapathBackend,
  drivers: DatapathBackend | undefined,
): DatapathBackend => {
  const of = (sr: string): DatapathBackend =>
    drivers !== undefined && srs.isOfDriver(sr) ? drivers : scripts;
  return {
    locate: async (use, call) => of(use.sr).locate(use, call),
    attach: async (volume, ...rest) => of(volume.sr).attach(volume, ...rest),
    drive: async (volume, ...rest) => of(volume.sr).drive(volume, ...rest),
  };
};

/** Every operation, done by the kind of driver that its SR has. */
const kindsOf = (
  srs: AttachedSrs,
  byType: (type: string) => Promise<DriverKind>,
  by: (sr: string) => DriverKind,
  inTurn: KeyedTurns,
) =>
  ({
    createSr: async (type, ...rest) => (await byType(type)).createSr(type, ...rest),
    attachSr: (type, sr, configuration, call) =>
      inTurn.alone(
        sr,
        async () => {
          if (!srs.has(sr)) await (await byType(type)).attachSr(type, sr, configuration, call);
          return by(sr).statSr(sr, call);
        },
        call.signal,
      ),
    detachSr: async (sr, call) => {
      if (srs.has(sr)) await by(sr).detachSr(sr, call);
    },
    destroySr: async (sr, call) => by(sr).destroySr(sr, call),
    statSr: async (sr, call) => by(sr).statSr(sr, call),
    updateSr: async (sr, call) => by(sr).updateSr(sr, call),
    scanSr: async (sr, call) => by(sr).scanSr(sr, call),
    chainsOfSr: async (sr, call) => by(sr).chainsOfSr(sr, call),
    collapseSr: async (sr, call) => by(sr).collapseSr(sr, call),
    probeSr: async (type, ...rest) => (await byType(type)).probeSr(type, ...rest),
    isSrAttached: srs.has,
    attachedSrs: srs.all,
    createVolume: async (sr, ...rest) => by(sr).createVolume(sr, ...rest),
    introduceVolume: async (sr, ...rest) => by(sr).introduceVolume(sr, ...rest),
    snapshotVolume: async (sr, ...rest) => by(sr).snapshotVolume(sr, ...rest),
    cloneVolume: async (sr, ...rest) => by(sr).cloneVolume(sr, ...rest),
    revertVolume: async (sr, ...rest) => by(sr).revertVolume(sr, ...rest),
    destroyVolume: async (sr, ...rest) => by(sr).destroyVolume(sr, ...rest),
    resizeVolume: async (sr, ...rest) => by(sr).resizeVolume(sr, ...rest),
    statVolume: async (sr, ...rest) => by(sr).statVolume(sr, ...rest),
    updateVolume: async (sr, ...rest) => by(sr).updateVolume(sr, ...rest),
    setVolumeName: async (sr, ...rest) => by(sr).setVolumeName(sr, ...rest),
    setVolumeDescription: async (sr, ...rest) => by(sr).setVolumeDescription(sr, ...rest),
    tracking: {
      set: async (sr, ...rest) => by(sr).tracking.set(sr, ...rest),
      dropData: async (sr, ...rest) => by(sr).tracking.dropData(sr, ...rest),
      changedBlocks: async (sr, ...rest) => by(sr).tracking.changedBlocks(sr, ...rest),
      configurationOf: async (sr, ...rest) => by(sr).tracking.configurationOf(sr, ...rest),
    },
    beginEpoch: async (volume, ...rest) => by(volume.sr).beginEpoch(volume, ...rest),
    endEpoch: async (volume, ...rest) => by(volume.sr).endEpoch(volume, ...rest),
  }) satisfies Partial<HostStorage>;

/** What this host reads and writes itself: a datapath like any other, and a way to its bytes. */
const hostUse = (
  datapaths: Datapaths,
  opener: VolumeOpener,
): Pick<Storage, 'openVolume' | 'closeVolume' | 'datapaths' | 'held' | 'letGo' | 'close'> => {
  const opened = new Map<string, OpenedVolume>();
  /** Those that are being opened too. */
  const names = new Set<string>();

  const closeVolume = async (volume: VolumeName, whose: string, call: StorageCall): Promise<void> => {
    const datapath = `${HOST_USE}${whose}`;
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
    openVolume: async (sr, key, whose, writable, call) => {
      const datapath = `${HOST_USE}${whose}`;
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
        await closeVolume(volume, whose, { debugInfo: call.debugInfo }).catch(() => {});
        // The opener knows the image, the caller the volume.
        const inUse = error instanceof StorageError && error.code === 'VDI_IN_USE';
        throw inUse ? new StorageError(error.code, [key, 'attach']) : error;
      }
    },
    closeVolume: (sr, key, datapath, call) => closeVolume({ sr, key }, datapath, call),
    datapaths: (sr, key) => datapaths.holdersOf({ sr, key }),
    held: () =>
      datapaths
        .held()
        .flatMap(({ sr, key, states, leaked }) =>
          [...states.keys()]
            .map((datapath) => ({ sr, key, datapath, leaked: leaked.has(datapath) }))
            .filter((one) => one.leaked || !one.datapath.startsWith(HOST_USE)),
        ),
    letGo: ({ sr, key, datapath }, call) => datapaths.destroy(datapath, false, call, { sr, key }),
    close: async () => {
      await Promise.allSettled([...opened.values()].map((open) => open.close()));
      opened.clear();
      names.clear();
    },
  };
};
