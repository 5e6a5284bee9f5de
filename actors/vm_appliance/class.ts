import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { bool, confidential, label, map, oneOf, ref, set, string } from '../../src/model/types.ts';
import { since } from './since.ts';

export const vmApplianceOperation = oneOf('vm_appliance_operation', [
  'start',
  'clean_shutdown',
  'hard_shutdown',
  'shutdown',
]);

export const VM_appliance = defineClass('VM_appliance', {
  doc: 'VMs that make up one service and are started, stopped and recovered together, in their order.',
  since,
  writeRole: 'pool-operator',
  constructible: true,
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    name_label: rw(label, 'Name shown to people.', { default: '', column: 'name__label' }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      column: 'name__description',
    }),
    allowed_operations: dyn(
      set(vmApplianceOperation),
      'Operations that would be admitted now; a hint for clients.',
      { default: [], persist: false },
    ),
    current_operations: dyn(
      map(string, vmApplianceOperation),
      'What runs on the appliance at this moment, by the task that runs it.',
      { default: new Map(), persist: false },
    ),
    VMs: dyn(set(ref('VM')), 'VMs in the appliance; each is in at most one.', {
      inverse: 'VM.appliance',
      computed: true,
    }),
  },
  messages: {
    start: {
      doc: 'Start the VMs by their start order, each group after its delay.',
      role: 'pool-operator',
      self: 'self',
      params: { paused: [bool, 'True to leave every VM paused once it has been made.'] },
      errors: ['OPERATION_PARTIALLY_FAILED'],
      async: true,
    },
    clean_shutdown: {
      frees: true,
      doc: 'Ask the guests to shut down, against their start order.',
      role: 'pool-operator',
      self: 'self',
      errors: ['OPERATION_PARTIALLY_FAILED'],
      async: true,
    },
    hard_shutdown: {
      frees: true,
      doc: 'Cut the VMs off without asking their guests.',
      role: 'pool-operator',
      self: 'self',
      errors: ['OPERATION_PARTIALLY_FAILED'],
      async: true,
    },
    shutdown: {
      frees: true,
      doc: 'Ask each guest to shut down, and cut off those that do not.',
      role: 'pool-operator',
      self: 'self',
      errors: ['OPERATION_PARTIALLY_FAILED'],
      async: true,
    },
    assert_can_be_recovered: {
      doc: 'Fail unless another pool has the storage to recover the appliance there.',
      role: 'read-only',
      self: 'self',
      params: { session_to: [confidential(ref('session')), 'Session with the other pool.'] },
      errors: ['VM_REQUIRES_SR'],
      async: true,
    },
    get_SRs_required_for_recovery: {
      doc: 'Storage repositories that another pool needs to recover the appliance.',
      role: 'read-only',
      self: 'self',
      params: { session_to: [confidential(ref('session')), 'Session with the other pool.'] },
      result: set(ref('SR')),
      async: true,
    },
    recover: {
      doc: 'Bring the appliance of a lost pool to life in another pool.',
      role: 'read-only',
      self: 'self',
      params: {
        session_to: [confidential(ref('session')), 'Session with the other pool.'],
        force: [bool, 'True replaces VMs of the same identity that are already there and newer.'],
      },
      errors: ['VM_REQUIRES_SR'],
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VM_appliance: typeof VM_appliance;
  }
}
