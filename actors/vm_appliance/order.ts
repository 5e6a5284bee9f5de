import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { View } from '../../src/store/view.ts';
import type { ApplianceOperation } from './admission.ts';

type PowerState = RecordNamed<'VM'>['power_state'];

export interface Wish {
  readonly operation: ApplianceOperation;
  /** Of a start: the VMs are left paused. */
  readonly paused?: boolean;
}

/** What a VM is in once there is nothing to do with it. */
const goalOf = ({ operation, paused }: Wish): PowerState => {
  if (operation !== 'start') return 'Halted';
  return paused === true ? 'Paused' : 'Running';
};

/**
 * The VMs of an appliance that have something to do: those of one inner list at the same time, and one list
 * after the other. Who starts first ends last.
 */
export const groupsOf = (
  view: View,
  self: Ref<'VM_appliance'>,
  wish: Wish,
): readonly (readonly Ref<'VM'>[])[] => {
  const goal = goalOf(wish);
  const byOrder = new Map<bigint, Ref<'VM'>[]>();
  for (const ref of view.require('VM_appliance', self).VMs) {
    const vm = view.get('VM', ref);
    if (vm === undefined || vm.power_state === goal) continue;
    byOrder.set(vm.order, [...(byOrder.get(vm.order) ?? []), ref]);
  }
  const ascending = [...byOrder].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, vms]) => vms);
  return wish.operation === 'start' ? ascending : ascending.toReversed();
};
