import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { datetime, int, ref, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const host_crashdump = defineClass('host_crashdump', {
  doc: 'What a host wrote down when it crashed.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    host: ro(ref('host'), 'Host that crashed.', { inverse: 'host.crashdumps', gone: 'goes too' }),
    timestamp: dyn(datetime, 'When it crashed.'),
    size: dyn(int, 'Bytes of the dump on the disk of the host.'),
    filename: ro(string, 'Name of the dump on the disk of the host.', { internal: true }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  messages: {
    destroy: {
      doc: 'Delete the dump from the disk of the host.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    upload: {
      doc: 'Send the dump to an address for support.',
      role: 'pool-operator',
      self: 'self',
      params: {
        url: [string, 'Address to send it to; empty for the usual one.'],
        options: [stringMap, 'How to send it, such as `http_proxy`.'],
      },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    host_crashdump: typeof host_crashdump;
  }
}
