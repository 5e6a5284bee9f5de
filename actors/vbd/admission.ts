import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import { sharingRefusal } from '../../src/rules/disk-sharing.ts';
import { capabilitiesOn, vbdRefusal as deviceRefusal } from '../../src/rules/guest-capabilities.ts';
import { type GuestFacts, guestOf, hotplug, leaving } from '../../src/rules/guests.ts';
import type { View } from '../../src/store/view.ts';
import { vbdOperations } from './class.ts';

export type VbdOperation = (typeof vbdOperations)['empty'];

interface Facts {
  readonly view: View;
  readonly self: Ref<'VBD'>;
  readonly vbd: RecordNamed<'VBD'>;
  readonly vm: RecordNamed<'VM'>;
  readonly guest: GuestFacts;
  readonly vdi: RecordNamed<'VDI'> | undefined;
}

type PowerState = RecordNamed<'VM'>['power_state'];

type Check = (facts: Facts, operation: VbdOperation) => Refusal | undefined;

const plugging: readonly VbdOperation[] = ['plug', 'unplug', 'unplug_force'];
const unplugging: readonly VbdOperation[] = ['unplug', 'unplug_force'];
const holding: readonly VbdOperation[] = ['pause', 'unpause'];

/** A pause and its end may follow each other at once, and a pause ends also while the drive is attached. */
const mayFollow = (operation: VbdOperation, running: readonly VbdOperation[]): boolean => {
  if (operation === 'unpause') return running.every((one) => holding.includes(one) || one === 'attach');
  return operation === 'pause' && running.every((one) => holding.includes(one));
};

const inProgress: Check = ({ vbd, self }, operation) => {
  const [first] = vbd.current_operations;
  if (first === undefined || mayFollow(operation, [...vbd.current_operations.values()])) return undefined;
  return ['OTHER_OPERATION_IN_PROGRESS', 'VBD', self, first[1], first[0]];
};

const fixed: Check = ({ vbd, self }, operation) =>
  unplugging.includes(operation) && !vbd.unpluggable ? ['VBD_NOT_UNPLUGGABLE', self] : undefined;

const changing: readonly VbdOperation[] = ['insert', 'eject'];

const medium: Check = ({ vbd, self }, operation) => {
  if (!changing.includes(operation)) return undefined;
  if (vbd.type !== 'CD') return ['VBD_NOT_REMOVABLE_MEDIA', self];
  if (vbd.empty && operation === 'eject') return ['VBD_IS_EMPTY', self];
  return !vbd.empty && operation === 'insert' ? ['VBD_NOT_EMPTY', self] : undefined;
};

/** States of the VM that an operation asks for; none where any will do. */
const statesFor = (operation: VbdOperation): readonly PowerState[] => {
  if (plugging.includes(operation)) return ['Running'];
  if (holding.includes(operation)) return ['Running', 'Paused'];
  return changing.includes(operation) ? ['Halted', 'Running', 'Paused'] : [];
};

/** A paused guest is as good as a running one, which is the one that refusals name. */
const named = (states: readonly PowerState[]): string =>
  states
    .filter((state) => state !== 'Paused')
    .join(', ')
    .toLowerCase();

const powerState: Check = ({ vbd, vm }, operation) => {
  const states = statesFor(operation);
  return states.length === 0 || states.includes(vm.power_state)
    ? undefined
    : ['VM_BAD_POWER_STATE', vbd.VM, named(states), vm.power_state.toLowerCase()];
};

const attachment: Check = ({ vbd, self }, operation) => {
  if (!plugging.includes(operation)) return undefined;
  const attached = vbd.currently_attached || vbd.reserved;
  if (attached && operation === 'plug') return ['DEVICE_ALREADY_ATTACHED', self];
  return !attached && operation !== 'plug' ? ['DEVICE_ALREADY_DETACHED', self] : undefined;
};

