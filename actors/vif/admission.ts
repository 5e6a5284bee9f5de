import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import { capabilitiesOn, vifRefusal as deviceRefusal } from '../../src/rules/guest-capabilities.ts';
import { guestOf, hotplug, leaving } from '../../src/rules/guests.ts';
import type { View } from '../../src/store/view.ts';
import { vifOperations } from './class.ts';

export type VifOperation = (typeof vifOperations)['empty'];

const inProgress = (self: Ref<'VIF'>, vif: RecordNamed<'VIF'>): Refusal | undefined => {
  if (vif.current_operations.size === 0) return undefined;
  const listed = (items: Iterable<string>): string => `{${[...items].toReversed().join('; ')}}`;
  const running = vif.current_operations;
  return ['OTHER_OPERATION_IN_PROGRESS', 'VIF', self, listed(running.values()), listed(running.keys())];
};

const refusalOf = (
  view: View,
  self: Ref<'VIF'>,
  vif: RecordNamed<'VIF'>,
  operation: VifOperation,
): Refusal | undefined => {
  const vm = view.get('VM', vif.VM);
  if (vm === undefined) return ['HANDLE_INVALID', 'VM', vif.VM];
  const busy = inProgress(self, vif);
  if (busy !== undefined || operation === 'attach') return busy;
  if (vm.power_state !== 'Running') {
    return ['VM_BAD_POWER_STATE', vif.VM, 'running', vm.power_state.toLowerCase()];
  }
  if (vif.currently_attached && operation === 'plug') return ['DEVICE_ALREADY_ATTACHED', self];
  if (!vif.currently_attached && operation === 'unplug') return ['DEVICE_ALREADY_DETACHED', self];
  if (vm.is_control_domain) return ['OPERATION_NOT_ALLOWED', 'Control domain does not support hotplug'];
  const can = hotplug(guestOf(view, vm), 'vif');
  if (can === 'no') return ['OPERATION_NOT_ALLOWED', 'VM states it does not support VIF hotplug.'];
  if (can === 'unknown') return ['VM_MISSING_PV_DRIVERS', vif.VM];
  const going = [...vm.current_operations.values()].find((one) => leaving.some((other) => other === one));
  if (going !== undefined) {
    return ['OPERATION_NOT_ALLOWED', `Current operation on VM:${vif.VM} is ${going}`];
  }
  return operation === 'plug' ? deviceRefusal(vif, capabilitiesOn(view, vm.resident_on)) : undefined;
};

export const vifRefusal = (view: View, self: Ref<'VIF'>, operation: VifOperation): Refusal | undefined => {
  const vif = view.get('VIF', self);
  return vif === undefined ? ['HANDLE_INVALID', 'VIF', self] : refusalOf(view, self, vif, operation);
};

export const vifAllowedOperations = (
  view: View,
  self: Ref<'VIF'>,
  vif: RecordNamed<'VIF'>,
): readonly VifOperation[] => {
  const all = vifOperations.values as readonly VifOperation[];
  return all.filter((operation) => refusalOf(view, self, vif, operation) === undefined);
};
