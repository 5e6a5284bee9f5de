import type { RecordNamed } from '../../model/class.ts';
import { nullRef, type Ref } from '../../model/types.ts';
import { isLive } from '../../objects/places.ts';
import type { Refusal } from '../../objects/refusal.ts';
import { isSubset, parseFeatures } from '../../std/cpu-features.ts';
import type { View } from '../../store/view.ts';
import { capabilitiesOn, guestRefusal } from '../guest-capabilities.ts';
import { isAtLeast } from '../versions.ts';
import { bootRefusal } from './boot-parameters.ts';
import { neededBytes } from './memory.ts';

/** Something that a VM cannot run without, and the hosts that have it. */
type Need<C extends 'SR' | 'network'> = readonly [what: Ref<C>, hosts: ReadonlySet<Ref<'host'>>];

/** A VM, and what is the same whichever host it is to run on. */
interface Guest {
  readonly view: View;
  readonly self: Ref<'VM'>;
  readonly vm: RecordNamed<'VM'>;
  readonly repositories: () => readonly Need<'SR'>[];
  readonly networks: () => readonly Need<'network'>[];
}

interface Pair extends Guest {
  readonly host: Ref<'host'>;
  readonly machine: RecordNamed<'host'>;
}

type Check = (pair: Pair) => Refusal | undefined;

/** What its record alone tells of a host. */
type Machine = Pick<
  RecordNamed<'host'>,
  'enabled' | 'virtual_hardware_platform_versions' | 'cpu_info' | 'software_version'
>;
type Meeting = Pick<Pair, 'self' | 'vm' | 'host'> & { readonly machine: Machine };
type MeetingCheck = (meeting: Meeting) => Refusal | undefined;

const parameters: Check = ({ vm }) => bootRefusal(vm);

const present: Check = ({ view, host }) => (isLive(view, host) ? undefined : ['HOST_NOT_LIVE']);

const enabled: MeetingCheck = ({ host, machine }) => (machine.enabled ? undefined : ['HOST_DISABLED', host]);

const hardware: MeetingCheck = ({ self, vm, host, machine }) => {
  const offered = machine.virtual_hardware_platform_versions;
  if (offered.includes(vm.hardware_platform_version)) return undefined;
  const versions = `[${offered.join('; ')}]`;
  const wanted = String(vm.hardware_platform_version);
  return ['VM_HOST_INCOMPATIBLE_VIRTUAL_HARDWARE_PLATFORM_VERSION', host, versions, self, wanted];
};

/** A guest that runs knows the software under it, and may find less on a host that was not upgraded yet. */
const software: Check = ({ view, self, vm, host, machine }) => {
  const home = view.get('host', vm.resident_on);
  return home === undefined || isAtLeast(machine.software_version, home.software_version)
    ? undefined
    : ['VM_HOST_INCOMPATIBLE_VERSION', host, self];
};

/** Of its disks, and of what it is to be resumed from. */
const repositoriesOf = (view: View, vm: RecordNamed<'VM'>): readonly Need<'SR'>[] => {
  const drives = vm.VBDs.flatMap((ref) => view.get('VBD', ref) ?? []).filter(({ empty }) => !empty);
  const disks = drives.map(({ VDI }) => view.require('VDI', VDI));
  const image = vm.power_state === 'Suspended' ? view.get('VDI', vm.suspend_VDI) : undefined;
  return (image === undefined ? disks : [...disks, image]).map(({ SR }) => {
    const pbds = (view.get('SR', SR)?.PBDs ?? []).flatMap((ref) => view.get('PBD', ref) ?? []);
    return [SR, new Set(pbds.filter((pbd) => pbd.currently_attached).map(({ host }) => host))];
  });
};

