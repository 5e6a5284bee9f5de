import type { VolumeName } from './datapath-holdings.ts';
import type {
  ChangeTracking,
  SrMethod,
  Storage,
  StorageCall,
  StoragePlugin,
  VolumeMethod,
} from './storage.ts';

/** Methods on SRs that each kind of driver does in its own way. */
export type DriverSrMethod = Exclude<SrMethod, 'isSrAttached'>;

/** A way to speak with what serves SR types: scripts of SMAPIv3, or drivers of SMAPIv1. */
export interface DriverKind extends Pick<Storage, Exclude<DriverSrMethod, 'attachSr'> | VolumeMethod> {
  readonly tracking: ChangeTracking;
  /** Looks again which there are. */
  describe(call: StorageCall): Promise<readonly StoragePlugin[]>;
  /** Of one that is not attached, in its turn. */
  attachSr(
    type: string,
    sr: string,
    configuration: ReadonlyMap<string, string>,
    call: StorageCall,
  ): Promise<void>;
  /** Brackets a guest's power cycle, at whose end goes what a disk was given that is not persistent. */
  beginEpoch(volume: VolumeName, persistent: boolean, call: StorageCall): Promise<void>;
  endEpoch(volume: VolumeName, call: StorageCall): Promise<void>;
}
