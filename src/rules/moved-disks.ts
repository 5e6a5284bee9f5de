import type { XenopsDisk } from '../drivers/hypervisor/hypervisor.ts';
import type { Ref } from '../model/types.ts';
import type { Tx, View } from '../store/view.ts';
import { note, strike } from './leftovers.ts';
import { diskAt } from './storage-rows.ts';

// A disk that moves to another repository while its guest writes: for a while there are two, of which the
// VM's row notes the one that is not its disk.

/** Whatever names the old disk names the new one, and the old one is left. */
export const putInPlace = (
  tx: Tx,
  vm: Ref<'VM'>,
  { old, made, host }: { readonly old: Ref<'VDI'>; readonly made: Ref<'VDI'>; readonly host: Ref<'host'> },
): void => {
  const { VBDs, snapshots, name_label, name_description } = tx.require('VDI', old);
  for (const ref of VBDs) tx.patch('VBD', ref, { VDI: made });
  for (const ref of snapshots) tx.patch('VDI', ref, { snapshot_of: made });
  for (const [ref, { suspend_VDI }] of tx.all('VM')) {
    if (suspend_VDI === old) tx.patch('VM', ref, { suspend_VDI: made });
  }
  tx.patch('VDI', made, { name_label, name_description });
  strike(tx, vm, [made]);
  note(tx, vm, host, [old]);
};

/** The row of a disk that a hypervisor names. */
export const rowOfDisk = (view: View, [kind, place]: XenopsDisk): Ref<'VDI'> | undefined => {
  const slash = place.indexOf('/');
  const sr = kind === 'VDI' ? view.byUuid('SR', place.slice(0, slash)) : undefined;
  return sr === undefined ? undefined : diskAt(view, sr, place.slice(slash + 1));
};

/**
 * A guest has the other one of the two, and nobody is there any more who would have said so in the rows.
 * Answers the disk that it does not have, as one to be destroyed.
 */
export const followGuest = (
  tx: Tx,
  drive: Ref<'VBD'>,
  disk: XenopsDisk | undefined,
  host: Ref<'host'>,
): readonly Ref<'VDI'>[] => {
  const row = tx.get('VBD', drive);
  const made = disk && rowOfDisk(tx, disk);
  if (row === undefined || made === undefined || row.VDI === made) return [];
  const { VM: vm, VDI: old } = row;
  if (tx.get('VM', vm)?.leftovers.has(made) !== true || tx.get('VDI', old) === undefined) return [];
  putInPlace(tx, vm, { old, made, host });
  return [old];
};
