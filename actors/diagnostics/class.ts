import { defineClass } from '../../src/model/class.ts';
import { ref, set, string, stringMap } from '../../src/model/types.ts';

export const Diagnostics = defineClass('Diagnostics', {
  doc: 'Questions about the server itself, for those who look after it.',
  since: 'stockholm',
  writeRole: 'pool-operator',
  inDatabase: false,
  persist: false,
  listed: false,
  events: false,
  fields: {},
  messages: {
    gc_compact: {
      doc: 'Makes the server of a host give back memory that it does not need.',
      role: 'pool-operator',
      params: {
        host: [ref('host'), 'Host whose server is meant.'],
      },
      async: true,
      hidden: true,
    },
    gc_stats: {
      doc: 'Returns how the server of a host uses its memory.',
      role: 'pool-operator',
      params: {
        host: [ref('host'), 'Host whose server is meant.'],
      },
      result: stringMap,
      async: true,
      hidden: true,
    },
    db_stats: {
      doc: 'Returns how long callers wait for the database.',
      role: 'pool-operator',
      result: stringMap,
      async: true,
      hidden: true,
    },
    network_stats: {
      doc: 'Returns a table of the HTTP handlers of a host and of the requests that they served.',
      role: 'pool-operator',
      params: {
        host: [ref('host'), 'Host whose server is meant.'],
        params: [stringMap, 'Which columns and handlers to give.'],
      },
      result: set(set(string)),
      async: true,
      hidden: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Diagnostics: typeof Diagnostics;
  }
}
