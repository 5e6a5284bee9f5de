import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import type { View } from '../../src/store/view.ts';
import { vmApplianceOperation } from './class.ts';

export type ApplianceOperation = RecordNamed<'VM_appliance'>['allowed_operations'][number];

export const applianceOperations = vmApplianceOperation.values as readonly ApplianceOperation[];

const notAllowed = (reason: string): Refusal => ['OPERATION_NOT_ALLOWED', reason];

/**
 * Why an operation of an appliance may not begin: one runs at a time, and some VM must have something to do.
 */
export const applianceRefusal = (
  view: View,
  self: Ref<'VM_appliance'>,
  operation: ApplianceOperation,
): Refusal | undefined => {
  const appliance = view.get('VM_appliance', self);
  if (appliance === undefined) return ['HANDLE_INVALID', 'VM_appliance', self];
  const [first] = appliance.current_operations;
  if (first !== undefined) return ['OTHER_OPERATION_IN_PROGRESS', 'VM_appliance', self, first[1], first[0]];
  const states = appliance.VMs.flatMap((vm) => view.get('VM', vm)?.power_state ?? []);
  if (states.length === 0) return notAllowed('Appliance has no VMs.');
  switch (operation) {
    case 'start':
      return states.includes('Halted') ? undefined : notAllowed('There are no halted VMs in this appliance.');
    case 'clean_shutdown':
      return states.includes('Running')
        ? undefined
        : notAllowed('There are no running VMs in this appliance.');
    default:
      return states.some((state) => state !== 'Halted')
        ? undefined
        : notAllowed('All VMs in this appliance are halted.');
  }
};
