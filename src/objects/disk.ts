import type { OpenVolume } from '../drivers/storage/storage.ts';
import type { Ref } from '../model/types.ts';

/** A disk that is open for its bytes, on this host or on another. */
export interface OpenDisk extends OpenVolume {
  /** Answers the bytes that it takes on the storage. Only then may others change it. */
  close(): Promise<bigint>;
}

export interface DiskWanted {
  readonly vdi: Ref<'VDI'>;
  readonly how: 'read' | 'write';
  /** Names what it is opened for. */
  readonly operation: string;
}

/** Opens disks of another host. Rejects with HOST_OFFLINE, CANNOT_CONTACT_HOST and what is refused there. */
export type DiskOpener = (host: Ref<'host'>, wanted: DiskWanted, signal: AbortSignal) => Promise<OpenDisk>;
