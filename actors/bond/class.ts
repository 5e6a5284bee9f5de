import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, int, label, nullRef, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const bondMode = oneOf('bond_mode', ['balance-slb', 'active-backup', 'lacp'], 'exact');

export const Bond = defineClass('Bond', {
  doc: 'Several cards of a host joined into one interface, for more bandwidth or against failures.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    master: ro(ref('PIF'), 'Interface that stands for the bond.', {
      default: nullRef,
      inverse: 'PIF.bond_master_of',
      gone: 'goes too',
    }),
    slaves: dyn(set(ref('PIF')), 'Cards that are joined.', { inverse: 'PIF.bond_slave_of', computed: true }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
    primary_slave: dyn(ref('PIF'), 'Card whose hardware address and IP settings the bond took over.', {
      default: nullRef,
      gone: 'cleared',
    }),
    mode: dyn(bondMode, 'How traffic is shared among the cards.', { default: 'balance-slb' }),
    properties: dyn(stringMap, 'Settings of the mode, such as `hashing_algorithm`.', { default: new Map() }),
    links_up: dyn(int, 'Number of cards that have a link.', { default: 0n }),
    auto_update_mac: dyn(
      bool,
      'True if the bond has the hardware address of its primary card, false if it was given its own.',
      { default: true },
    ),
  },
  messages: {
    create: {
      doc: 'Join cards of one host into a bond and connect it to a network.',
      role: 'pool-operator',
      params: {
        network: [ref('network'), 'Network to connect it to.'],
        members: [set(ref('PIF')), 'Cards to join.'],
        MAC: [string, 'Hardware address; empty to take that of the primary card.'],
        mode: [bondMode, 'How to share traffic among the cards.', 'balance-slb'],
        properties: [stringMap, 'Settings of the mode.', new Map()],
      },
      result: ref('Bond'),
      async: true,
    },
    destroy: {
      doc: 'Take the bond apart; its primary card gets the IP settings.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    set_mode: {
      doc: 'Change how traffic is shared among the cards.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [bondMode, 'The new mode.'] },
      async: true,
    },
    set_property: {
      doc: 'Change one setting of the mode.',
      role: 'pool-operator',
      self: 'self',
      params: {
        name: [label, 'Setting, known from `properties`.'],
        value: [string, 'Its new value.'],
      },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Bond: typeof Bond;
  }
}
