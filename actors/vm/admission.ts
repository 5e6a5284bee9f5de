import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import { capabilitiesOn } from '../../src/rules/guest-capabilities.ts';
import { type GuestFacts, guestOf, isTrue } from '../../src/rules/guests.ts';
import type { View } from '../../src/store/view.ts';
import {
  acceptedStates,
  listed,
  neverOnDomainZero,
  notDuringUpgrade,
  type Operation,
  onControlDomains,
  onOwnTemplates,
  onSnapshots,
  onTemplates,
  runsBeside,
  spelled,
  suspending,
} from './operations.ts';

/** What the checks look at, gathered once for all operations of a VM. */
interface Facts {
  readonly view: View;
  readonly self: Ref<'VM'>;
  readonly vm: RecordNamed<'VM'>;
  readonly guest: GuestFacts;
  readonly poolConfig: ReadonlyMap<string, string>;
}

type Check = (facts: Facts, operation: Operation, strict: boolean) => Refusal | undefined;

const none: ReadonlyMap<string, string> = new Map();

const factsOf = (view: View, self: Ref<'VM'>, vm: RecordNamed<'VM'>): Facts => {
  const [pool] = view.all('pool');
  return { view, self, vm, guest: guestOf(view, vm), poolConfig: pool?.[1].other_config ?? none };
};

const blocked: Check = ({ vm, self }, operation) => {
  const reason = vm.blocked_operations.get(operation);
  return reason === undefined ? undefined : ['OPERATION_BLOCKED', self, reason];
};

const powerState: Check = ({ vm, self, poolConfig }, operation) => {
  const accepted = acceptedStates(operation, {
    isControlDomain: vm.is_control_domain,
    copiedWhileSuspended: vm.is_a_snapshot || poolConfig.get('allow_clone_suspended_vm') === 'true',
  });
  if (accepted.includes(vm.power_state)) return undefined;
  return ['VM_BAD_POWER_STATE', self, accepted.join(', ').toLowerCase(), vm.power_state.toLowerCase()];
};

const braced = (items: readonly string[]): string =>
  items.length === 1 ? items.join() : `{${items.join(',')}}`;

const inProgress: Check = ({ vm, self }, operation) => {
  if (vm.current_operations.size === 0) return undefined;
  const running = [...vm.current_operations.values()];
  if (runsBeside(operation, running)) return undefined;
  const tasks = [...vm.current_operations.keys()];
  return ['OTHER_OPERATION_IN_PROGRESS', 'VM', self, braced(running.map(spelled)), braced(tasks)];
};

const isDefaultTemplate = (vm: RecordNamed<'VM'>): boolean =>
  vm.is_default_template || isTrue(vm.other_config.get('default_template'));

const kind: Check = ({ vm, self }, operation) => {
  const template = vm.is_a_template && !vm.is_a_snapshot;
  if (template && !onTemplates.includes(operation)) {
    if (isDefaultTemplate(vm) || !onOwnTemplates.includes(operation)) {
      return ['VM_IS_TEMPLATE', self, spelled(operation)];
    }
  }
  if (vm.is_a_snapshot && !onSnapshots.includes(operation))
    return ['VM_IS_SNAPSHOT', self, spelled(operation)];
  if (operation === 'provision' && !vm.is_a_template) return ['PROVISION_ONLY_ALLOWED_ON_TEMPLATE'];
  if (operation === 'revert' && !vm.is_a_snapshot) return ['REVERT_ONLY_ALLOWED_ON_SNAPSHOT'];
  return undefined;
};

/** What the guest booted with counts; what it would boot with next only where that is not known. */
const bootedWith = ({ vm, guest }: Facts): { readonly nomigrate: boolean; readonly nested: boolean } =>
  guest.metrics === undefined
    ? { nomigrate: isTrue(vm.platform.get('nomigrate')), nested: isTrue(vm.platform.get('nested-virt')) }
    : { nomigrate: guest.metrics.nomigrate, nested: guest.metrics.nested_virt };

const mobility: Check = (facts, operation, strict) => {
  if (!strict) return undefined;
  const { nomigrate, nested } = bootedWith(facts);
  if ((nomigrate || nested) && suspending.includes(operation)) return ['VM_IS_IMMOBILE', facts.self];
  if (nested && operation === 'changing_dynamic_range') return ['VM_IS_USING_NESTED_VIRT', facts.self];
  return undefined;
};

const isDomainZero = ({ view, vm, self }: Facts): boolean =>
  view.get('host', vm.resident_on)?.control_domain === self;

const controlDomain: Check = (facts, operation) => {
  if (!facts.vm.is_control_domain) return undefined;
  if (neverOnDomainZero.includes(operation) && isDomainZero(facts)) {
    return ['OPERATION_NOT_ALLOWED', 'This operation is not allowed on dom0'];
  }
  return onControlDomains.includes(operation)
    ? undefined
    : ['OPERATION_NOT_ALLOWED', 'This operation is not allowed on a control domain'];
};

