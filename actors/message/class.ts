import { defineClass, dyn } from '../../src/model/class.ts';
import {
  datetime,
  int,
  label,
  map,
  oneOf,
  record,
  ref,
  set,
  string,
  stringMap,
  upTo,
} from '../../src/model/types.ts';
import { actions } from './actions.ts';
import { since } from './since.ts';

/** So that all messages together stay bounded. */
const name = upTo(label, 256);
const body = upTo(string, 32_768);

export const cls = oneOf('cls', [
  'VM',
  'Host',
  'SR',
  'Pool',
  'VMPP',
  'VMSS',
  'PVS_proxy',
  'VDI',
  'Certificate',
]);

export const message = defineClass('message', {
  doc: 'A notice for people, such as an alarm. Stored beside the database and kept until destroyed.',
  since,
  writeRole: 'pool-operator',
  inDatabase: false,
  persist: false,
  survives: true,
  listed: false,
  fields: {
    uuid: dyn(string, 'Names the message for good.'),
    name: dyn(name, 'Kind of notice, such as `HA_HOST_FAILED`; clients decide by it.'),
    priority: dyn(
      int,
      '1 means service is lost, 2 it is at risk, 3 degraded, 4 recovered, 5 mere information.',
    ),
    cls: dyn(cls, 'Class of the object it is about.'),
    obj_uuid: dyn(string, 'Uuid of the object it is about, which may be gone by now.'),
    timestamp: dyn(datetime, 'When it was created, in UTC.'),
    body: dyn(body, 'Text or XML for people; its shape depends on the name.'),
    holder: dyn(string, 'User who made it; empty: Xenact did.', {
      default: '',
      internal: true,
      ours: true,
      indexed: true,
    }),
  },
  actions,
  messages: {
    create: {
      doc: 'Leave a notice about an object.',
      role: 'pool-operator',
      params: {
        name: [name, 'Kind of notice.'],
        priority: [int, 'From 1, urgent, to 5, mere information.'],
        cls: [cls, 'Class of the object.'],
        obj_uuid: [label, 'Uuid of an existing object of that class.'],
        body: [body, 'Text for people.'],
      },
      result: ref('message'),
    },
    destroy: {
      frees: true,
      doc: 'Remove one message.',
      role: 'pool-operator',
      self: 'self',
    },
    destroy_many: {
      frees: true,
      doc: 'Remove several messages in one call.',
      role: 'pool-operator',
      params: { messages: [set(ref('message')), 'Messages to remove.'] },
      async: true,
    },
    destroy_all: {
      frees: true,
      doc: 'Remove all messages that meet every filter, or all there are if no filter is given.',
      role: 'pool-operator',
      params: { filters: [stringMap, 'Conditions by key: `after`, `before` and `priority`.'] },
      async: true,
    },
    get: {
      doc: 'Messages about one object since a time.',
      role: 'read-only',
      params: {
        cls: [cls, 'Class of the object.'],
        obj_uuid: [label, 'Uuid of the object.'],
        since: [datetime, 'Only messages newer than this.'],
      },
      result: map(ref('message'), record('message')),
    },
    get_all: {
      doc: 'References of all messages.',
      role: 'read-only',
      result: set(ref('message')),
    },
    get_since: {
      doc: 'Messages about anything since a time.',
      role: 'read-only',
      params: { since: [datetime, 'Only messages newer than this.'] },
      result: map(ref('message'), record('message')),
    },
    get_record: {
      doc: 'Everything about one message.',
      role: 'read-only',
      self: 'self',
      result: record('message'),
    },
    get_by_uuid: {
      doc: 'Find one message.',
      role: 'read-only',
      params: { uuid: [label, 'Uuid of the message.'] },
      result: ref('message'),
    },
    get_all_records: {
      doc: 'All messages with everything about them.',
      role: 'read-only',
      result: map(ref('message'), record('message')),
    },
    get_all_records_where: {
      doc: 'Messages that meet a condition.',
      role: 'read-only',
      params: { expr: [string, 'Condition as in other `get_all_records_where`; `true` for all.'] },
      result: map(ref('message'), record('message')),
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    message: typeof message;
  }
}