const consent: Check = ({ vbd, vm, guest }, operation) => {
  if (!plugging.includes(operation)) return undefined;
  const insisting = operation === 'unplug_force';
  const going = [...vm.current_operations.values()].find((one) => leaving.some((other) => other === one));
  if (going !== undefined && !insisting) {
    return ['OPERATION_NOT_ALLOWED', `Current operation on VM:${vbd.VM} is ${going}`];
  }
  // A host has no devices that it would have to find.
  if (vm.is_control_domain) return undefined;
  const can = insisting ? 'yes' : hotplug(guest, 'vbd');
  if (can === 'no') return ['OPERATION_NOT_ALLOWED', 'VM states it does not support VBD hotplug.'];
  if (can === 'unknown') return ['VM_MISSING_PV_DRIVERS', vbd.VM];
  return vbd.type === 'CD' && !guest.bootedPv
    ? ['OPERATION_NOT_ALLOWED', 'HVM CDROMs cannot be hotplugged/unplugged, only inserted or ejected']
    : undefined;
};

/** Operations of a disk that leave its contents readable meanwhile. */
const harmless: readonly string[] = ['copy', 'mirror'];

/** Operations after which the drive holds the disk. */
const taking: readonly VbdOperation[] = ['attach', 'plug', 'insert'];

/** The drive is what a client must not use, so it is the one that is named where the disk is not managed. */
const managed: Check = ({ vbd, self, vdi }) =>
  vdi === undefined || vbd.empty || vdi.managed ? undefined : ['VDI_NOT_MANAGED', self];

const disk: Check = ({ vbd, vdi }, operation) => {
  if (vdi === undefined || vbd.empty || !taking.includes(operation)) return undefined;
  const busy = [...vdi.current_operations].find(([, one]) => !harmless.includes(one));
  return busy === undefined ? undefined : ['OTHER_OPERATION_IN_PROGRESS', 'VDI', vbd.VDI, busy[1], busy[0]];
};

const readOnly: Check = ({ vbd, vdi }, operation) =>
  vdi?.read_only && !vbd.empty && vbd.mode === 'RW' && !vbd.currently_attached && taking.includes(operation)
    ? ['VDI_READONLY', vbd.VDI]
    : undefined;

const hypervisor: Check = ({ view, vbd, vm }, operation) =>
  operation === 'plug' ? deviceRefusal(vbd, vm, capabilitiesOn(view, vm.resident_on)) : undefined;

/** In the order in which they are asked: the first refusal is the answer. */
const checks: readonly Check[] = [inProgress, fixed, medium, powerState, attachment, consent, managed, disk];

/** What is asked after who shares the disk. */
const lastChecks: readonly Check[] = [readOnly, hypervisor];

const factsOf = (view: View, self: Ref<'VBD'>, vbd: RecordNamed<'VBD'>): Facts | undefined => {
  const vm = view.get('VM', vbd.VM);
  if (vm === undefined) return undefined;
  return { view, self, vbd, vm, guest: guestOf(view, vm), vdi: view.get('VDI', vbd.VDI) };
};

const firstRefusal = (
  asked: readonly Check[],
  facts: Facts,
  operation: VbdOperation,
): Refusal | undefined => {
  for (const check of asked) {
    const refusal = check(facts, operation);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
};

export const vbdRefusal = (view: View, self: Ref<'VBD'>, operation: VbdOperation): Refusal | undefined => {
  const vbd = view.get('VBD', self);
  if (vbd === undefined) return ['HANDLE_INVALID', 'VBD', self];
  const facts = factsOf(view, self, vbd);
  if (facts === undefined) return ['HANDLE_INVALID', 'VM', vbd.VM];
  const shared = taking.includes(operation) && !vbd.empty && !vbd.currently_attached;
  return (
    firstRefusal(checks, facts, operation) ??
    (shared ? sharingRefusal(view, self, vbd) : undefined) ??
    firstRefusal(lastChecks, facts, operation)
  );
};

/**
 * Who shares the disk is left out: it may differ by the time of the call, and costs a look at each sharer.
 */
export const vbdAllowedOperations = (
  view: View,
  self: Ref<'VBD'>,
  vbd: RecordNamed<'VBD'>,
): readonly VbdOperation[] => {
  const facts = factsOf(view, self, vbd);
  if (facts === undefined) return [];
  const all = vbdOperations.values as readonly VbdOperation[];
  return all.filter((operation) => firstRefusal([...checks, hypervisor], facts, operation) === undefined);
};
