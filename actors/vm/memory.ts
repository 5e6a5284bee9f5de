import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { demand, faultFrom, type Refusal } from '../../src/objects/refusal.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { sleep } from '../../src/std/clock.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { vmRefusal } from './admission.ts';
import { changing, type VmHandlers } from './handlers.ts';
import {
  constraintFields,
  constraintsOf,
  type MemoryConstraints,
  memoryRefusal,
  pinnedBecause,
} from './memory-constraints.ts';

/** The limits after a change, if they make sense together. The target is where the dynamic range begins. */
const changed = (view: View, self: Ref<'VM'>, changes: Partial<MemoryConstraints>): MemoryConstraints => {
  const vm = view.require('VM', self);
  const limits = { ...constraintsOf(vm), ...changes };
  const isDynamic = changes.dynamic_min !== undefined || changes.dynamic_max !== undefined;
  const target = isDynamic ? limits.dynamic_min : limits.target;
  demand(memoryRefusal({ ...limits, target }, pinnedBecause(view, vm)));
  return { ...limits, target };
};

const apply = (tx: Tx, self: Ref<'VM'>, changes: Partial<MemoryConstraints>): void =>
  tx.patch('VM', self, constraintFields(changed(tx, self, changes)));

/** The range that the balloon may use: of a running guest the hypervisor is told as well. */
const setDynamicRange = async (
  working: Working<'VM'>,
  changes: Partial<MemoryConstraints>,
  method: string,
): Promise<void> => {
  const { self, view, services, settle } = working;
  const { uuid, power_state } = working.record;
  if (power_state === 'Running') {
    const { dynamic_min, dynamic_max } = changed(view, self, changes);
    const how = xenopsWork(working, method);
    await asked(method, services.hypervisor.setMemoryDynamicRange(uuid, dynamic_min, dynamic_max, how));
  }
  settle((tx) => apply(tx, self, changes));
};

const mib = 1024n * 1024n;
const pageBytes = 4096n;

/** What a host sets aside for a guest beyond its memory: a fixed share, and some for each virtual CPU. */
export const overheadBytes = (staticMax: bigint, vcpus: bigint): bigint => {
  const tables = staticMax / 128n;
  return ((tables + mib + vcpus * mib + pageBytes - 1n) / pageBytes) * pageBytes;
};

/** The most memory whose overhead still fits beside it into `total`. */
const fitting = (total: bigint, vcpus: bigint): bigint => {
  let low = 0n;
  let high = total;
  while (high - low > pageBytes) {
    const middle = (low + high) / 2n;
    if (middle + overheadBytes(middle, vcpus) <= total) low = middle;
    else high = middle;
  }
  return (low / mib) * mib;
};

/** A guest that takes longer than this to come near its target will not get there. */
export const targetWaitsMax = 256;
const targetWaitMs = 1_000;

/** Whoever waits keeps nobody from anything, so this is no operation of the VM. */
const waitForTarget = async ({ record, self, services, signal, task, progress }: Working<'VM'>) => {
  const { hypervisor, clock } = services;
  for (let waits = 0; waits < targetWaitsMax; waits += 1) {
    const state = await asked('VM.wait_memory_target_live', hypervisor.stat(record.uuid));
    if (state === undefined) throw new Fault('VM_BAD_POWER_STATE', [self, 'running', 'halted']);
    const { memory_actual: has, memory_target: wants } = state;
    if ((has > wants ? has - wants : wants - has) <= mib) return;
    progress(waits / targetWaitsMax);
    await sleep(clock, targetWaitMs, signal);
  }
  throw new Fault('VM_MEMORY_TARGET_WAIT_TIMEOUT', [task]);
};

/** Also of what is no number. */
const multiplierRefusal = (value: number): Refusal | undefined =>
  value >= 1 ? undefined : ['INVALID_VALUE', 'HVM_shadow_multiplier', String(value)];

export const memory = {
  wait_memory_target_live: {
    unless: (view, self) => faultFrom(vmRefusal(view, self, 'awaiting_memory_live')),
    work: waitForTarget,
  },
  set_memory_limits: changing('changing_memory_limits', (tx, self, args) => apply(tx, self, args)),
  set_memory: changing('changing_memory_limits', (tx, self, { value }) =>
    apply(tx, self, { static_max: value, dynamic_min: value, dynamic_max: value }),
  ),
  set_memory_static_range: changing('changing_static_range', (tx, self, { min, max }) =>
    apply(tx, self, { static_min: min, static_max: max }),
  ),
  set_memory_static_min: changing('changing_static_range', (tx, self, { value }) =>
    apply(tx, self, { static_min: value }),
  ),
  set_memory_static_max: changing('changing_static_range', (tx, self, { value }) =>
    apply(tx, self, { static_max: value }),
  ),
  set_memory_dynamic_range: {
    operation: 'changing_dynamic_range',
    work: (working, { min, max }) =>
      setDynamicRange(working, { dynamic_min: min, dynamic_max: max }, 'VM.set_memory_dynamic_range'),
  },
  set_memory_dynamic_min: {
    operation: 'changing_dynamic_range',
    work: (working, { value }) =>
      setDynamicRange(working, { dynamic_min: value }, 'VM.set_memory_dynamic_min'),
  },
  set_memory_dynamic_max: {
    operation: 'changing_dynamic_range',
    work: (working, { value }) =>
      setDynamicRange(working, { dynamic_max: value }, 'VM.set_memory_dynamic_max'),
  },
  // The dynamic range took its place: what is asked for here is admitted and has no effect.
  set_memory_target_live: { operation: 'changing_memory_live', work: async () => {} },
  get_cooperative: { read: () => true },
  set_HVM_shadow_multiplier: changing('changing_shadow_memory', (tx, self, { value }) => {
    demand(multiplierRefusal(value));
    tx.patch('VM', self, { HVM_shadow_multiplier: value });
  }),
  set_shadow_multiplier_live: {
    operation: 'changing_shadow_memory_live',
    unless: (_view, _self, { multiplier }) => faultFrom(multiplierRefusal(multiplier)),
    work: async (working, { multiplier }) => {
      const method = 'VM.set_shadow_multiplier_live';
      const { hypervisor } = working.services;
      const how = xenopsWork(working, method);
      await asked(method, hypervisor.setShadowMultiplier(working.record.uuid, multiplier, how));
      working.settle((tx) => tx.patch('VM', working.self, { HVM_shadow_multiplier: multiplier }));
    },
  },
  compute_memory_overhead: {
    read: ({ view, self }) => {
      const { memory_static_max, VCPUs_max } = view.require('VM', self as Ref<'VM'>);
      return overheadBytes(memory_static_max, VCPUs_max);
    },
  },
  maximise_memory: {
    read: ({ view, self }, { total }) => fitting(total, view.require('VM', self as Ref<'VM'>).VCPUs_max),
  },
} satisfies VmHandlers;
