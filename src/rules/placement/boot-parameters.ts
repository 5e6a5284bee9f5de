import type { RecordNamed } from '../../model/class.ts';
import type { Refusal } from '../../objects/refusal.ts';

// What a VM's own settings say against starting it. They are taken as they come, since clients set them one
// by one and in any order; here they are looked at together.

type VmRow = RecordNamed<'VM'>;

export interface MemoryRange {
  readonly dynamicMin: bigint;
  readonly dynamicMax: bigint;
}

const within = (value: bigint, min: bigint, max: bigint): bigint =>
  value < min ? min : value > max ? max : value;

/**
 * The dynamic range as a guest gets it: within the static one. Undefined: a range has its ends the wrong way.
 */
export const memoryRange = (vm: VmRow): MemoryRange | undefined => {
  const { memory_static_min: min, memory_static_max: max } = vm;
  if (max < min || vm.memory_dynamic_max < vm.memory_dynamic_min) return undefined;
  return {
    dynamicMin: within(vm.memory_dynamic_min, min, max),
    dynamicMax: within(vm.memory_dynamic_max, min, max),
  };
};

const processors = ({ VCPUs_max: max, VCPUs_at_startup: atStartup }: VmRow): Refusal | undefined => {
  if (max < 1n) return ['INVALID_VALUE', 'VCPUs_max', String(max)];
  if (atStartup < 1n) return ['INVALID_VALUE', 'VCPUs-at-startup', String(atStartup)];
  return atStartup > max
    ? ['VALUE_NOT_SUPPORTED', 'VCPUs-at-startup', String(atStartup), 'value greater than VCPUs-max']
    : undefined;
};

const memory = (vm: VmRow): Refusal | undefined =>
  memoryRange(vm) === undefined ? ['MEMORY_CONSTRAINT_VIOLATION'] : undefined;

const shadow = ({ HVM_shadow_multiplier: factor }: VmRow): Refusal | undefined =>
  factor >= 1 ? undefined : ['INVALID_VALUE', 'HVM_shadow_multiplier', String(factor)];

const isPv = ({ domain_type, HVM_boot_policy }: VmRow): boolean =>
  domain_type === 'unspecified' ? HVM_boot_policy === '' : domain_type === 'pv';

const crash = (vm: VmRow): Refusal | undefined => {
  const { actions_after_crash: action } = vm;
  const refuse = (why: string): Refusal => ['VALUE_NOT_SUPPORTED', 'VM.actions_after_crash', action, why];
  if (action === 'rename_restart') return refuse('it would leave a domain behind that belongs to no VM');
  const dumps = action === 'coredump_and_destroy' || action === 'coredump_and_restart';
  return dumps && !isPv(vm) ? refuse('only a domain of type pv has its memory dumped') : undefined;
};

const checks = [processors, memory, shadow, crash] as const;

export const bootRefusal = (vm: VmRow): Refusal | undefined => {
  for (const check of checks) {
    const refusal = check(vm);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
};
