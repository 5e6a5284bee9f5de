import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { sharingRefusal } from '../../src/objects/disk-sharing.ts';
import { capabilitiesOn, vbdRefusal as deviceRefusal } from '../../src/objects/guest-capabilities.ts';
import { type Guest, guestOf, hotplug, leaving } from '../../src/objects/guests.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import type { View } from '../../src/store/view.ts';
import { vbdOperations } from './class.ts';

export type VbdOperation = (typeof vbdOperations)['empty'];

interface Facts {
  readonly view: View;
  readonly self: Ref<'VBD'>;
  readonly vbd: RecordNamed<'VBD'>;
  readonly vm: RecordNamed<'VM'>;
  readonly guest: Guest;
  readonly vdi: RecordNamed<'VDI'> | undefined;
}

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

const medium: Check = ({ vbd, vm, self }, operation) => {
  if (operation !== 'insert' && operation !== 'eject') return undefined;
  if (vbd.type === 'Disk') return ['VBD_NOT_REMOVABLE_MEDIA', self];
  if (vbd.empty && operation === 'eject') return ['VBD_IS_EMPTY', self];
  if (!vbd.empty && operation === 'insert') return ['VBD_NOT_EMPTY', self];
  return vm.power_state === 'Suspended' ? ['VM_BAD_POWER_STATE', vbd.VM, 'running', 'suspended'] : undefined;
};

const powerState: Check = ({ vbd, vm, guest }, operation) => {
  const accepted = plugging.includes(operation)
    ? vm.power_state === 'Running'
    : guest.live || !holding.includes(operation);
  return accepted ? undefined : ['VM_BAD_POWER_STATE', vbd.VM, 'running', vm.power_state.toLowerCase()];
};

const attachment: Check = ({ vbd, self, guest }, operation) => {
  if (!plugging.includes(operation)) return undefined;
  const attached = vbd.currently_attached || vbd.reserved;
  if (attached && operation === 'plug') return ['DEVICE_ALREADY_ATTACHED', self];
  if (!attached && operation !== 'plug') return ['DEVICE_ALREADY_DETACHED', self];
  if (unplugging.includes(operation) && !vbd.unpluggable) return ['VBD_NOT_UNPLUGGABLE', self];
  return vbd.type === 'CD' && !guest.bootedPv
    ? ['OPERATION_NOT_ALLOWED', 'HVM CDROMs cannot be hotplugged/unplugged, only inserted or ejected']
    : undefined;
};

const consent: Check = ({ vbd, vm, guest }, operation) => {
  if (operation !== 'plug' && operation !== 'unplug') return undefined;
  const can = hotplug(guest, 'vbd');
  if (can === 'no') return ['OPERATION_NOT_ALLOWED', 'VM states it does not support VBD hotplug.'];
  if (can === 'unknown') return ['VM_MISSING_PV_DRIVERS', vbd.VM];
  const going = [...vm.current_operations.values()].find((one) => leaving.some((other) => other === one));
  return going === undefined
    ? undefined
    : ['OPERATION_NOT_ALLOWED', `Current operation on VM:${vbd.VM} is ${going}`];
};

/** Operations of a disk that leave its contents readable meanwhile. */
const harmless: readonly string[] = ['copy', 'mirror'];

const disk: Check = ({ vbd, vdi }, operation) => {
  if (vdi === undefined || vbd.empty) return undefined;
  if (!vdi.managed) return ['VDI_NOT_MANAGED', vbd.VDI];
  if (operation !== 'attach' && operation !== 'plug' && operation !== 'insert') return undefined;
  if (vdi.read_only && vbd.mode === 'RW') return ['VDI_READONLY', vbd.VDI];
  const busy = [...vdi.current_operations].find(([, one]) => !harmless.includes(one));
  return busy === undefined ? undefined : ['OTHER_OPERATION_IN_PROGRESS', 'VDI', vbd.VDI, busy[1], busy[0]];
};

const hypervisor: Check = ({ view, vbd, vm }, operation) =>
  operation === 'plug' ? deviceRefusal(vbd, vm, capabilitiesOn(view, vm.resident_on)) : undefined;

const checks: readonly Check[] = [inProgress, medium, powerState, attachment, consent, disk, hypervisor];

const factsOf = (view: View, self: Ref<'VBD'>, vbd: RecordNamed<'VBD'>): Facts | undefined => {
  const vm = view.get('VM', vbd.VM);
  if (vm === undefined) return undefined;
  return { view, self, vbd, vm, guest: guestOf(view, vm), vdi: view.get('VDI', vbd.VDI) };
};

const firstRefusal = (facts: Facts, operation: VbdOperation): Refusal | undefined => {
  for (const check of checks) {
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
  const refusal = firstRefusal(facts, operation);
  if (refusal !== undefined) return refusal;
  return operation === 'attach' || operation === 'plug' ? sharingRefusal(view, self, vbd) : undefined;
};

/** Who shares the disk is left out: it may differ by the time of the call, and costs a look at each sharer. */
export const vbdAllowedOperations = (
  view: View,
  self: Ref<'VBD'>,
  vbd: RecordNamed<'VBD'>,
): readonly VbdOperation[] => {
  const facts = factsOf(view, self, vbd);
  if (facts === undefined) return [];
  const all = vbdOperations.values as readonly VbdOperation[];
  return all.filter((operation) => firstRefusal(facts, operation) === undefined);
};
