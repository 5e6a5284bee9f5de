import type { RecordNamed } from '../../model/class.ts';
import type { Ref } from '../../model/types.ts';
import type { View } from '../../store/view.ts';
import { memoryRange } from './boot-parameters.ts';
import type { GuestMemory, HostMemory } from './selection.ts';

type Guest = RecordNamed<'VM'>;

const dynamicMaxOf = (vm: RecordNamed<'VM'>): bigint => memoryRange(vm)?.dynamicMax ?? vm.memory_static_max;

export const memoryOfGuest = (vm: RecordNamed<'VM'>): GuestMemory => ({
  overhead: vm.memory_overhead,
  staticMin: vm.memory_static_min,
  dynamicMin: memoryRange(vm)?.dynamicMin ?? vm.memory_static_min,
  dynamicMax: dynamicMaxOf(vm),
  staticMax: vm.memory_static_max,
});

/** What a VM takes of the host that it runs on. */
export const neededBytes = (vm: RecordNamed<'VM'>): bigint => dynamicMaxOf(vm) + vm.memory_overhead;

/** Of a host that never told its memory nothing is known, so nothing is refused for it. */
const unknownBytes = 1n << 60n;

/** VMs that run on a host or are on their way to it; a migrating one counts for both of its hosts. */
const guestsOf = (view: View, host: Ref<'host'>, without: Ref<'VM'> | undefined): readonly Guest[] => {
  const guests: Guest[] = [];
  for (const ref of view.require('host', host).resident_VMs) {
    const vm = ref === without ? undefined : view.get('VM', ref);
    if (vm !== undefined) guests.push(vm);
  }
  for (const [ref, vm] of view.referring('VM', 'scheduled_to_be_resident_on', host)) {
    if (ref !== without && vm.resident_on !== host) guests.push(vm);
  }
  return guests;
};

const totalBytes = (view: View, { metrics }: RecordNamed<'host'>): bigint =>
  view.get('host_metrics', metrics)?.memory_total ?? unknownBytes;

/**
 * Bytes that are left on a host: every guest keeps what it may have now, as nobody takes memory back from
 * guests. `without`: a VM left out.
 */
export const freeBytes = (view: View, host: Ref<'host'>, without?: Ref<'VM'>): bigint => {
  const row = view.require('host', host);
  let used = row.memory_overhead;
  for (const vm of guestsOf(view, host, without)) used += neededBytes(vm);
  const total = totalBytes(view, row);
  return used > total ? 0n : total - used;
};

/**
 * The memory of a host and of its guests, whose number alone decides what it costs. `without`: a VM left out.
 */
export const memoryOfHost = (view: View, host: Ref<'host'>, without?: Ref<'VM'>): HostMemory => {
  const row = view.require('host', host);
  const [pool] = view.all('pool');
  return {
    host,
    isCoordinator: pool?.[1].master === host,
    overhead: row.memory_overhead,
    total: totalBytes(view, row),
    guests: guestsOf(view, host, without).map(memoryOfGuest),
  };
};

/** The memory of all hosts. */
export const memoryOfHosts = (view: View): ReadonlyMap<Ref<'host'>, HostMemory> =>
  new Map([...view.all('host')].map(([host]) => [host, memoryOfHost(view, host)]));

/** The same of a host whose guests are known already. */
export const freeOf = ({ total, overhead, guests }: HostMemory): bigint => {
  const used = guests.reduce((sum, guest) => sum + guest.dynamicMax + guest.overhead, overhead);
  return used > total ? 0n : total - used;
};

/** A host as if one more ran there. */
export const withGuest = (host: HostMemory, vm: RecordNamed<'VM'>): HostMemory => ({
  ...host,
  guests: [...host.guests, memoryOfGuest(vm)],
});
