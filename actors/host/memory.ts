import type { Ref } from '../../src/model/types.ts';
import type { View } from '../../src/store/view.ts';

/** Bytes that VMs could still get on a host: what none of its VMs, and no VM on its way to it, holds. */
export const freeMemory = (view: View, self: Ref<'host'>): bigint => {
  const host = view.require('host', self);
  const total = view.get('host_metrics', host.metrics)?.memory_total ?? 0n;
  let used = host.memory_overhead;
  for (const [, vm] of view.all('VM')) {
    if (vm.resident_on === self || vm.scheduled_to_be_resident_on === self) {
      used += vm.memory_dynamic_max + vm.memory_overhead;
    }
  }
  return used > total ? 0n : total - used;
};
