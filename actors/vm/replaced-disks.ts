import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { hasOwnDisk, type NewDisks } from './copied-disks.ts';

type VmRow = RecordNamed<'VM'>;

export interface Replacing {
  readonly snapshot: VmRow;
  readonly vm: Ref<'VM'>;
  /** The VM with the drives that it has before it is put back. */
  readonly now: VmRow;
  readonly disks: NewDisks;
}

const isOfSnapshotsOf = (view: View, vm: Ref<'VM'>, vdi: Ref<'VDI'>): boolean =>
  (view.get('VDI', vdi)?.VBDs ?? []).some(
    (vbd) => view.get('VM', view.get('VBD', vbd)?.VM ?? (nullRef as Ref<'VM'>))?.snapshot_of === vm,
  );

/** A drive of this VM has it, and none of another's. */
const isItsAlone = (view: View, { vm, now }: Replacing, vdi: Ref<'VDI'>): boolean => {
  const drives = view.get('VDI', vdi)?.VBDs ?? [];
  const others = drives.filter((vbd) => view.get('VBD', vbd)?.VM !== vm);
  const own = drives.some((ref) => {
    const vbd = view.get('VBD', ref);
    return now.VBDs.includes(ref) && vbd !== undefined && hasOwnDisk(view, vbd);
  });
  return own && others.length === 0;
};

/**
 * The new disks take the place of those that the snapshot was taken of: snapshots of these are theirs from
 * now on. Answers the disks that nobody needs then. A disk that the snapshot does not have, or that another
 * VM or nobody has in a drive, is not among them, and keeps the snapshots that are not this VM's.
 */
export const replaceDisks = (tx: Tx, replacing: Replacing): readonly Ref<'VDI'>[] => {
  const { vm, disks } = replacing;
  const replaced = new Set<Ref<'VDI'>>();
  const dropped: Ref<'VDI'>[] = [];
  for (const [vbd, fresh] of disks.byDrive) {
    const old = tx.get('VDI', tx.require('VBD', vbd).VDI)?.snapshot_of ?? (nullRef as Ref<'VDI'>);
    if (old === nullRef || replaced.has(old)) continue;
    replaced.add(old);
    const isDropped = isItsAlone(tx, replacing, old);
    const isGone = tx.get('VDI', old) === undefined;
    for (const [one, { snapshot_of }] of [...tx.all('VDI')]) {
      if (snapshot_of !== old) continue;
      if (isDropped || isGone || isOfSnapshotsOf(tx, vm, one)) tx.patch('VDI', one, { snapshot_of: fresh });
    }
    if (isDropped) dropped.push(old);
  }
  return dropped;
};
