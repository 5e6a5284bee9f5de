import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { int, nullRef, ref, set, string } from '../../src/model/types.ts';

export const PVS_server = defineClass('PVS_server', {
  doc: 'Addresses and ports of one Citrix Provisioning server.',
  since: 'ely',
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Identity of the entry.'),
    addresses: ro(set(string), 'IPv4 addresses at which it answers.', { default: [] }),
    first_port: ro(int, 'Lowest UDP port that it uses.', { default: 0n }),
    last_port: ro(int, 'Highest UDP port that it uses.', { default: 0n }),
    site: ro(ref('PVS_site'), 'Site that it belongs to.', {
      default: nullRef,
      inverse: 'PVS_site.servers',
      gone: 'goes too',
    }),
  },
  messages: {
    introduce: {
      doc: 'Makes a server of a site known to the pool.',
      role: 'pool-operator',
      params: {
        addresses: [set(string), 'IPv4 addresses at which it answers.'],
        first_port: [int, 'Lowest UDP port that it uses.'],
        last_port: [int, 'Highest UDP port that it uses.'],
        site: [ref('PVS_site'), 'Site that it belongs to.'],
      },
      result: ref('PVS_server'),
      async: true,
    },
    forget: {
      doc: 'Forgets the server.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PVS_server: typeof PVS_server;
  }
}
