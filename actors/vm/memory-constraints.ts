import type { RecordNamed } from '../../src/model/class.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import { isTrue } from '../../src/rules/guests.ts';
import type { View } from '../../src/store/view.ts';

/** The limits of a VM's memory, in bytes. */
export interface MemoryConstraints {
  readonly static_min: bigint;
  readonly dynamic_min: bigint;
  readonly target: bigint;
  readonly dynamic_max: bigint;
  readonly static_max: bigint;
}

/** The balloon has nowhere to go. */
export const arePinned = ({ dynamic_min, target, dynamic_max }: MemoryConstraints): boolean =>
  dynamic_min === target && target === dynamic_max;

export const areValid = ({ static_min, dynamic_min, dynamic_max, static_max }: MemoryConstraints): boolean =>
  0n <= static_min && static_min <= dynamic_min && dynamic_min <= dynamic_max && dynamic_max <= static_max;

export const arePinnedAtStaticMax = (limits: MemoryConstraints): boolean =>
  areValid(limits) && limits.dynamic_min === limits.static_max && limits.dynamic_max === limits.static_max;

/** Everything the guest could ever have, all the time. */
export const atStaticMax = (limits: MemoryConstraints): MemoryConstraints => ({
  ...limits,
  dynamic_min: limits.static_max,
  target: limits.static_max,
  dynamic_max: limits.static_max,
});

export const constraintsOf = (vm: RecordNamed<'VM'>): MemoryConstraints => ({
  static_min: vm.memory_static_min,
  dynamic_min: vm.memory_dynamic_min,
  target: vm.memory_target,
  dynamic_max: vm.memory_dynamic_max,
  static_max: vm.memory_static_max,
});

export const constraintFields = (limits: MemoryConstraints): Partial<RecordNamed<'VM'>> => ({
  memory_static_min: limits.static_min,
  memory_dynamic_min: limits.dynamic_min,
  memory_target: limits.target,
  memory_dynamic_max: limits.dynamic_max,
  memory_static_max: limits.static_max,
});

/** Why the memory of a VM may not be ballooned. */
export type PinnedBecause = 'control domain' | 'DMC disabled' | 'nested virt';

export const pinnedBecause = (view: View, vm: RecordNamed<'VM'>): PinnedBecause | undefined => {
  if (vm.is_control_domain) return 'control domain';
  const [pool] = view.all('pool');
  if (isTrue(pool?.[1].restrictions.get('restrict_dmc'))) return 'DMC disabled';
  return view.get('VM_metrics', vm.metrics)?.nested_virt === true ? 'nested virt' : undefined;
};

export const memoryRefusal = (
  limits: MemoryConstraints,
  pinned: PinnedBecause | undefined,
): Refusal | undefined => {
  if (!areValid(limits)) return ['MEMORY_CONSTRAINT_VIOLATION_ORDER'];
  return pinned === undefined || arePinnedAtStaticMax(limits)
    ? undefined
    : ['MEMORY_CONSTRAINT_VIOLATION_MAXPIN', pinned];
};
