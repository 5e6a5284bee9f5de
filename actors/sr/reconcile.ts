import type { SrStat, Volume } from '../../src/drivers/storage/storage.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import { type DateTime, datetime, epoch, nullRef, type Ref } from '../../src/model/types.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { figuresOf, smConfigOf } from '../../src/rules/storage-rows.ts';
import type { Tx, View } from '../../src/store/view.ts';

export interface Scanned {
  readonly volumes: readonly Volume[];
  readonly stat: SrStat;
}

type Vdi = RecordNamed<'VDI'>;

/**
 * Makes the disks of a repository agree with what is on the storage. The volume's key is the disk's
 * location and tells which is which: new volumes get a row, rows without a volume go, and one that is
 * still in a drive stays, marked as missing, so that its VM does not silently lose a disk. A CD is no such
 * loss: unless a guest has it, its drives are empty from now on.
 */
export const reconcile = (tx: Tx, sr: Ref<'SR'>, { volumes, stat }: Scanned, services: Services): void => {
  const rows = new Map<string, Ref<'VDI'>>();
  for (const ref of tx.require('SR', sr).VDIs) rows.set(tx.require('VDI', ref).location, ref);
  const known = new Map(rows);
  const uuids = new Set<string>();

  for (const volume of volumes) {
    const ref = rows.get(volume.key);
    if (ref !== undefined) tx.patch('VDI', ref, observed(volume));
    else known.set(volume.key, introduce(tx, sr, volume, { services, uuids }));
    rows.delete(volume.key);
  }
  // Only now is every disk known that a snapshot may be of.
  for (const volume of volumes) linkSnapshot(tx, volume, known, volumes);
  for (const ref of rows.values()) forgetOrMark(tx, ref);
  tx.patch('SR', sr, { ...figuresOf(stat), virtual_allocation: allocated(tx, sr) });
};

/** What the storage knows better than the row. */
const observed = (volume: Volume): Partial<Vdi> => ({
  name_label: volume.name,
  name_description: volume.description,
  virtual_size: volume.virtualSizeBytes,
  physical_utilisation: volume.physicalUtilisationBytes,
  missing: false,
});

const introduce = (
  tx: Tx,
  sr: Ref<'SR'>,
  volume: Volume,
  by: { readonly services: Services; readonly uuids: Set<string> },
): Ref<'VDI'> => {
  const ref = newRef<'VDI'>(by.services);
  tx.create('VDI', ref, {
    uuid: freeUuid(tx, volume.uuid, by),
    SR: sr,
    location: volume.key,
    type: typeOf(volume),
    sharable: volume.sharable,
    read_only: !volume.readWrite,
    managed: true,
    cbt_enabled: volume.tracked === true,
    sm_config: smConfigOf(volume),
    ...observed(volume),
  });
  return ref;
};

/** A copy of a whole folder brings uuids that are taken already. */
const freeUuid = (
  view: View,
  wanted: string | undefined,
  by: { readonly services: Services; readonly uuids: Set<string> },
): string => {
  const free = wanted !== undefined && !by.uuids.has(wanted) && view.byUuid('VDI', wanted) === undefined;
  const uuid = free ? wanted : by.services.random.uuid();
  by.uuids.add(uuid);
  return uuid;
};

const types: readonly string[] = [
  'system',
  'user',
  'ephemeral',
  'suspend',
  'crashdump',
  'metadata',
  'rrd',
  'cbt_metadata',
];

const typeOf = ({ keys }: Volume): Vdi['type'] => {
  const type = keys.get('vdi-type') ?? '';
  return (types.includes(type) ? type : 'user') as Vdi['type'];
};

/** A row that says already that it is a snapshot knows better: it names the disk by reference. */
const linkSnapshot = (
  tx: Tx,
  volume: Volume,
  known: ReadonlyMap<string, Ref<'VDI'>>,
  volumes: readonly Volume[],
): void => {
  const ref = known.get(volume.key);
  if (ref === undefined || volume.keys.get('is_a_snapshot') !== 'true') return;
  if (tx.require('VDI', ref).is_a_snapshot) return;
  const of = volume.keys.get('snapshot_of') ?? '';
  const source = known.get(of) ?? known.get(volumes.find(({ uuid }) => uuid === of)?.key ?? '');
  tx.patch('VDI', ref, {
    is_a_snapshot: true,
    snapshot_of: source ?? (nullRef as Ref<'VDI'>),
    snapshot_time: timeOf(volume.keys.get('snapshot_time')),
  });
};

const timeOf = (text: string | undefined): DateTime => {
  try {
    return datetime.read(text ?? epoch, 'snapshot_time');
  } catch {
    return epoch;
  }
};

const forgetOrMark = (tx: Tx, ref: Ref<'VDI'>): void => {
  const holds = (vbd: Ref<'VBD'>): boolean => {
    const drive = tx.get('VBD', vbd);
    return drive !== undefined && (drive.type !== 'CD' || drive.currently_attached);
  };
  if (tx.require('VDI', ref).VBDs.some(holds)) tx.patch('VDI', ref, { missing: true });
  else tx.delete('VDI', ref);
};

/** Bytes promised to the disks of a repository. */
export const allocated = (view: View, sr: Ref<'SR'>): bigint =>
  view.require('SR', sr).VDIs.reduce((sum, ref) => sum + (view.get('VDI', ref)?.virtual_size ?? 0n), 0n);
