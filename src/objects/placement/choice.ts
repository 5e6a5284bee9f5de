import type { RecordNamed } from '../../model/class.ts';
import type { Ref } from '../../model/types.ts';
import { Fault } from '../../std/fault.ts';
import type { View } from '../../store/view.ts';
import { demand, faultFrom, type Refusal } from '../refusal.ts';
import { rankApart } from './anti-affinity.ts';
import { hostRefusal, memoryRefusal } from './fitness.ts';
import { memoryOfGuest, memoryOfHosts } from './memory.ts';
import { type HostMemory, selectHost, summary } from './selection.ts';

type Memory = ReadonlyMap<Ref<'host'>, HostMemory>;

/** Fails with what keeps a VM from running on a host, too little memory included. */
export const assertFits = (view: View, self: Ref<'VM'>, host: Ref<'host'>): void => {
  demand(hostRefusal(view, self, host));
  demand(memoryRefusal(view.require('VM', self), memoryOfHosts(view, self).get(host)));
};

/** Hosts that suit alike, in the order in which they are to be tried. */
const ranksOf = (view: View, self: Ref<'VM'>, vm: RecordNamed<'VM'>, hosts: readonly Ref<'host'>[]) => {
  const group = vm.groups.find((one) => view.get('VM_group', one)?.placement === 'anti_affinity');
  return group === undefined ? [hosts] : rankApart(view, self, group, hosts);
};

/** One reason, where all hosts have the same: a user can do something about it. */
const noneOf = (refusals: readonly Refusal[]): Fault => {
  const [first] = refusals;
  const alike = refusals.every(([code]) => code === first?.[0]);
  return (alike ? faultFrom(first) : undefined) ?? new Fault('NO_HOSTS_AVAILABLE');
};

/**
 * The host that suits a VM best, of those given that it can run on; throws why there is none. `memory` is what
 * hosts have without this VM.
 */
export const chooseHost = (
  view: View,
  self: Ref<'VM'>,
  memory: Memory = memoryOfHosts(view, self),
  hosts: readonly Ref<'host'>[] = [...memory.keys()],
): Ref<'host'> => {
  const vm = view.require('VM', self);
  const refusals = new Map<Ref<'host'>, Refusal>();
  for (const host of hosts) {
    const refusal = hostRefusal(view, self, host) ?? memoryRefusal(vm, memory.get(host));
    if (refusal !== undefined) refusals.set(host, refusal);
  }
  const [pool] = view.all('pool');
  const fit = hosts.filter((host) => !refusals.has(host));
  for (const rank of ranksOf(view, self, vm, fit)) {
    const summaries = rank.flatMap((host) => {
      const known = memory.get(host);
      return known === undefined ? [] : [summary(known, [memoryOfGuest(vm)])];
    });
    const selected = selectHost(summaries, {
      preferred: [vm.affinity],
      isFit: () => true,
      random: () => 0,
      coordinatorBias: pool?.[1].coordinator_bias ?? false,
    });
    if (selected !== undefined) return selected as Ref<'host'>;
  }
  throw noneOf([...refusals.values()]);
};
