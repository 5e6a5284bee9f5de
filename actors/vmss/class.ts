import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import {
  bool,
  datetime,
  epoch,
  int,
  label,
  oneOf,
  ref,
  set,
  string,
  stringMap,
} from '../../src/model/types.ts';

export const vmssType = oneOf('vmss_type', ['snapshot', 'checkpoint', 'snapshot_with_quiesce']);
export const vmssFrequency = oneOf('vmss_frequency', ['hourly', 'daily', 'weekly']);

export const VMSS = defineClass('VMSS', {
  doc: 'A schedule by which snapshots of its VMs are taken, and the oldest of them removed.',
  since: 'falcon',
  writeRole: 'pool-operator',
  constructible: true,
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    name_label: rw(label, 'Name shown to people.', { default: '', column: 'name__label' }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      column: 'name__description',
    }),
    enabled: rw(bool, 'True if the schedule is followed.', { default: true }),
    type: ro(vmssType, 'Kind of snapshot that is taken.'),
    retained_snapshots: ro(int, 'Number of snapshots kept of each VM before the oldest goes.', {
      default: 7n,
    }),
    frequency: ro(vmssFrequency, 'How often snapshots are taken.'),
    schedule: ro(stringMap, 'Minute, hour and days at which snapshots are taken.', { default: new Map() }),
    last_run_time: dyn(datetime, 'When snapshots were last taken, by the clock of the coordinator.', {
      default: epoch,
    }),
    VMs: dyn(set(ref('VM')), 'VMs that follow the schedule; each follows at most one.', {
      inverse: 'VM.snapshot_schedule',
      computed: true,
    }),
  },
  messages: {
    snapshot_now: {
      doc: 'Take the snapshots of the schedule at once, without waiting for its time.',
      role: 'pool-operator',
      self: 'vmss',
      result: string,
    },
    set_retained_snapshots: {
      doc: 'Change how many snapshots of each VM are kept.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [int, 'Number of snapshots.'] },
    },
    set_frequency: {
      doc: 'Change how often snapshots are taken.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [vmssFrequency, 'The new rhythm.'] },
    },
    set_schedule: {
      doc: 'Change when snapshots are taken.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [stringMap, 'Minute, hour and days, as the rhythm needs them.'] },
    },
    add_to_schedule: {
      doc: 'Set one entry of the schedule.',
      role: 'pool-operator',
      self: 'self',
      params: {
        key: [label, 'Entry: `min`, `hour` or `days`.'],
        value: [string, 'Its value.'],
      },
    },
    remove_from_schedule: {
      frees: true,
      doc: 'Take one entry off the schedule; one that the rhythm needs stays until it is replaced.',
      role: 'pool-operator',
      self: 'self',
      params: { key: [label, 'Entry: `min`, `hour` or `days`.'] },
    },
    set_last_run_time: {
      doc: 'Note when snapshots were last taken.',
      role: '_local_root_',
      self: 'self',
      params: { value: [datetime, 'Time of the run.'] },
    },
    set_type: {
      doc: 'Change the kind of snapshot that is taken.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [vmssType, 'The new kind.'] },
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VMSS: typeof VMSS;
  }
}
