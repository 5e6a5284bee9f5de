import type { StorageCall, Volume } from '../../src/drivers/storage/storage.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { note, strike } from '../../src/rules/leftovers.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { asking, type StorageSubject } from '../../src/rules/storage-faults.ts';
import { diskAt, pbdOf, writesRows } from '../../src/rules/storage-rows.ts';
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
  const { self, record, view } = working;
  const debugInfo = `VDI.${operation}`;
  const subject: StorageSubject = { sr: record.SR, vdi: self, operation };
  return {
    sr: view.require('SR', record.SR).uuid,
    key: record.location,
    call: storageCall(working, debugInfo),
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
  cbt_enabled: volume.tracked === true,
});

/** The row that a disk which was just made has or is to get. */
export const rowFor = ({ view, services }: Working<'VDI'>, sr: Ref<'SR'>, { key }: Volume): Ref<'VDI'> =>
  (writesRows(view, view.require('SR', sr).type) ? diskAt(view, sr, key) : undefined) ??
  newRef<'VDI'>(services);

/**
 * The row of a disk that was just made: a new one, or what is to be added to the one that its driver has
 * written.
 */
export const keepRow = (
  tx: Tx,
  { caller }: Pick<Working<'VDI'>, 'caller'>,
  sr: Ref<'SR'>,
  ref: Ref<'VDI'>,
  fields: Partial<Vdi>,
): void => {
  if (caller.madeFor !== undefined) note(tx, caller.madeFor.vm, caller.madeFor.host, [ref]);
  if (tx.get('VDI', ref) !== undefined) {
    tx.patch('VDI', ref, Object.fromEntries(Object.entries(fields).filter(([name]) => !ofDriver.has(name))));
    return;
  }
  tx.create('VDI', ref, fields);
  allocate(tx, sr, fields.virtual_size ?? 0n);
};

/** What a driver that writes rows knows better. */
const ofDriver: ReadonlySet<string> = new Set<keyof Vdi>([
  'uuid',
  'SR',
  'location',
  'managed',
  'virtual_size',
  'physical_utilisation',
  'sm_config',
]);

/**
 * Keeps the sum of what is promised to the disks of a repository, which a scan counts anew. Drivers that
 * write rows keep it themselves.
 */
export const allocate = (tx: Tx, sr: Ref<'SR'>, bytes: bigint): void => {
  const row = tx.get('SR', sr);
  if (row !== undefined && !writesRows(tx, row.type))
    tx.patch('SR', sr, { virtual_allocation: row.virtual_allocation + bytes });
};

/** The row of a disk that is no more. */
export const forgetRow = (tx: Tx, { caller }: Pick<Working<'VDI'>, 'caller'>, self: Ref<'VDI'>): void => {
  if (caller.madeFor !== undefined) strike(tx, caller.madeFor.vm, [self]);
  const row = tx.get('VDI', self);
  // Its driver may have done so already.
  if (row === undefined) return;
  const { SR, virtual_size } = row;
  tx.delete('VDI', self);
  allocate(tx, SR, -virtual_size);
};
