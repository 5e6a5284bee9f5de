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

export const vmppBackupType = oneOf('vmpp_backup_type', ['snapshot', 'checkpoint']);
export const vmppBackupFrequency = oneOf('vmpp_backup_frequency', ['hourly', 'daily', 'weekly']);
export const vmppArchiveTargetType = oneOf('vmpp_archive_target_type', ['none', 'cifs', 'nfs']);
export const vmppArchiveFrequency = oneOf('vmpp_archive_frequency', [
  'never',
  'always_after_backup',
  'daily',
  'weekly',
]);

export const VMPP = defineClass('VMPP', {
  doc: 'A plan for protecting VMs by regular snapshots and archives; withdrawn in favour of `VMSS`.',
  since: 'cowley',
  writeRole: 'pool-operator',
  constructible: true,
  removed: true,
  fields: {
    uuid: dyn(string, 'Names it for good.', { removed: true }),
    name_label: rw(label, 'Name shown to people.', { default: '', removed: true, column: 'name__label' }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      removed: true,
      column: 'name__description',
    }),
    is_policy_enabled: rw(bool, 'True if the plan was followed.', { default: true, removed: true }),
    backup_type: rw(vmppBackupType, 'Kind of snapshot that was taken.', {
      default: 'snapshot',
      removed: true,
    }),
    backup_retention_value: ro(int, 'Number of snapshots kept before the oldest went.', {
      default: 7n,
      removed: true,
    }),
    backup_frequency: ro(vmppBackupFrequency, 'How often snapshots were taken.', {
      default: 'daily',
      removed: true,
    }),
    backup_schedule: ro(stringMap, 'Minute, hour and days at which snapshots were taken.', {
      default: new Map(),
      removed: true,
    }),
    is_backup_running: dyn(bool, 'True while the snapshots of the plan were being taken.', { removed: true }),
    backup_last_run_time: dyn(datetime, 'When snapshots were last taken.', { default: epoch, removed: true }),
    archive_target_type: ro(vmppArchiveTargetType, 'Kind of share that archives went to.', {
      default: 'none',
      removed: true,
    }),
    archive_target_config: ro(stringMap, 'Place of that share and the account to use there.', {
      default: new Map(),
      removed: true,
    }),
    archive_frequency: ro(vmppArchiveFrequency, 'How often archives were written.', {
      default: 'never',
      removed: true,
    }),
    archive_schedule: ro(stringMap, 'Hour and days at which archives were written.', {
      default: new Map(),
      removed: true,
    }),
    is_archive_running: dyn(bool, 'True while archives of the plan were being written.', { removed: true }),
    archive_last_run_time: dyn(datetime, 'When archives were last written.', {
      default: epoch,
      removed: true,
    }),
    VMs: dyn(set(ref('VM')), 'VMs that followed the plan.', {
      inverse: 'VM.protection_policy',
      computed: true,
      removed: true,
    }),
    is_alarm_enabled: ro(bool, 'True if failures were sent by mail.', { default: false, removed: true }),
    alarm_config: ro(stringMap, 'Mail server and address for failures.', {
      default: new Map(),
      removed: true,
    }),
    recent_alerts: dyn(set(string), 'What lately happened under the plan.', { default: [], removed: true }),
  },
  messages: {
    protect_now: {
      doc: 'Took the snapshots of the plan at once.',
      role: 'pool-operator',
      self: 'vmpp',
      result: string,
      removed: true,
    },
    archive_now: {
      doc: 'Wrote one snapshot to the archive at once.',
      role: 'vm-power-admin',
      params: { snapshot: [ref('VM'), 'Snapshot to archive.'] },
      result: string,
      removed: true,
    },
    create_alert: {
      doc: 'Noted what happened under the plan, for its list of alerts.',
      role: '_local_root_',
      self: 'vmpp',
      params: {
        name: [label, 'Name of what happened.'],
        priority: [int, 'How urgent it was.'],
        body: [string, 'Text for people.'],
        data: [string, 'Details for programs.'],
      },
      removed: true,
      hidden: true,
    },
    get_alerts: {
      doc: 'Listed what happened under the plan in the last hours.',
      role: 'pool-operator',
      self: 'vmpp',
      params: { hours_from_now: [int, 'Number of hours to look back.'] },
      result: set(string),
      removed: true,
    },
    set_backup_retention_value: {
      doc: 'Changed how many snapshots were kept.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [int, 'Number of snapshots.'] },
      removed: true,
    },
    set_is_backup_running: {
      doc: 'Noted that taking snapshots had begun or ended.',
      role: '_local_root_',
      self: 'self',
      params: { value: [bool, 'True if it had begun.'] },
      removed: true,
      hidden: true,
    },
    set_is_archive_running: {
      doc: 'Noted that writing archives had begun or ended.',
      role: '_local_root_',
      self: 'self',
      params: { value: [bool, 'True if it had begun.'] },
      removed: true,
      hidden: true,
    },
    set_backup_frequency: {
      doc: 'Changed how often snapshots were taken.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [vmppBackupFrequency, 'The new rhythm.'] },
      removed: true,
    },
    set_backup_schedule: {
      doc: 'Changed when snapshots were taken.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [stringMap, 'Minute, hour and days.'] },
      removed: true,
    },
    set_archive_frequency: {
      doc: 'Changed how often archives were written.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [vmppArchiveFrequency, 'The new rhythm.'] },
      removed: true,
    },
    set_archive_schedule: {
      doc: 'Changed when archives were written.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [stringMap, 'Hour and days.'] },
      removed: true,
    },
    set_archive_target_type: {
      doc: 'Changed the kind of share that archives went to.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [vmppArchiveTargetType, 'The new kind.'] },
      removed: true,
    },
    set_archive_target_config: {
      doc: 'Changed the place of the share for archives.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [stringMap, 'Place and account.'] },
      removed: true,
    },
    set_is_alarm_enabled: {
      doc: 'Turned mail about failures on or off.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [bool, 'True for mail.'] },
      removed: true,
    },
    set_alarm_config: {
      doc: 'Changed the mail server and address for failures.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [stringMap, 'Server and address.'] },
      removed: true,
    },
    add_to_backup_schedule: {
      doc: 'Added one entry to the schedule of snapshots.',
      role: 'pool-operator',
      self: 'self',
      params: {
        key: [label, 'Entry, such as `hour`.'],
        value: [string, 'Its value.'],
      },
      removed: true,
    },
    add_to_archive_target_config: {
      doc: 'Added one entry to the place of the share for archives.',
      role: 'pool-operator',
      self: 'self',
      params: {
        key: [label, 'Entry, such as `location`.'],
        value: [string, 'Its value.'],
      },
      removed: true,
    },
    add_to_archive_schedule: {
      doc: 'Added one entry to the schedule of archives.',
      role: 'pool-operator',
      self: 'self',
      params: {
        key: [label, 'Entry, such as `days`.'],
        value: [string, 'Its value.'],
      },
      removed: true,
    },
    add_to_alarm_config: {
      doc: 'Added one entry to the settings of mail.',
      role: 'pool-operator',
      self: 'self',
      params: {
        key: [label, 'Entry, such as `smtp_server`.'],
        value: [string, 'Its value.'],
      },
      removed: true,
    },
    remove_from_backup_schedule: {
      doc: 'Took one entry off the schedule of snapshots.',
      role: 'pool-operator',
      self: 'self',
      params: { key: [label, 'Entry to take off.'] },
      removed: true,
    },
    remove_from_archive_target_config: {
      doc: 'Took one entry off the place of the share for archives.',
      role: 'pool-operator',
      self: 'self',
      params: { key: [label, 'Entry to take off.'] },
      removed: true,
    },
    remove_from_archive_schedule: {
      doc: 'Took one entry off the schedule of archives.',
      role: 'pool-operator',
      self: 'self',
      params: { key: [label, 'Entry to take off.'] },
      removed: true,
    },
    remove_from_alarm_config: {
      doc: 'Took one entry off the settings of mail.',
      role: 'pool-operator',
      self: 'self',
      params: { key: [label, 'Entry to take off.'] },
      removed: true,
    },
    set_backup_last_run_time: {
      doc: 'Noted when snapshots were last taken.',
      role: '_local_root_',
      self: 'self',
      params: { value: [datetime, 'Time of the run.'] },
      removed: true,
    },
    set_archive_last_run_time: {
      doc: 'Noted when archives were last written.',
      role: '_local_root_',
      self: 'self',
      params: { value: [datetime, 'Time of the run.'] },
      removed: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VMPP: typeof VMPP;
  }
}
