import type { RecordNamed } from '../../src/model/class.ts';
import { millisecondsOf, type Ref } from '../../src/model/types.ts';
import type { View } from '../../src/store/view.ts';

type VmRow = RecordNamed<'VM'>;

/** Of a VM's snapshots that schedules took, those beyond what is kept, the oldest first. */
export const surplus = (view: View, vm: VmRow, retained: bigint): readonly Ref<'VM'>[] => {
  const taken = vm.snapshots.flatMap((ref) => {
    const snapshot = view.get('VM', ref);
    return snapshot?.is_vmss_snapshot === true
      ? [[ref, millisecondsOf(snapshot.snapshot_time)] as const]
      : [];
  });
  const oldestFirst = taken.toSorted(([, a], [, b]) => a - b).map(([ref]) => ref);
  return oldestFirst.slice(0, Math.max(0, oldestFirst.length - Number(retained)));
};