/** A network without any card is a bridge that each host makes for itself. */
const networksOf = (view: View, vm: RecordNamed<'VM'>): readonly Need<'network'>[] =>
  vm.VIFs.map((ref) => view.get('VIF', ref)?.network ?? (nullRef as Ref<'network'>))
    .map((network): Need<'network'> => {
      const cards = (view.get('network', network)?.PIFs ?? []).flatMap((pif) => view.get('PIF', pif) ?? []);
      return [network, new Set(cards.map(({ host }) => host))];
    })
    .filter(([, hosts]) => hosts.size > 0);

const repositories: Check = ({ self, repositories: needs, host }) => {
  const missing = needs().find(([, hosts]) => !hosts.has(host));
  return missing && ['VM_REQUIRES_SR', self, missing[0]];
};

const networks: Check = ({ self, networks: needs, host }) => {
  const missing = needs().find(([, hosts]) => !hosts.has(host));
  return missing && ['VM_REQUIRES_NETWORK', self, missing[0]];
};

const cores: MeetingCheck = ({ vm, machine }) => {
  const count = machine.cpu_info.get('cpu_count');
  if (count === undefined || vm.VCPUs_max <= BigInt(count)) return undefined;
  return ['HOST_NOT_ENOUGH_PCPUS', String(vm.VCPUs_max), count];
};

/** A guest that has seen a processor goes on only where it finds the like. */
const processor: MeetingCheck = ({ self, vm, host, machine }) => {
  if (vm.power_state === 'Halted') return undefined;
  const [vendor, seen] = ['vendor', 'features'].map((key) => vm.last_boot_CPU_flags.get(key));
  const own = machine.cpu_info.get('vendor');
  if (vendor !== undefined && own !== undefined && vendor !== own) {
    return ['VM_INCOMPATIBLE_WITH_THIS_HOST', self, host, 'It has run on a processor of another maker'];
  }
  const able = parseFeatures(machine.cpu_info.get('features_hvm') ?? '') ?? [];
  return isSubset(parseFeatures(seen ?? '') ?? [], able)
    ? undefined
    : ['VM_INCOMPATIBLE_WITH_THIS_HOST', self, host, 'The processor there lacks features that it has seen'];
};

/** Asked last, as what it says is about one host's hypervisor. */
const hypervisor: Check = ({ view, vm, host }) => guestRefusal(view, vm, capabilitiesOn(view, host));

/** In the order in which they are asked: the first refusal is the answer. */
const checks: readonly Check[] = [
  parameters,
  present,
  enabled,
  hardware,
  software,
  repositories,
  networks,
  cores,
  processor,
  hypervisor,
];

/** What keeps a VM from running on a host of another pool, as far as the record of the host tells. */
export const strangerRefusal = (meeting: Meeting, insists: boolean): Refusal | undefined => {
  for (const check of [hardware, enabled, cores, ...(insists ? [] : [processor])]) {
    const refusal = check(meeting);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
};

/** Computed when it is first asked for. */
const once = <T>(make: () => T): (() => T) => {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
};

/**
 * What keeps a VM from running on each host that is asked about, as far as rows tell, other than how much
 * memory is free there. What the VM needs is looked up once, however many hosts there are. For who `insists`
 * a guest goes on with any processor.
 */
export const hostRefusals = (
  view: View,
  self: Ref<'VM'>,
  insists = false,
): ((host: Ref<'host'>) => Refusal | undefined) => {
  const vm = view.require('VM', self);
  const needs = {
    repositories: once(() => repositoriesOf(view, vm)),
    networks: once(() => networksOf(view, vm)),
  };
  return (host) => {
    const pair = { view, self, vm, ...needs, host, machine: view.require('host', host) };
    for (const check of checks) {
      const refusal = insists && check === processor ? undefined : check(pair);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  };
};

export const memoryRefusal = (vm: RecordNamed<'VM'>, free: bigint): Refusal | undefined => {
  const needed = neededBytes(vm);
  return needed > free ? ['HOST_NOT_ENOUGH_FREE_MEMORY', String(needed), String(free)] : undefined;
};
