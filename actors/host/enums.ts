import { oneOf } from '../../src/model/types.ts';

export const hostAllowedOperations = oneOf('host_allowed_operations', [
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
]);
export const hostDisplay = oneOf('host_display', [
  'enabled',
  'disable_on_reboot',
  'disabled',
  'enable_on_reboot',
]);
export const latestSyncedUpdatesAppliedState = oneOf('latest_synced_updates_applied_state', [
  'yes',
  'no',
  'unknown',
]);
export const hostNumaAffinityPolicy = oneOf('host_numa_affinity_policy', [
  'any',
  'best_effort',
  'default_policy',
]);
export const hostNtpMode = oneOf('host_ntp_mode', ['DHCP', 'Custom', 'Factory', 'Disabled']);
export const hostSchedGran = oneOf('host_sched_gran', ['core', 'cpu', 'socket']);
