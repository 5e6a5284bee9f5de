/**
 * What a host asks of its storage: every SR type is a plugin or a driver, every call a process of it. SRs
 * are named by uuid and volumes by their key, the VDI's `location`. Sizes are in bytes.
 */
export interface Storage {
  /** Plugins found, one for each SR type. Asked again it looks again. */
  plugins(): Promise<readonly StoragePlugin[]>;

  /** Makes a new SR and answers the configuration to attach it with from now on. */
  createSr(type: string, sr: NewSr, call: StorageCall): Promise<ReadonlyMap<string, string>>;
  /** Makes the SR usable on this host; attaching one that is attached succeeds. */
  attachSr(
    type: string,
    sr: string,
    configuration: ReadonlyMap<string, string>,
    call: StorageCall,
  ): Promise<SrStat>;
  /** Detaches every disk of it first. */
  detachSr(sr: string, call: StorageCall): Promise<void>;
  destroySr(sr: string, call: StorageCall): Promise<void>;
  statSr(sr: string, call: StorageCall): Promise<SrStat>;
  /** The same, for which a driver that keeps figures in rows counts anew. */
  updateSr(sr: string, call: StorageCall): Promise<SrStat>;
  scanSr(sr: string, call: StorageCall): Promise<SrScan>;
  /** How many images could go, because a disk needs them for nothing but those that stand on them. */
  chainsOfSr(sr: string, call: StorageCall): Promise<number>;
  /** Lets one of them go; answers how many are left. */
  collapseSr(sr: string, call: StorageCall): Promise<number>;
  /** What was found there; a driver of SMAPIv1 says it as a document of XML in a form of its own. */
  probeSr(
    type: string,
    configuration: ReadonlyMap<string, string>,
    call: StorageCall,
  ): Promise<readonly Probed[] | string>;
  isSrAttached(sr: string): boolean;
  attachedSrs(): readonly string[];

  createVolume(sr: string, volume: NewVolume, call: StorageCall): Promise<Volume>;
  /** Finds one that is there already, for its row to be made. */
  introduceVolume(sr: string, volume: KnownVolume, call: StorageCall): Promise<Volume>;
  snapshotVolume(sr: string, key: string, call: StorageCall): Promise<Volume>;
  cloneVolume(sr: string, key: string, call: StorageCall): Promise<Volume>;
  /** The volume gets the contents of its snapshot in place; of drivers with the feature `VDI_REVERT`. */
  revertVolume(sr: string, key: string, snapshot: string, call: StorageCall): Promise<Volume>;
  destroyVolume(sr: string, key: string, call: StorageCall): Promise<void>;
  /** Answers the new virtual size. */
  resizeVolume(sr: string, key: string, sizeBytes: bigint, call: StorageCall): Promise<bigint>;
  statVolume(sr: string, key: string, call: StorageCall): Promise<Volume>;
  /** The same, for which a driver that keeps sizes in rows looks anew. */
  updateVolume(sr: string, key: string, call: StorageCall): Promise<Volume>;
  setVolumeName(sr: string, key: string, name: string, call: StorageCall): Promise<void>;
  setVolumeDescription(sr: string, key: string, description: string, call: StorageCall): Promise<void>;

  /** Absent: no driver here keeps track of changed blocks. */
  readonly tracking?: ChangeTracking;

  /**
   * Attaches and activates a volume under a datapath name of the caller, for this host's own use
   * (import, export, copy). Two writers, or a writer beside readers that forbid it, are refused with
   * a StorageError. `closeVolume` of a datapath that is not there succeeds.
   */
  openVolume(
    sr: string,
    key: string,
    datapath: string,
    writable: boolean,
    call: StorageCall,
  ): Promise<OpenVolume>;
  closeVolume(sr: string, key: string, datapath: string, call: StorageCall): Promise<void>;
  /** Datapaths that now hold a volume, `vbd/<domid>/<device>` of guests among them. */
  datapaths(sr: string, key: string): readonly string[];
  /** All datapaths but those that this process uses now, leaked ones among them. */
  held(): readonly HeldVolume[];
  /** Ends a datapath; one that is not there succeeds. */
  letGo(held: Omit<HeldVolume, 'leaked'>, call: StorageCall): Promise<void>;
  close(): Promise<void>;
}

export interface HeldVolume {
  readonly sr: string;
  readonly key: string;
  readonly datapath: string;
  /** It was to be ended, and could not be. */
  readonly leaked: boolean;
}

/** What some drivers can do beside: SR_OPERATION_NOT_SUPPORTED where one cannot. */
export interface ChangeTracking {
  /** Begins to keep track of changed blocks, or ends it. */
  set(sr: string, key: string, on: boolean, call: StorageCall): Promise<void>;
  /** Of a snapshot what is left is which blocks had changed. */
  dropData(sr: string, key: string, call: StorageCall): Promise<void>;
  /** A bit for each block of 64 KiB, in base64: set where the two differ. */
  changedBlocks(sr: string, from: string, to: string, call: StorageCall): Promise<string>;
  /** What a host needs to attach it without a database, in the driver's own words. */
  configurationOf(sr: string, key: string, call: StorageCall): Promise<string>;
}

/** The operations on repositories, and those on the disks in them. */
export type SrMethod =
  | 'createSr'
  | 'attachSr'
  | 'detachSr'
  | 'destroySr'
  | 'statSr'
  | 'updateSr'
  | 'scanSr'
  | 'chainsOfSr'
  | 'collapseSr'
  | 'probeSr'
  | 'isSrAttached';
