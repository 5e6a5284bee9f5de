import type { Messages } from '../../../src/model/class.ts';
import { bool, confidential, int, label, ref, set, string, stringMap } from '../../../src/model/types.ts';
import { helloReturn } from '../enums.ts';

/** Who is in the pool and who coordinates it. */
export const membership = {
  join: {
    doc: 'Make this host a member of another pool; its own pool ends.',
    role: 'pool-operator',
    params: {
      master_address: [label, "Address of the other pool's coordinator."],
      master_username: [string, 'Account there that may add hosts.'],
      master_password: [confidential(string), 'Password of that account.'],
    },
    errors: ['JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS'],
    async: true,
  },
  join_force: {
    doc: "Join even if the hosts differ in processors or settings, at the caller's risk.",
    role: 'pool-operator',
    params: {
      master_address: [label, "Address of the other pool's coordinator."],
      master_username: [string, 'Account there that may add hosts.'],
      master_password: [confidential(string), 'Password of that account.'],
    },
    async: true,
  },
  eject: {
    frees: true,
    doc: 'Remove a member from the pool; it loses its local disks and restarts as a pool of its own.',
    role: 'pool-operator',
    params: { host: [ref('host'), 'Member to remove.'] },
    async: true,
  },
  initial_auth: {
    doc: 'Secret with which a joining host proves itself to the coordinator.',
    role: 'pool-operator',
    result: confidential(string),
    async: true,
    hidden: true,
  },
  exchange_certificates_on_join: {
    doc: 'Swap host certificates between the pool and a joining host.',
    role: 'pool-operator',
    params: {
      uuid: [label, 'Uuid of the joining host.'],
      certificate: [string, 'Certificate of the joining host, PEM.'],
    },
    result: stringMap,
    async: true,
    hidden: true,
  },
  exchange_ca_certificates_on_join: {
    doc: 'Swap trusted authorities between the pool and a joining host.',
    role: 'pool-operator',
    params: {
      import: [stringMap, 'Certificates of the joining host, PEM by name.'],
      export: [set(ref('Certificate')), 'Certificates of the pool to hand out.'],
    },
    result: stringMap,
    async: true,
    hidden: true,
  },
  emergency_transition_to_master: {
    frees: true,
    doc:
      'Make this member the coordinator, when the old one is gone for good. Refused, ' +
      'with what may be lost, where it cannot know that it has every change.',
    role: 'pool-operator',
    params: { force: [bool, 'Lead all the same, and lose what this member lacks.', false] },
    emergency: true,
    onMember: true,
  },
  emergency_reset_master: {
    frees: true,
    doc: 'Tell this member where its coordinator is now.',
    role: 'pool-operator',
    params: { master_address: [label, 'Address of the coordinator.'] },
    emergency: true,
    onMember: true,
  },
  recover_slaves: {
    frees: true,
    doc: 'Tell all members that are out of touch who the coordinator is; answers those reached.',
    role: 'pool-operator',
    result: set(ref('host')),
    async: true,
  },
  hello: {
    doc: 'Ask the coordinator whether it knows a member and can reach it.',
    role: 'pool-operator',
    params: {
      host_uuid: [string, 'Uuid of the member that asks.'],
      host_address: [string, 'Address where the member listens.'],
    },
    result: helloReturn,
    async: true,
    hidden: true,
  },
  is_slave: {
    doc: 'Whether a host sees itself as a member, not the coordinator.',
    role: 'pool-admin',
    params: { host: [ref('host'), 'Host to ask.'] },
    result: bool,
    emergency: true,
    onMember: true,
    hidden: true,
  },
  create_VLAN: {
    doc: 'Make a VLAN on every host by the name of a card.',
    role: 'pool-operator',
    params: {
      device: [label, 'Kernel name of the card on every host.'],
      network: [ref('network'), 'Network the VLANs connect to.'],
      VLAN: [int, 'Tag, 0 to 4094.'],
    },
    result: set(ref('PIF')),
    errors: ['VLAN_TAG_INVALID'],
    async: true,
  },
  management_reconfigure: {
    doc: 'Move the management of all hosts to another network.',
    role: 'pool-operator',
    params: { network: [ref('network'), 'Network on which every host has a PIF with an address.'] },
    errors: [
      'HA_IS_ENABLED',
      'PIF_NOT_PRESENT',
      'CANNOT_PLUG_BOND_SLAVE',
      'PIF_INCOMPATIBLE_PRIMARY_ADDRESS_TYPE',
      'PIF_HAS_NO_NETWORK_CONFIGURATION',
      'PIF_HAS_NO_V6_NETWORK_CONFIGURATION',
    ],
    async: true,
  },
  create_VLAN_from_PIF: {
    doc: 'Make a VLAN on every host, on the cards that share a network with one given.',
    role: 'pool-operator',
    params: {
      pif: [ref('PIF'), 'Card of any host.'],
      network: [ref('network'), 'Network the VLANs connect to.'],
      VLAN: [int, 'Tag, 0 to 4094.'],
    },
    result: set(ref('PIF')),
    errors: ['VLAN_TAG_INVALID'],
    async: true,
  },
} as const satisfies Messages;
