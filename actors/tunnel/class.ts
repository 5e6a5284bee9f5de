import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { nullRef, oneOf, ref, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const tunnelProtocol = oneOf('tunnel_protocol', ['gre', 'vxlan']);

export const tunnel = defineClass('tunnel', {
  doc: 'A private network among hosts whose packets travel inside those of another network.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    access_PIF: ro(ref('PIF'), 'Interface that stands for the inner end.', {
      default: nullRef,
      inverse: 'PIF.tunnel_access_PIF_of',
      gone: 'goes too',
    }),
    transport_PIF: ro(ref('PIF'), 'Interface that the wrapped packets leave by.', {
      default: nullRef,
      inverse: 'PIF.tunnel_transport_PIF_of',
      gone: 'goes too',
    }),
    status: rw(stringMap, 'Whether the tunnel is up: `active`, and `key` while it is.', {
      default: new Map([['active', 'false']]),
    }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
    protocol: rw(tunnelProtocol, 'How packets are wrapped.', { default: 'gre' }),
  },
  messages: {
    create: {
      doc: 'Make the end of a tunnel on one host, with an interface that stands for it.',
      role: 'pool-operator',
      params: {
        transport_PIF: [ref('PIF'), 'Interface for the wrapped packets to leave by.'],
        network: [ref('network'), 'Network to connect the inner end to.'],
        protocol: [tunnelProtocol, 'How to wrap packets.', 'gre'],
      },
      result: ref('tunnel'),
      errors: ['OPENVSWITCH_NOT_ACTIVE', 'TRANSPORT_PIF_NOT_CONFIGURED', 'IS_TUNNEL_ACCESS_PIF'],
      async: true,
    },
    destroy: {
      doc: 'Remove the tunnel and the interface that stands for it.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    tunnel: typeof tunnel;
  }
}
