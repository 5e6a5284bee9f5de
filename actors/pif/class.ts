import { defineClass, dyn, type Params, ro, rw } from '../../src/model/class.ts';
import { bool, int, label, nullRef, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const ipConfigurationMode = oneOf('ip_configuration_mode', ['None', 'DHCP', 'Static']);
export const ipv6ConfigurationMode = oneOf('ipv6_configuration_mode', ['None', 'DHCP', 'Static', 'Autoconf']);
export const primaryAddressType = oneOf('primary_address_type', ['IPv4', 'IPv6']);
export const pifIgmpStatus = oneOf('pif_igmp_status', ['enabled', 'disabled', 'unknown']);

const introduced = {
  device: [label, 'Kernel name of the interface.'],
  network: [ref('network'), 'Network it connects to.'],
  host: [ref('host'), 'Host it is part of.'],
  MAC: [string, 'Hardware address.'],
  MTU: [int, 'Largest packet in bytes.'],
  VLAN: [int, 'Tag, or -1 for none.'],
  physical: [bool, 'True for a real card.'],
  ip_configuration_mode: [ipConfigurationMode, 'How the host gets an IPv4 address.'],
  IP: [string, 'IPv4 address.'],
  netmask: [string, 'IPv4 mask in dotted form.'],
  gateway: [string, 'IPv4 router.'],
  DNS: [string, 'Name servers separated by commas.'],
  bond_slave_of: [ref('Bond'), 'Bond that has taken up the card.'],
  VLAN_master_of: [ref('VLAN'), 'VLAN that the interface stands for.'],
  management: [bool, 'True if it manages the host.'],
  other_config: [stringMap, 'Taken over as it is.'],
  disallow_unplug: [bool, 'True to protect it from being unplugged.', false],
  ipv6_configuration_mode: [ipv6ConfigurationMode, 'How the host gets an IPv6 address.', 'None'],
  IPv6: [set(string), 'IPv6 addresses with prefix lengths.', []],
  ipv6_gateway: [string, 'IPv6 router.', ''],
  primary_address_type: [primaryAddressType, 'Family by which the host is known.', 'IPv4'],
  managed: [bool, 'False if somebody else sets it up.', true],
  properties: [stringMap, 'Hardware settings to switch.', new Map()],
} as const satisfies Params;

export const PIF = defineClass('PIF', {
  doc: 'A network interface of a host: a card, a bond, a VLAN or the end of a tunnel.',
  since,
  writeRole: 'pool-operator',
  needs: ['host', 'network'],
  takes: ['metrics', 'bond_master_of', 'VLAN_master_of', 'tunnel_access_PIF_of', 'sriov_logical_PIF_of'],
  fields: {
    uuid: dyn(string, 'Names the interface for good.'),
    device: ro(label, "Name of the interface in the host's kernel, such as `eth0`."),
    network: ro(ref('network'), 'Network that the interface connects to.', {
      inverse: 'network.PIFs',
      gone: 'collected',
    }),
    host: ro(ref('host'), 'Host that the interface is part of.', { inverse: 'host.PIFs', gone: 'collected' }),
    MAC: ro(string, 'Hardware address, six pairs of hexadecimal digits with colons.'),
    MTU: ro(int, 'Largest packet in bytes.'),
    VLAN: ro(int, 'Tag of the packets, or -1 for an interface that carries untagged ones.'),
    device_name: rw(string, 'Name the kernel gave the card before it was renamed.', { internal: true }),
    metrics: dyn(ref('PIF_metrics'), 'Carrier, speed and vendor of the card.', { gone: 'cleared' }),
    physical: dyn(bool, 'True for a real card, false for a bond, VLAN or tunnel.', { default: false }),
    currently_attached: dyn(bool, 'Whether the interface is up.', { default: true }),
    ip_configuration_mode: dyn(
      ipConfigurationMode,
      'How the host gets its IPv4 address here, if it has one.',
      { default: 'None' },
    ),
    IP: dyn(string, 'IPv4 address of the host here, empty if it has none.', { default: '' }),
    netmask: dyn(string, 'IPv4 mask in dotted form, empty without an address.', { default: '' }),
    gateway: dyn(string, 'IPv4 router, empty if there is none.', { default: '' }),
    DNS: dyn(string, 'Name servers separated by commas.', { default: '' }),
    bond_slave_of: dyn(ref('Bond'), 'Bond that has taken up this card, or null.', {
      default: nullRef,
      inverse: 'Bond.slaves',
      gone: 'cleared',
    }),
    bond_master_of: dyn(set(ref('Bond')), 'Bond that this interface stands for; at most one.', {
      inverse: 'Bond.master',
      computed: true,
    }),
    VLAN_master_of: dyn(ref('VLAN'), 'VLAN that this interface stands for, or null.', {
      default: nullRef,
      gone: 'cleared',
    }),
    VLAN_slave_of: dyn(set(ref('VLAN')), 'VLANs that send their tagged packets through this interface.', {
      inverse: 'VLAN.tagged_PIF',
      computed: true,
    }),
    management: dyn(bool, 'True if the host is reached by the API here; one interface of each host.', {
      default: false,
    }),
    other_config: rw(stringMap, 'Free for clients; some keys tune the card, for instance `ethtool-speed`.', {
      default: new Map(),
    }),
    disallow_unplug: dyn(
      bool,
      'True protects the interface from being unplugged, as storage traffic needs.',
      { default: false },
    ),
    tunnel_access_PIF_of: dyn(set(ref('tunnel')), 'Tunnel of which this is the inner end; at most one.', {
      inverse: 'tunnel.access_PIF',
      computed: true,
    }),
    tunnel_transport_PIF_of: dyn(
      set(ref('tunnel')),
      'Tunnels that send their packets through this interface.',
      { inverse: 'tunnel.transport_PIF', computed: true },
    ),
    ipv6_configuration_mode: dyn(
      ipv6ConfigurationMode,
      'How the host gets its IPv6 address here, if it has one.',
      { default: 'None' },
    ),
    IPv6: dyn(set(string), 'IPv6 addresses of the host here, each with its prefix length.', { default: [] }),
    ipv6_gateway: dyn(string, 'IPv6 router, empty if there is none.', { default: '' }),
    primary_address_type: dyn(
      primaryAddressType,
      'Family of the address by which the host is known if this interface manages it.',
      { default: 'IPv4' },
    ),
    managed: ro(bool, 'False for an interface that somebody else sets up and that is only recorded here.', {
      default: true,
    }),
    properties: dyn(stringMap, 'Hardware settings that can be switched, such as `gro`.', {
      default: new Map(),
    }),
    capabilities: dyn(set(string), 'What the card can do, such as `sriov`.', { default: [] }),
    igmp_snooping_status: dyn(pifIgmpStatus, 'Whether multicast goes only to ports that asked for it.', {
      default: 'unknown',
    }),
    sriov_physical_PIF_of: dyn(
      set(ref('network_sriov')),
      'SR-IOV networks whose virtual functions this card provides.',
      { inverse: 'network_sriov.physical_PIF', computed: true },
    ),
    sriov_logical_PIF_of: dyn(set(ref('network_sriov')), 'SR-IOV networks that this interface stands for.', {
      inverse: 'network_sriov.logical_PIF',
      computed: true,
    }),
    PCI: dyn(ref('PCI'), 'Device that the card is on the PCI bus, null for anything but a card.', {
      default: nullRef,
      gone: 'cleared',
    }),
  },
  messages: {
    create_VLAN: {
      doc: 'Make a VLAN on one host. Superseded by `VLAN.create`.',
      role: 'pool-operator',
      params: {
        device: [label, 'Kernel name of the card that carries it.'],
        network: [ref('network'), 'Network the VLAN connects to.'],
        host: [ref('host'), 'Host that owns the card.'],
        VLAN: [int, 'Tag, 0 to 4094.'],
      },
      result: ref('PIF'),
      errors: ['VLAN_TAG_INVALID'],
      async: true,
    },
    destroy: {
      frees: true,
      doc: 'Remove a VLAN interface; a real card is refused. Superseded by `VLAN.destroy`.',
      role: 'pool-operator',
      self: 'self',
      errors: ['PIF_IS_PHYSICAL'],
      async: true,
    },
    reconfigure_ip: {
      doc: 'Change the IPv4 settings. On the management interface it may cut the caller off.',
      role: 'pool-operator',
      self: 'self',
      params: {
        mode: [ipConfigurationMode, 'How to get an address.'],
        IP: [string, 'Address, for mode Static.'],
        netmask: [string, 'Mask in dotted form, for mode Static.'],
        gateway: [string, 'Router, empty for none.'],
        DNS: [string, 'Name servers separated by commas.'],
      },
      errors: ['CLUSTERING_ENABLED'],
      async: true,
    },
    reconfigure_ipv6: {
      doc: 'Change the IPv6 settings. On the management interface it may cut the caller off.',
      role: 'pool-operator',
      self: 'self',
      params: {
        mode: [ipv6ConfigurationMode, 'How to get an address.'],
        IPv6: [string, 'Address with its prefix length, for mode Static.'],
        gateway: [string, 'Router, empty for none.'],
        DNS: [string, 'Name servers separated by commas.'],
      },
      errors: ['CLUSTERING_ENABLED'],
      async: true,
    },
    set_primary_address_type: {
      doc: 'Choose the family of the address by which the host is known.',
      role: 'pool-operator',
      self: 'self',
      params: { primary_address_type: [primaryAddressType, 'Family that must already be set up here.'] },
      async: true,
    },
    scan: {
      doc: 'Look for new cards of a host and record them; nothing is removed.',
      role: 'pool-operator',
      params: { host: [ref('host'), 'Host to look at.'] },
      async: true,
    },
    introduce: {
      doc: 'Record one card of a host by its hardware address.',
      role: 'pool-operator',
      params: {
        host: [ref('host'), 'Host the card is in.'],
        MAC: [string, 'Hardware address of the card.'],
        device: [label, 'Kernel name; empty to find it by the hardware address.'],
        managed: [bool, 'False if somebody else sets up the card.', true],
      },
      result: ref('PIF'),
      async: true,
    },
    forget: {
      frees: true,
      doc: 'Remove the record of a card; a scan can bring it back.',
      role: 'pool-operator',
      self: 'self',
      errors: ['PIF_TUNNEL_STILL_EXISTS', 'CLUSTERING_ENABLED'],
      async: true,
    },
    unplug: {
      frees: true,
      doc: 'Bring the interface down on its host.',
      role: 'pool-operator',
      self: 'self',
      errors: [
        'HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN',
        'VIF_IN_USE',
        'PIF_DOES_NOT_ALLOW_UNPLUG',
        'PIF_HAS_FCOE_SR_IN_USE',
      ],
      async: true,
    },
    set_disallow_unplug: {
      doc: 'Protect the interface from being unplugged, or allow it again.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [bool, 'True to protect it.'] },
      errors: ['OTHER_OPERATION_IN_PROGRESS', 'CLUSTERING_ENABLED'],
      async: true,
    },
    plug: {
      doc: 'Bring the interface up on its host.',
      role: 'pool-operator',
      self: 'self',
      errors: ['TRANSPORT_PIF_NOT_CONFIGURED'],
      async: true,
    },
    pool_introduce: {
      doc: 'Record an interface that a joining host brings along.',
      role: 'pool-operator',
      params: introduced,
      result: ref('PIF'),
      async: true,
      hidden: true,
    },
    db_introduce: {
      doc: 'Write an interface into the database without touching the host.',
      role: 'pool-operator',
      params: introduced,
      result: ref('PIF'),
      async: true,
    },
    db_forget: {
      frees: true,
      doc: 'Remove an interface from the database without touching the host.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    set_property: {
      doc: 'Switch one hardware setting, known from `properties`.',
      role: 'pool-operator',
      self: 'self',
      params: { name: [label, 'Setting, such as `gro`.'], value: [string, 'Value, such as `on` or `off`.'] },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PIF: typeof PIF;
  }
}
