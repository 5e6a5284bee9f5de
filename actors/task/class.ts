import { defineClass, dyn } from '../../src/model/class.ts';
import {
  bool,
  datetime,
  float,
  int,
  label,
  longText,
  map,
  nullRef,
  oneOf,
  ref,
  set,
  string,
  stringMap,
} from '../../src/model/types.ts';
import { since } from './since.ts';

export const taskAllowedOperations = oneOf('task_allowed_operations', ['cancel', 'destroy']);
export const taskStatusType = oneOf('task_status_type', [
  'pending',
  'success',
  'failure',
  'cancelling',
  'cancelled',
]);

export const task = defineClass('task', {
  doc: 'A call that is running or has ended, and what came of it.',
  since,
  writeRole: 'pool-operator',
  persist: false,
  survives: true,
  fields: {
    uuid: dyn(string, 'Names the task for good.'),
    name_label: dyn(
      string,
      'Wire name of the call, such as `Async.VM.start`, or what its creator named it.',
      { default: '', column: 'name__label' },
    ),
    name_description: dyn(string, 'Longer text for people.', { default: '', column: 'name__description' }),
    allowed_operations: dyn(
      set(taskAllowedOperations),
      'What can be done to the task now; empty once it has ended.',
      { default: [], persist: false },
    ),
    current_operations: dyn(map(string, taskAllowedOperations), 'What is being done to the task now.', {
      default: new Map(),
      persist: false,
    }),
    created: dyn(datetime, 'When the call was accepted.'),
    finished: dyn(datetime, 'When the call ended; 1970 while it is still pending.'),
    status: dyn(taskStatusType, 'Starts as pending and ends as success, failure or cancelled.'),
    session: dyn(ref('session'), 'Session that started the task; its user may see and cancel it.', {
      inverse: 'session.tasks',
      internal: true,
      gone: 'stays',
    }),
    holder: dyn(string, 'User whose session started it, whether or not that session is still there.', {
      default: '',
      internal: true,
      ours: true,
      indexed: true,
    }),
    by_hand: dyn(bool, 'True of one that a client made: nothing of the pool works for it.', {
      default: false,
      internal: true,
      ours: true,
    }),
    resident_on: dyn(ref('host'), 'Host that does the work.', { gone: 'cleared' }),
    progress: dyn(float, 'From 0 to 1; 1 does not mean success, look at the status.'),
    externalpid: dyn(int, 'Process that works for the task, or -1.', { internal: true }),
    stunnelpid: dyn(
      int,
      'Process that carries the connection of the call when another host does the work, or -1.',
      { internal: true },
    ),
    forwarded: dyn(bool, 'True if the call was passed on to another host.', { internal: true }),
    forwarded_to: dyn(ref('host'), 'Host the call was passed on to.', { internal: true, gone: 'cleared' }),
    type: dyn(string, 'Kind of the result; `<none/>` until a call says otherwise.'),
    result: dyn(longText, 'XML-RPC value that the call answered with, empty until it succeeds.'),
    error_info: dyn(set(string), 'Code and parameters of the fault once the task has failed.'),
    other_config: dyn(stringMap, 'Free for clients, for instance to link tasks of one user action.', {
      default: new Map(),
      keyRoles: {
        applies_to: 'vm-operator',
        XenCenterUUID: 'vm-operator',
        XenCenterMeddlingActionTitle: 'vm-operator',
      },
    }),
    subtask_of: dyn(ref('task'), 'Task that started this one, or null.', {
      default: nullRef,
      inverse: 'task.subtasks',
      gone: 'cleared',
    }),
    subtasks: dyn(set(ref('task')), 'Tasks that this one started.', {
      inverse: 'task.subtask_of',
      computed: true,
    }),
    backtrace: dyn(string, 'Where in the server the failure arose, as an s-expression.', { default: '()' }),
  },
  messages: {
    create: {
      doc: "Make a task by hand, so that a client's own work shows up beside the pool's.",
      role: 'read-only',
      params: {
        label: [label, 'Short name shown to people.'],
        description: [string, 'What the work is about.'],
      },
      result: ref('task'),
    },
    destroy: {
      doc: 'Forget the task; the work behind it, if any, goes on.',
      role: 'read-only',
      self: 'self',
    },
    cancel: {
      doc: 'Ask the work to stop; the task is cancelled only once its changes are undone.',
      role: 'read-only',
      self: 'task',
      errors: ['OPERATION_NOT_ALLOWED'],
      async: true,
    },
    set_status: {
      doc: 'Set the status of a task that the caller made by hand.',
      role: 'read-only',
      self: 'self',
      params: { value: [taskStatusType, 'Status to show.'] },
    },
    set_progress: {
      doc: 'Set the progress of a task that the caller made by hand.',
      role: 'read-only',
      self: 'self',
      params: { value: [float, 'From 0 to 1.'] },
    },
    set_result: {
      doc: 'Set the result of a task that the caller made by hand.',
      role: 'read-only',
      self: 'self',
      params: { value: [string, 'Text of the result.'] },
    },
    set_error_info: {
      doc: 'Set the error of a task that the caller made by hand.',
      role: 'read-only',
      self: 'self',
      params: { value: [set(string), 'Code of the fault, then its parameters.'] },
    },
    add_to_other_config: {
      doc: 'Add one key; a key that is already there is refused.',
      role: 'read-only',
      self: 'self',
      params: {
        key: [label, 'Key that must not exist yet.'],
        value: [string, 'What to store under the key.'],
      },
      async: true,
      keyRoles: {
        applies_to: 'vm-operator',
        XenCenterUUID: 'vm-operator',
        XenCenterMeddlingActionTitle: 'vm-operator',
      },
    },
    remove_from_other_config: {
      doc: 'Remove one key; a key that is not there is no error.',
      role: 'read-only',
      self: 'self',
      params: { key: [label, 'Key to remove.'] },
      async: true,
      keyRoles: {
        applies_to: 'vm-operator',
        XenCenterUUID: 'vm-operator',
        XenCenterMeddlingActionTitle: 'vm-operator',
      },
    },
    set_other_config: {
      doc: 'Replace the whole map.',
      role: 'read-only',
      self: 'self',
      params: { value: [stringMap, 'All keys and values from now on.'] },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    task: typeof task;
  }
}
