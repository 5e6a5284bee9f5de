import type { RecordNamed } from '../../model/class.ts';
import { nullRef, type Ref } from '../../model/types.ts';
import type { View } from '../../store/view.ts';

/** The host that a VM counts for: where it is going, else where it runs. */
const hostOf = (vm: RecordNamed<'VM'>): Ref<'host'> | undefined => {
  if (vm.scheduled_to_be_resident_on !== nullRef) return vm.scheduled_to_be_resident_on;
  return vm.power_state === 'Running' && vm.resident_on !== nullRef ? vm.resident_on : undefined;
};

/**
 * Hosts in the order in which they suit a VM of a group whose members had better run apart: fewest members
 * first, those of one inner list alike. The VM's own affinity comes before all.
 */
export const rankApart = (
  view: View,
  self: Ref<'VM'>,
  group: Ref<'VM_group'>,
  hosts: readonly Ref<'host'>[],
): readonly (readonly Ref<'host'>[])[] => {
  const members = new Map<Ref<'host'>, number>(hosts.map((host) => [host, 0]));
  for (const [ref, vm] of view.all('VM')) {
    if (ref === self || !vm.groups.includes(group)) continue;
    const host = hostOf(vm);
    if (host !== undefined && members.has(host)) members.set(host, (members.get(host) ?? 0) + 1);
  }
  const { affinity } = view.require('VM', self);
  const [meant, others] = [hosts.filter((one) => one === affinity), hosts.filter((one) => one !== affinity)];
  const counts = [...new Set(others.map((host) => members.get(host) ?? 0))].sort((a, b) => a - b);
  const ranked = counts.map((count) => others.filter((host) => members.get(host) === count));
  return meant.length === 0 ? ranked : [meant, ...ranked];
};
