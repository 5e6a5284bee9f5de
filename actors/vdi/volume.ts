import type { StorageCall, Volume } from '../../src/drivers/storage/storage.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { asking, type StorageSubject } from '../../src/rules/storage-faults.ts';
import { pbdOf } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';

export type Vdi = RecordNamed<'VDI'>;

/** The volume of a disk, as the storage layer wants it named. */
export interface VolumeOf {
  readonly sr: string;
  readonly key: string;
  readonly call: StorageCall;
  /** For what must happen also when the caller has gone. */
  readonly later: StorageCall;
  ask<T>(run: () => Promise<T>): Promise<T>;
}

export const volumeOf = (working: Working<'VDI'>, operation: string): VolumeOf => {
  const { self, record, view, signal } = working;
  const debugInfo = `VDI.${operation}`;
  const subject: StorageSubject = { sr: record.SR, vdi: self, operation };
  return {
    sr: view.require('SR', record.SR).uuid,
    key: record.location,
    call: { debugInfo, signal },
    later: { debugInfo },
    ask: (run) => asking(subject, run),
  };
};

/** This host must have the repository attached for its driver to do anything. */
export const requireReached = ({ view, services }: Working<'VDI'>, sr: Ref<'SR'>): void => {
  view.require('SR', sr);
  if (pbdOf(view, sr, services.host) === undefined) throw new Fault('SR_HAS_NO_PBDS', [sr]);
};

/** Disks that the driver keeps for itself are not for clients to work on. */
export const unmanaged = (view: View, self: Ref<'VDI'>): Fault | undefined =>
  view.require('VDI', self).managed ? undefined : new Fault('VDI_NOT_MANAGED', [self]);

/** A disk that is new on the storage: its own uuid, if nobody has it yet. */
export const uuidFor = (view: View, { uuid }: Volume, working: Working<'VDI'>): string =>
  uuid !== undefined && view.byUuid('VDI', uuid) === undefined ? uuid : working.services.random.uuid();

export const sizesOf = (volume: Volume): Pick<Vdi, 'virtual_size' | 'physical_utilisation'> => ({
  virtual_size: volume.virtualSizeBytes,
  physical_utilisation: volume.physicalUtilisationBytes,
});

/** What the storage says of a disk that is new to us. */
export const storedFields = (view: View, volume: Volume, working: Working<'VDI'>) => ({
  ...sizesOf(volume),
  uuid: uuidFor(view, volume, working),
  location: volume.key,
  managed: true,
});

/** Keeps the sum of what is promised to the disks of a repository, which a scan counts anew. */
export const allocate = (tx: Tx, sr: Ref<'SR'>, bytes: bigint): void => {
  const row = tx.get('SR', sr);
  if (row !== undefined) tx.patch('SR', sr, { virtual_allocation: row.virtual_allocation + bytes });
};

/** The row of a disk that is no more. */
export const forgetRow = (tx: Tx, self: Ref<'VDI'>): void => {
  const { SR, virtual_size } = tx.require('VDI', self);
  tx.delete('VDI', self);
  allocate(tx, SR, -virtual_size);
};
