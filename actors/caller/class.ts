import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import {
  bool,
  datetime,
  epoch,
  float,
  int,
  label,
  nullRef,
  ref,
  set,
  string,
} from '../../src/model/types.ts';

export const Caller = defineClass('Caller', {
  doc: 'Clients that are counted and limited together, told apart by user agent and address.',
  since: '26.17.0',
  writeRole: 'pool-admin',
  constructible: true,
  fields: {
    uuid: dyn(string, 'Identity of the entry.'),
    name_label: rw(label, 'Name shown to people; it need not be unique.', {
      default: '',
      column: 'name__label',
    }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      column: 'name__description',
    }),
    user_agent: ro(string, 'User agent that the clients send; empty for any.', { default: '' }),
    client_ip: ro(string, 'IP address that the clients come from; empty for any.', { default: '' }),
    last_access: dyn(datetime, 'When one of the clients last made a call, in UTC.', { default: epoch }),
    groups: dyn(set(string), 'Names under which callers are counted together.', { default: [] }),
    rate_limit: dyn(ref('Rate_limit'), 'Limit that the clients are held to; null for none.', {
      default: nullRef,
      inverse: 'Rate_limit.callers',
      gone: 'cleared',
    }),
    auto_registered: dyn(bool, 'True if the entry was made by itself when a client was first seen.', {
      default: false,
    }),
  },
  messages: {
    add_group: {
      doc: 'Puts the caller into a group, to be counted with the others in it.',
      role: 'pool-operator',
      self: 'self',
      params: {
        group: [string, 'Name of the group.'],
      },
      async: true,
    },
    remove_group: {
      frees: true,
      doc: 'Takes the caller out of a group.',
      role: 'pool-operator',
      self: 'self',
      params: {
        group: [string, 'Name of the group.'],
      },
      async: true,
    },
    query_token_usage: {
      doc: 'Returns what the calls of the caller have cost, in tokens.',
      role: 'pool-operator',
      self: 'self',
      result: float,
      async: true,
    },
    query_call_count: {
      doc: 'Returns how many calls the caller has made.',
      role: 'pool-operator',
      self: 'self',
      result: int,
      async: true,
    },
    query_group_token_usage: {
      doc: 'Returns what the calls of all callers in a group have cost, in tokens.',
      role: 'pool-operator',
      params: {
        group: [string, 'Name of the group.'],
      },
      result: float,
      async: true,
    },
    query_group_call_count: {
      doc: 'Returns how many calls all callers in a group have made.',
      role: 'pool-operator',
      params: {
        group: [string, 'Name of the group.'],
      },
      result: int,
      async: true,
    },
    query_all_usage: {
      doc: 'Returns a table of calls and their cost, one row for each caller.',
      role: 'pool-operator',
      result: set(set(string)),
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Caller: typeof Caller;
  }
}