/** Any one of these, announced as exactly `1`, is enough. */
const needed: Partial<Record<Operation, readonly string[]>> = {
  suspend: ['feature-suspend'],
  checkpoint: ['feature-suspend'],
  pool_migrate: ['feature-suspend'],
  migrate_send: ['feature-suspend'],
  clean_shutdown: ['feature-shutdown', 'feature-poweroff'],
  clean_reboot: ['feature-shutdown', 'feature-reboot'],
  changing_VCPUs_live: ['feature-vcpu-hotplug'],
};

const features: Check = ({ guest, self }, operation, strict) => {
  const wanted = needed[operation];
  if (wanted === undefined || !guest.live || guest.bootedPv) return undefined;
  const told = guest.agent?.other ?? none;
  const reason = told.get('data-cant-suspend-reason');
  if (reason !== undefined && suspending.includes(operation)) return ['VM_NON_SUSPENDABLE', self, reason];
  if (guest.agent !== undefined && guest.agent.PV_drivers_version.size > 0) return undefined;
  if (!strict && operation !== 'changing_VCPUs_live') return undefined;
  return wanted.some((feature) => told.get(feature) === '1') ? undefined : ['VM_LACKS_FEATURE', self];
};

const ballooning: Check = ({ view, vm, self, guest }, operation) =>
  operation === 'changing_dynamic_range' && guest.live && !capabilitiesOn(view, vm.resident_on).ballooning
    ? ['VM_LACKS_FEATURE', self]
    : undefined;

const quiesce: Check = ({ self }, operation) =>
  operation === 'snapshot_with_quiesce' ? ['VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED', self] : undefined;

const disks: Check = ({ view, vm }, operation) => {
  const alone = operation === 'checkpoint' || operation === 'snapshot' || operation === 'suspend';
  if (!alone && operation !== 'pool_migrate') return undefined;
  for (const vbd of vm.VBDs) {
    const settings = view.get('VDI', view.get('VBD', vbd)?.VDI ?? (nullRef as Ref<'VDI'>))?.sm_config;
    if (settings?.get('on_boot') !== 'reset') continue;
    if (alone || settings.get('caching') === 'true') return ['VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION'];
  }
  return undefined;
};

const passedThrough: Check = ({ vm, guest, self }, operation) => {
  const away = suspending.includes(operation);
  if (away && vm.attached_PCIs.length > 0) return ['VM_HAS_PCI_ATTACHED', self];
  const leaves = operation === 'migrate_send' ? vm.power_state !== 'Halted' : away && guest.live;
  if (leaves && vm.VGPUs.length > 0) return ['VM_HAS_VGPU', self];
  if ((away || operation === 'snapshot') && vm.VUSBs.length > 0) return ['VM_HAS_VUSBS', self];
  return undefined;
};

const membership: Check = ({ view, vm, self }, operation) => {
  if (operation !== 'make_into_template') return undefined;
  const there = (cls: string, ref: string): boolean => view.get(cls as never, ref as never) !== undefined;
  if (there('VM_appliance', vm.appliance)) return ['VM_IS_PART_OF_AN_APPLIANCE', self, vm.appliance];
  if (there('VMPP', vm.protection_policy)) {
    return ['VM_ASSIGNED_TO_PROTECTION_POLICY', self, vm.protection_policy];
  }
  if (there('VMSS', vm.snapshot_schedule)) {
    return ['VM_ASSIGNED_TO_SNAPSHOT_SCHEDULE', self, vm.snapshot_schedule];
  }
  return undefined;
};

const others: Check = ({ vm, self, poolConfig }, operation) => {
  if (operation === 'query_services' && vm.other_config.get('is_system_domain') !== 'true') {
    return ['NOT_SYSTEM_DOMAIN', self];
  }
  if (poolConfig.has('rolling_upgrade_in_progress') && notDuringUpgrade.includes(operation)) {
    return ['NOT_SUPPORTED_DURING_UPGRADE'];
  }
  if (operation === 'create_vtpm' && vm.VTPMs.length > 0) {
    return ['VTPM_MAX_AMOUNT_REACHED', String(vm.VTPMs.length)];
  }
  return undefined;
};

/** In the order in which they are asked: the first refusal is the answer. */
const checks: readonly Check[] = [
  blocked,
  powerState,
  inProgress,
  kind,
  mobility,
  controlDomain,
  features,
  ballooning,
  quiesce,
  disks,
  passedThrough,
  membership,
  others,
];

const firstRefusal = (facts: Facts, operation: Operation, strict: boolean): Refusal | undefined => {
  for (const check of checks) {
    const refusal = check(facts, operation, strict);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
};

/** Why an operation may not begin now. Not strict: what protects a guest that cannot answer is left out. */
export const vmRefusal = (
  view: View,
  self: Ref<'VM'>,
  operation: Operation,
  strict = true,
): Refusal | undefined => {
  const vm = view.get('VM', self);
  return vm === undefined
    ? ['HANDLE_INVALID', 'VM', self]
    : firstRefusal(factsOf(view, self, vm), operation, strict);
};

export const vmAllowedOperations = (
  view: View,
  self: Ref<'VM'>,
  vm: RecordNamed<'VM'>,
): readonly Operation[] => {
  const facts = factsOf(view, self, vm);
  return listed.filter((operation) => firstRefusal(facts, operation, true) === undefined);
};
