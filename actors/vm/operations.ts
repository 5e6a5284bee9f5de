import type { RecordNamed } from '../../src/model/class.ts';
import { vmOperations } from './enums.ts';

export type Operation = (typeof vmOperations)['empty'];
export type PowerState = RecordNamed<'VM'>['power_state'];

/** The states that each operation starts from, in the order in which a refusal names them. */
const states: readonly (readonly [readonly PowerState[], readonly Operation[]])[] = [
  [
    ['Halted'],
    [
      'changing_shadow_memory',
      'changing_NVRAM',
      'make_into_template',
      'provision',
      'start',
      'start_on',
      'create_vtpm',
      'changing_VCPUs',
      'changing_static_range',
      'changing_memory_limits',
      'clone',
      'copy',
    ],
  ],
  [['Paused'], ['unpause']],
  [['Suspended'], ['csvm', 'resume', 'resume_on']],
  [
    ['Running'],
    [
      'awaiting_memory_live',
      'call_plugin',
      'clean_reboot',
      'clean_shutdown',
      'changing_memory_live',
      'changing_shadow_memory_live',
      'changing_VCPUs_live',
      'data_source_op',
      'pause',
      'pool_migrate',
      'send_sysrq',
      'send_trigger',
      'snapshot_with_quiesce',
      'sysprep',
      'suspend',
    ],
  ],
  [['Halted', 'Running'], ['changing_dynamic_range']],
  [
    ['Halted', 'Suspended'],
    ['create_template', 'destroy', 'export'],
  ],
  [['Paused', 'Running'], ['hard_reboot']],
  [
    ['Paused', 'Suspended', 'Running'],
    ['checkpoint', 'get_boot_record', 'shutdown', 'hard_shutdown'],
  ],
  [['Halted', 'Suspended', 'Running'], ['migrate_send']],
  [
    ['Halted', 'Paused', 'Suspended', 'Running'],
    [
      'assert_operation_valid',
      'metadata_export',
      'power_state_reset',
      'revert',
      'reverting',
      'snapshot',
      'update_allowed_operations',
      'query_services',
    ],
  ],
  // It is about files, not about a VM that is there.
  [[], ['import']],
];

const statesOf = new Map(
  states.flatMap(([accepted, operations]) => operations.map((one) => [one, accepted] as const)),
);
const changeableWhileRunning: readonly Operation[] = [
  'changing_VCPUs',
  'changing_static_range',
  'changing_memory_limits',
];
const copying: readonly Operation[] = ['clone', 'copy'];

export const acceptedStates = (
  operation: Operation,
  vm: { readonly isControlDomain: boolean; readonly copiedWhileSuspended: boolean },
): readonly PowerState[] => {
  if (vm.isControlDomain && changeableWhileRunning.includes(operation)) return ['Halted', 'Running'];
  if (vm.copiedWhileSuspended && copying.includes(operation)) return ['Halted', 'Suspended'];
  return statesOf.get(operation) ?? [];
};

/** How refusals spell an operation, where that is not its name. */
const spellings: Partial<Record<Operation, string>> = {
  assert_operation_valid: 'assertoperationvalid',
  data_source_op: 'data_sources_op',
  changing_VCPUs: '(unknown operation)',
  changing_memory_limits: '(unknown operation)',
  query_services: '(unknown operation)',
  create_template: '(unknown operation)',
};
export const spelled = (operation: Operation): string => spellings[operation] ?? operation;

/** Operations of which any may run beside any other of the same row. */
const together: readonly (readonly Operation[])[] = [
  ['clone', 'copy', 'export'],
  ['snapshot', 'checkpoint'],
  ['get_boot_record'],
];
const besideMigrateSend: readonly Operation[] = ['metadata_export', 'clean_shutdown', 'clean_reboot'];

/** Whether an operation may begin while others run; `running` in the order in which they began. */
export const runsBeside = (operation: Operation, running: readonly Operation[]): boolean => {
  if (running.length === 0) return true;
  if (operation === 'hard_shutdown') return !running.includes('hard_shutdown');
  if (operation === 'hard_reboot')
    return !running.includes('hard_shutdown') && !running.includes('hard_reboot');
  if (together.some((group) => [operation, ...running].every((one) => group.includes(one)))) return true;
  if (running.length !== 1) return false;
  if (running[0] === 'migrate_send') return besideMigrateSend.includes(operation);
  return running[0] === 'snapshot_with_quiesce' && operation === 'snapshot';
};

/** Operations that need the guest to sleep for a moment, or to leave. */
export const suspending: readonly Operation[] = ['suspend', 'checkpoint', 'pool_migrate', 'migrate_send'];

export const onTemplates: readonly Operation[] = [
  'changing_dynamic_range',
  'changing_static_range',
  'changing_memory_limits',
  'changing_shadow_memory',
  'changing_VCPUs',
  'changing_NVRAM',
  'clone',
  'copy',
  'export',
  'metadata_export',
  'provision',
];
/** What a default template, which came with the installation, refuses. */
export const onOwnTemplates: readonly Operation[] = ['destroy', 'migrate_send'];

export const onSnapshots: readonly Operation[] = [
  'revert',
  'clone',
  'copy',
  'export',
  'destroy',
  'hard_shutdown',
  'metadata_export',
];

export const onControlDomains: readonly Operation[] = [
  'start',
  'start_on',
  'changing_dynamic_range',
  'changing_static_range',
  'changing_memory_limits',
  'changing_memory_live',
  'awaiting_memory_live',
  'changing_VCPUs',
  'metadata_export',
  'data_source_op',
  'destroy',
  'revert',
];
export const neverOnDomainZero: readonly Operation[] = ['changing_VCPUs', 'destroy'];

/** What a half-upgraded pool does not do, as its hosts may not understand each other's answers. */
export const notDuringUpgrade: readonly Operation[] = [
  'snapshot',
  'create_template',
  'checkpoint',
  'changing_dynamic_range',
  'changing_static_range',
  'changing_memory_limits',
  'changing_shadow_memory',
  'changing_NVRAM',
  'metadata_export',
  'create_vtpm',
  'shutdown',
  'reverting',
  'call_plugin',
  'sysprep',
];

/** Operations that `allowed_operations` never lists: they are ours, or mean something to hosts only. */
const unlisted: readonly Operation[] = [
  'assert_operation_valid',
  'awaiting_memory_live',
  'call_plugin',
  'changing_VCPUs',
  'changing_memory_limits',
  'changing_memory_live',
  'changing_shadow_memory_live',
  'create_template',
  'csvm',
  'data_source_op',
  'get_boot_record',
  'import',
  'power_state_reset',
  'query_services',
  'reverting',
  'send_sysrq',
  'send_trigger',
  'shutdown',
  'snapshot_with_quiesce',
  'update_allowed_operations',
];
export const listed: readonly Operation[] = (vmOperations.values as readonly Operation[]).filter(
  (one) => !unlisted.includes(one),
);
