import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { naps } from './napping.ts';

const noHost = nullRef as Ref<'host'>;

/** What a guest leaves on its host when it is no longer there: nothing. */
const leaveHost = (tx: Tx, self: Ref<'VM'>): void => {
  const vm = tx.require('VM', self);
  for (const ref of vm.consoles) tx.delete('console', ref);
  tx.patch('VM', self, {
    resident_on: noHost,
    scheduled_to_be_resident_on: noHost,
    domid: -1n,
    attached_PCIs: [],
  });
  if (tx.get('VM_metrics', vm.metrics) !== undefined) {
    tx.patch('VM_metrics', vm.metrics, { memory_actual: 0n, state: [] });
  }
};

export const detachDevices = (tx: Tx, self: Ref<'VM'>): void => {
  const vm = tx.require('VM', self);
  const loose = { currently_attached: false, reserved: false, current_operations: new Map() };
  for (const ref of vm.VBDs) if (tx.get('VBD', ref) !== undefined) tx.patch('VBD', ref, loose);
  for (const ref of vm.VIFs) if (tx.get('VIF', ref) !== undefined) tx.patch('VIF', ref, loose);
};

const untilNextBoot: readonly string[] = ['restart_vm', 'restart_device_model'];

/** Whether the pool restarts protected guests that shut themselves down. */
const restartsByItself = (view: View): boolean => {
  const [pool] = view.all('pool');
  return pool?.[1].ha_reboot_vm_on_internal_shutdown ?? true;
};

/** Guidances that the next boot does not settle. */
export const lasting = <T extends string>(guidances: readonly T[]): readonly T[] =>
  guidances.filter((one) => !untilNextBoot.includes(one));

/** The rows of a VM without a domain and without a memory image. */
export const becomeHalted = (tx: Tx, self: Ref<'VM'>): void => {
  leaveHost(tx, self);
  detachDevices(tx, self);
  const vm = tx.require('VM', self);
  tx.patch('VM', self, {
    power_state: 'Halted',
    ...(restartsByItself(tx) ? {} : { ha_always_run: false }),
    requires_reboot: false,
    last_booted_record: '',
    pending_guidances: lasting(vm.pending_guidances),
    pending_guidances_recommended: lasting(vm.pending_guidances_recommended),
    pending_guidances_full: lasting(vm.pending_guidances_full),
  });
};

/** Devices stay attached in name: the guest finds them as they were when it is resumed. */
export const becomeSuspended = (tx: Tx, self: Ref<'VM'>, domains: string): void => {
  const before = tx.require('VM', self);
  leaveHost(tx, self);
  tx.patch('VM', self, {
    power_state: 'Suspended',
    last_booted_record: domains,
    ...(naps(tx, self) ? { resident_on: before.resident_on } : {}),
  });
};
