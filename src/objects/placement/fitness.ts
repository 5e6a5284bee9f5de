import type { RecordNamed } from '../../model/class.ts';
import { nullRef, type Ref } from '../../model/types.ts';
import type { View } from '../../store/view.ts';
import { isLive } from '../places.ts';
import type { Refusal } from '../refusal.ts';
import { pbdOf } from '../storage-rows.ts';
import { freeBytes, neededBytes } from './memory.ts';
import type { HostMemory } from './selection.ts';

interface Pair {
  readonly view: View;
  readonly self: Ref<'VM'>;
  readonly vm: RecordNamed<'VM'>;
  readonly host: Ref<'host'>;
  readonly machine: RecordNamed<'host'>;
}

type Check = (pair: Pair) => Refusal | undefined;

const processors: Check = ({ self, vm }) => (vm.VCPUs_at_startup < 1n ? ['VM_NO_VCPUS', self] : undefined);

const present: Check = ({ view, host }) => (isLive(view, host) ? undefined : ['HOST_NOT_LIVE']);

const enabled: Check = ({ host, machine }) => (machine.enabled ? undefined : ['HOST_DISABLED', host]);

const hardware: Check = ({ self, vm, host, machine }) => {
  const offered = machine.virtual_hardware_platform_versions;
  if (offered.includes(vm.hardware_platform_version)) return undefined;
  const versions = `[${offered.join('; ')}]`;
  const wanted = String(vm.hardware_platform_version);
  return ['VM_HOST_INCOMPATIBLE_VIRTUAL_HARDWARE_PLATFORM_VERSION', host, versions, self, wanted];
};

/** Its disks, and what it is to be resumed from. */
const repositories: Check = ({ view, self, vm, host }) => {
  const drives = vm.VBDs.flatMap((ref) => view.get('VBD', ref) ?? []).filter(({ empty }) => !empty);
  const disks = drives.map(({ VDI }) => view.require('VDI', VDI));
  const image = vm.power_state === 'Suspended' ? view.get('VDI', vm.suspend_VDI) : undefined;
  for (const { SR } of image === undefined ? disks : [...disks, image]) {
    if (pbdOf(view, SR, host) === undefined) return ['VM_REQUIRES_SR', self, SR];
  }
  return undefined;
};

/** A network without any card is a bridge that each host makes for itself. */
const networks: Check = ({ view, self, vm, host }) => {
  for (const ref of vm.VIFs) {
    const network = view.get('VIF', ref)?.network ?? (nullRef as Ref<'network'>);
    const cards = (view.get('network', network)?.PIFs ?? []).flatMap((pif) => view.get('PIF', pif) ?? []);
    if (cards.length > 0 && !cards.some((card) => card.host === host)) {
      return ['VM_REQUIRES_NETWORK', self, network];
    }
  }
  return undefined;
};

const cores: Check = ({ vm, machine }) => {
  const count = machine.cpu_info.get('cpu_count');
  if (count === undefined || vm.VCPUs_max <= BigInt(count)) return undefined;
  return ['HOST_NOT_ENOUGH_PCPUS', String(vm.VCPUs_max), count];
};

/** In the order in which they are asked: the first refusal is the answer. */
const checks: readonly Check[] = [processors, present, enabled, hardware, repositories, networks, cores];

/** What keeps a VM from running on a host, as far as rows tell, other than how much memory is free there. */
export const hostRefusal = (view: View, self: Ref<'VM'>, host: Ref<'host'>): Refusal | undefined => {
  const pair = { view, self, host, vm: view.require('VM', self), machine: view.require('host', host) };
  for (const check of checks) {
    const refusal = check(pair);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
};

export const memoryRefusal = (vm: RecordNamed<'VM'>, memory: HostMemory | undefined): Refusal | undefined => {
  const [needed, free] = [neededBytes(vm), memory === undefined ? 0n : freeBytes(memory)];
  return needed > free ? ['HOST_NOT_ENOUGH_FREE_MEMORY', String(needed), String(free)] : undefined;
};
