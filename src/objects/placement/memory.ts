import type { RecordNamed } from '../../model/class.ts';
import { nullRef, type Ref } from '../../model/types.ts';
import type { View } from '../../store/view.ts';
import type { GuestMemory, HostMemory } from './selection.ts';

export const memoryOfGuest = (vm: RecordNamed<'VM'>): GuestMemory => ({
  overhead: vm.memory_overhead,
  staticMin: vm.memory_static_min,
  dynamicMin: vm.memory_dynamic_min,
  dynamicMax: vm.memory_dynamic_max,
  staticMax: vm.memory_static_max,
});

/** What a VM takes of the host that it runs on. */
export const neededBytes = (vm: RecordNamed<'VM'>): bigint => vm.memory_dynamic_max + vm.memory_overhead;

/** Of a host that never told its memory nothing is known, so nothing is refused for it. */
const unknownBytes = 1n << 60n;

/**
 * The memory of all hosts, with the guests that run there or are on their way; a migrating one counts for
 * both. `without`: a VM that is left out. Looks once at every VM, however many hosts there are.
 */
export const memoryOfHosts = (view: View, without?: Ref<'VM'>): ReadonlyMap<Ref<'host'>, HostMemory> => {
  const [pool] = view.all('pool');
  const guests = new Map<Ref<'host'>, GuestMemory[]>();
  const hosts = new Map<Ref<'host'>, HostMemory>();
  for (const [host, { metrics, memory_overhead: overhead }] of view.all('host')) {
    const known: GuestMemory[] = [];
    guests.set(host, known);
    hosts.set(host, {
      host,
      isCoordinator: pool?.[1].master === host,
      overhead,
      total: view.get('host_metrics', metrics)?.memory_total ?? unknownBytes,
      guests: known,
    });
  }
  for (const [ref, vm] of view.all('VM')) {
    const { resident_on: at, scheduled_to_be_resident_on: coming } = vm;
    if (ref === without || (at === nullRef && coming === nullRef)) continue;
    const memory = memoryOfGuest(vm);
    guests.get(at)?.push(memory);
    if (coming !== at) guests.get(coming)?.push(memory);
  }
  return hosts;
};

/** Bytes that are left: every guest keeps what it may have now, as nobody takes memory back from guests. */
export const freeBytes = ({ total, overhead, guests }: HostMemory): bigint => {
  const used = guests.reduce((sum, guest) => sum + guest.dynamicMax + guest.overhead, overhead);
  return used > total ? 0n : total - used;
};

/** A host as if one more ran there. */
export const withGuest = (host: HostMemory, vm: RecordNamed<'VM'>): HostMemory => ({
  ...host,
  guests: [...host.guests, memoryOfGuest(vm)],
});
