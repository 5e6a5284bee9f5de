import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import { own } from '../../src/std/own.ts';
import type { View } from '../../src/store/view.ts';

type Operation = RecordNamed<'host'>['allowed_operations'][number];

export const operations: readonly Operation[] = [
  'provision',
  'evacuate',
  'shutdown',
  'reboot',
  'power_on',
  'vm_start',
  'vm_resume',
  'vm_migrate',
  'apply_updates',
  'enable',
];

const adding: readonly Operation[] = ['provision', 'vm_resume', 'vm_migrate'];
const removing: readonly Operation[] = ['evacuate', 'reboot', 'shutdown'];

/**
 * Operations that the one running keeps out. VMs do not come to a host that is being emptied, nor the other
 * way round.
 */
const keepsOut = (running: Operation): readonly Operation[] => [
  ...(adding.includes(running) ? removing : []),
  ...(removing.includes(running) ? adding : []),
  ...(own(apart, running) ?? []),
];

const apart: Readonly<Record<string, readonly Operation[]>> = {
  reboot: ['shutdown', 'apply_updates'],
  shutdown: ['reboot', 'apply_updates'],
  apply_updates: ['reboot', 'shutdown', 'enable'],
  // One at a time, as each copies disks.
  provision: ['provision'],
};

/** Names of operations in faults where they differ. */
const spelled: Readonly<Record<string, string>> = {
  vm_start: 'VM.start',
  vm_resume: 'VM.resume',
  vm_migrate: 'VM.migrate',
};

/** Why an operation of a host may not begin; the first reason counts. */
export const hostRefusal = (view: View, self: Ref<'host'>, operation: string): Refusal | undefined => {
  const host = view.get('host', self);
  if (host === undefined) return ['HANDLE_INVALID', 'host', self];
  for (const [task, running] of host.current_operations) {
    if (keepsOut(running).includes(operation as Operation)) {
      return ['OTHER_OPERATION_IN_PROGRESS', 'host', self, spelled[running] ?? running, task];
    }
  }
  const down = operation === 'shutdown' || operation === 'reboot' || operation === 'apply_updates';
  if (down && host.enabled) return ['HOST_NOT_DISABLED'];
  if (operation === 'power_on') {
    if (view.get('host_metrics', host.metrics)?.live === true) return ['HOST_IS_LIVE', self];
    if (host.power_on_mode === '') return ['HOST_POWER_ON_MODE_DISABLED'];
  }
  return undefined;
};
