import type { RecordNamed } from '../../model/class.ts';
import type { Ref } from '../../model/types.ts';
import { demand, faultFrom, type Refusal } from '../../objects/refusal.ts';
import { Fault } from '../../std/fault.ts';
import type { View } from '../../store/view.ts';
import { rankApart } from './anti-affinity.ts';
import { hostRefusals, memoryRefusal } from './fitness.ts';
import { freeBytes, freeOf, memoryOfGuest, memoryOfHost } from './memory.ts';
import { type HostMemory, selectHost, summary } from './selection.ts';

type Memory = ReadonlyMap<Ref<'host'>, HostMemory>;

/** Fails with what keeps a VM from running on a host, too little memory included. */
export const assertFits = (view: View, self: Ref<'VM'>, host: Ref<'host'>, insists = false): void => {
  demand(hostRefusals(view, self, insists)(host));
  demand(memoryRefusal(view.require('VM', self), freeBytes(view, host, self)));
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
 * The host that suits a VM best, of those that it can run on; throws why there is none. `memory` is what
 * hosts have without this VM, where the caller knows it, and then no other hosts come into question.
 */
export const chooseHost = (
  view: View,
  self: Ref<'VM'>,
  { memory, insists }: { readonly memory?: Memory; readonly insists?: boolean } = {},
): Ref<'host'> => {
  const vm = view.require('VM', self);
  const refusalOf = hostRefusals(view, self, insists);
  const fit = new Map<Ref<'host'>, HostMemory>();
  const refusals: Refusal[] = [];
  for (const host of memory?.keys() ?? [...view.all('host')].map(([ref]) => ref)) {
    const refused = refusalOf(host);
    // Guests are counted only where nothing else is in the way.
    const room = refused === undefined ? (memory?.get(host) ?? memoryOfHost(view, host, self)) : undefined;
    const refusal = refused ?? (room && memoryRefusal(vm, freeOf(room)));
    if (refusal !== undefined) refusals.push(refusal);
    else if (room !== undefined) fit.set(host, room);
  }
  const [pool] = view.all('pool');
  for (const rank of ranksOf(view, self, vm, [...fit.keys()])) {
    const summaries = rank.flatMap((host) => {
      const room = fit.get(host);
      return room === undefined ? [] : [summary(room, [memoryOfGuest(vm)])];
    });
    const selected = selectHost(summaries, {
      preferred: [vm.affinity],
      isFit: () => true,
      random: () => 0,
      coordinatorBias: pool?.[1].coordinator_bias ?? false,
    });
    if (selected !== undefined) return selected as Ref<'host'>;
  }
  throw noneOf(refusals);
};
