import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { float, label, ref, set, string } from '../../src/model/types.ts';

export const Rate_limit = defineClass('Rate_limit', {
  doc: 'An allowance of calls that some callers share; calls beyond it have to wait.',
  since: '26.17.0',
  writeRole: 'pool-admin',
  constructible: true,
  fields: {
    uuid: dyn(string, 'Identity of the limit.'),
    name_label: rw(label, 'Name shown to people; it need not be unique.', {
      default: '',
      column: 'name__label',
    }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      column: 'name__description',
    }),
    callers: dyn(set(ref('Caller')), 'Callers that share the allowance.', {
      inverse: 'Caller.rate_limit',
      computed: true,
    }),
    burst_size: ro(float, 'Tokens that can be saved up and spent at once.', { default: 0 }),
    fill_rate: ro(float, 'Tokens that are added each second.', { default: 0 }),
  },
  messages: {
    add_caller: {
      doc: 'Holds a caller to this limit, instead of the one it had.',
      role: 'pool-admin',
      self: 'self',
      params: {
        caller: [ref('Caller'), 'Caller to limit.'],
      },
      async: true,
    },
    remove_caller: {
      frees: true,
      doc: 'Frees a caller from this limit.',
      role: 'pool-admin',
      self: 'self',
      params: {
        caller: [ref('Caller'), 'Caller to free.'],
      },
      async: true,
    },
    set_burst_size: {
      doc: 'Changes how many tokens can be saved up.',
      role: 'pool-admin',
      self: 'self',
      params: {
        value: [float, 'Tokens, more than 0.'],
      },
      async: true,
    },
    set_fill_rate: {
      doc: 'Changes how fast tokens are added.',
      role: 'pool-admin',
      self: 'self',
      params: {
        value: [float, 'Tokens for each second, more than 0.'],
      },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Rate_limit: typeof Rate_limit;
  }
}
