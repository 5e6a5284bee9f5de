import { StorageError } from '../drivers/storage/storage.ts';
import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';

/** What a storage call is about, for the answers that name it. */
export interface StorageSubject {
  readonly sr: Ref<'SR'>;
  readonly vdi?: Ref<'VDI'>;
  readonly operation: string;
  /** Bytes asked for, and free on the storage when that was last known. */
  readonly room?: { readonly asked: bigint; readonly free: bigint };
}

/** Plugins name repositories and volumes as they know them; clients know references. */
export const asking = async <T>(subject: StorageSubject, ask: () => Promise<T>): Promise<T> => {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof StorageError ? (inReferences(error, subject) ?? error) : error;
  }
};

const inReferences = ({ code, params }: StorageError, subject: StorageSubject): Fault | undefined => {
  const { sr, vdi, operation, room } = subject;
  if (code === 'SR_NOT_ATTACHED') return new Fault('SR_NOT_ATTACHED', [sr]);
  if (code === 'SCRIPT_MISSING' || code === 'SR_OPERATION_NOT_SUPPORTED')
    return new Fault('SR_OPERATION_NOT_SUPPORTED', [sr]);
  if (code === 'SR_UNHEALTHY') return new Fault('SR_UNHEALTHY', [sr, ...params.slice(1)]);
  if (code === 'SR_BACKEND_FAILURE' && params[0] === 'ENOSPC' && room !== undefined) {
    return new Fault('SR_FULL', [`${room.asked}`, `${room.free}`]);
  }
  if (vdi === undefined) return undefined;
  if (code === 'VDI_IN_USE') return new Fault('VDI_IN_USE', [vdi, operation]);
  if (code === 'VDI_MISSING') return new Fault('VDI_MISSING', [sr, vdi]);
  return undefined;
};
