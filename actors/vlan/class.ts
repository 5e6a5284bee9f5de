import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { int, nullRef, ref, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const VLAN = defineClass('VLAN', {
  doc: 'A tag that makes one interface of a host into several, each with its own network.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    tagged_PIF: ro(ref('PIF'), 'Interface that carries the tagged packets.', {
      default: nullRef,
      inverse: 'PIF.VLAN_slave_of',
      gone: 'goes too',
    }),
    untagged_PIF: dyn(ref('PIF'), 'Interface that stands for the VLAN, where packets have no tag.', {
      default: nullRef,
      gone: 'goes too',
    }),
    tag: ro(int, 'Number of the VLAN, from 0 to 4094; -1 if unknown.', { default: -1n }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  messages: {
    pool_introduce: {
      doc: 'Record a VLAN that a joining host brings along.',
      role: 'pool-operator',
      params: {
        tagged_PIF: [ref('PIF'), 'Interface that carries the tagged packets.'],
        untagged_PIF: [ref('PIF'), 'Interface that stands for the VLAN.'],
        tag: [int, 'Number of the VLAN.'],
        other_config: [stringMap, 'Taken over as it is.'],
      },
      result: ref('VLAN'),
      async: true,
      hidden: true,
    },
    create: {
      doc: 'Make a VLAN on one host, with an interface that stands for it.',
      role: 'pool-operator',
      params: {
        tagged_PIF: [ref('PIF'), 'Interface to carry the tagged packets.'],
        tag: [int, 'Number of the VLAN.'],
        network: [ref('network'), 'Network to connect it to.'],
      },
      result: ref('VLAN'),
      async: true,
    },
    destroy: {
      doc: 'Remove the VLAN and the interface that stands for it.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VLAN: typeof VLAN;
  }
}