export type VolumeMethod =
  | 'createVolume'
  | 'introduceVolume'
  | 'snapshotVolume'
  | 'cloneVolume'
  | 'revertVolume'
  | 'destroyVolume'
  | 'resizeVolume'
  | 'statVolume'
  | 'updateVolume'
  | 'setVolumeName'
  | 'setVolumeDescription';

export interface StorageCall {
  readonly debugInfo: string;
  /** The task that the call is a part of. */
  readonly task?: string;
  /** What the client gave for the driver alone: parameters of a snapshot or clone, `sm_config` of a probe. */
  readonly settings?: ReadonlyMap<string, string>;
  /** A guest has the disk, and goes on with what comes of the call: where it is, it asks anew. */
  readonly live?: boolean;
  readonly signal?: AbortSignal;
}

/** The plugin's or the layer's refusal; code and parameters are those of the XenAPI fault. */
export class StorageError extends Error {
  readonly code: string;
  readonly params: readonly string[];

  constructor(code: string, params: readonly string[]) {
    super(`storage: ${code}(${params.join(', ')})`);
    this.name = 'StorageError';
    this.code = code;
    this.params = params;
  }
}

export interface StoragePlugin {
  /** The SR type. */
  readonly type: string;
  readonly name: string;
  readonly description: string;
  readonly vendor: string;
  readonly copyright: string;
  readonly version: string;
  readonly requiredApiVersion: string;
  /** Feature to version, as SM.features has them: `VDI_CREATE` to 1. */
  readonly features: ReadonlyMap<string, bigint>;
  readonly configuration: ReadonlyMap<string, string>;
  readonly requiredClusterStack: readonly string[];
  readonly driverFilename: string;
}

export interface NewSr {
  readonly uuid: string;
  readonly name: string;
  readonly description: string;
  readonly configuration: ReadonlyMap<string, string>;
  /** To take; 0 takes all there is. */
  readonly sizeBytes: bigint;
}

/** All volumes and the SR's figures. */
export interface SrScan {
  readonly volumes: readonly Volume[];
  readonly stat: SrStat;
  /** The driver has written it to the rows itself. */
  readonly written?: true;
}

export interface SrStat {
  readonly name: string;
  readonly description: string;
  readonly freeBytes: bigint;
  readonly totalBytes: bigint;
  readonly clustered: boolean;
  readonly health: 'Healthy' | 'Recovering' | 'Unreachable' | 'Unavailable';
}

export interface Probed {
  readonly configuration: ReadonlyMap<string, string>;
  readonly complete: boolean;
  readonly uuid?: string;
  /** Of a repository that was found there. */
  readonly stat?: SrStat;
  readonly extraInfo: ReadonlyMap<string, string>;
}

export interface NewVolume {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: bigint;
  readonly sharable: boolean;
  /** The VDI's type, kept with the volume: `user`, `suspend`, ... */
  readonly type: string;
  readonly readOnly?: boolean;
  /** Settings for the driver. */
  readonly smConfig?: ReadonlyMap<string, string>;
}

/** A volume that is on the storage, as whoever introduces it knows it. */
export interface KnownVolume {
  readonly key: string;
  /** For its row. */
  readonly uuid: string;
  readonly smConfig: ReadonlyMap<string, string>;
}

export interface Volume {
  readonly key: string;
  readonly uuid: string | undefined;
  readonly name: string;
  readonly description: string;
  readonly readWrite: boolean;
  readonly sharable: boolean;
  readonly virtualSizeBytes: bigint;
  readonly physicalUtilisationBytes: bigint;
  /** Whether its driver keeps track of changed blocks; without it not. */
  readonly tracked?: boolean;
  /** `image-format` (`raw`, `qcow2`), `vdi-type`, `_sm_config_*` and the plugin's own. */
  readonly keys: ReadonlyMap<string, string>;
}

const SM_CONFIG = '_sm_config_';
/** Each is told a plugin by a call of its own. */
const SM_CONFIG_MAX = 32;

/** The settings of one disk for its driver, as keys of its volume. */
export const smConfigKeys = (config: ReadonlyMap<string, string> = new Map()): Record<string, string> => {
  if (config.size > SM_CONFIG_MAX) {
    const why = `A disk has at most ${SM_CONFIG_MAX} settings for its driver, and these are ${config.size}`;
    throw new StorageError('SR_BACKEND_FAILURE', [why, '', '']);
  }
  return Object.fromEntries([...config].map(([key, value]) => [`${SM_CONFIG}${key}`, value]));
};

export const smConfigIn = (keys: Volume['keys']): ReadonlyMap<string, string> =>
  new Map(
    [...keys]
      .filter(([key]) => key.startsWith(SM_CONFIG))
      .map(([key, value]) => [key.slice(SM_CONFIG.length), value]),
  );

/**
 * What this process may read and write through: positions and lengths in bytes, past the end is an error.
 * Several reads and writes may be under way at once.
 */
export interface OpenVolume {
  readonly sizeBytes: bigint;
  /**
   * Where programs of this host find the bytes while it is open: a path, or the URI of a Unix socket that
   * speaks NBD. Absent: nowhere.
   */
  readonly address?: string;
  /** Fills from `position`; answers the count of bytes read, short only at the end of the disk. */
  read(into: Uint8Array, position: bigint): Promise<number>;
  write(from: Uint8Array, position: bigint): Promise<void>;
  flush(): Promise<void>;
  /** What there is from `position` on, at least one extent. Absent: the storage cannot tell. */
  readonly extents?: (position: bigint, lengthBytes: bigint) => Promise<readonly Extent[]>;
}

/** A part of a disk that is one thing: zeros, without a need to read them, or data. */
export interface Extent {
  readonly lengthBytes: bigint;
  readonly zero: boolean;
}
