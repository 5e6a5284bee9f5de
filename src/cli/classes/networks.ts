import type { ShownClass } from './shown-class.ts';

/** Networks and the cards of hosts. */
export const networks: readonly ShownClass[] = [
  {
    name: 'network',
    cls: 'network',
    list: 'uuid name-label name-description bridge',
    fields: `
      uuid name-label name-description VIF-uuids:VIFs PIF-uuids:PIFs MTU bridge managed other-config
      blobs!text tags!comma default-locking-mode purpose!comma
    `,
  },
  {
    name: 'pif',
    cls: 'PIF',
    list: 'uuid device VLAN MAC network-uuid currently-attached host-uuid',
    fields: `
      uuid device MAC!anycase physical managed currently-attached MTU VLAN
      vlan-master-of:VLAN_master_of vlan-slave-of:VLAN_slave_of!text bond-master-of!text
      bond-slave-of sriov-physical-PIF-of!text sriov-logical-PIF-of!text tunnel-access-PIF-of!text
      tunnel-transport-PIF-of!text management network-uuid:network
      network-name-label:network.name_label host-uuid:host host-name-label:host.name_label
      IP-configuration-mode:ip_configuration_mode IP netmask gateway
      IPv6-configuration-mode:ipv6_configuration_mode IPv6!text IPv6-gateway:ipv6_gateway
      primary-address-type!fixed DNS properties!property capabilities io_read_kbs!call,slow
      io_write_kbs!call,slow carrier:metrics.carrier vendor-id:metrics.vendor_id
      vendor-name:metrics.vendor_name device-id:metrics.device_id device-name:metrics.device_name
      speed:metrics.speed duplex!call disallow-unplug pci-bus-path:metrics.pci_bus_path other-config
      igmp-snooping-status
    `,
  },
  {
    name: 'bond',
    cls: 'Bond',
    list: 'uuid master slaves',
    fields: `
      uuid master slaves!text mode!fixed properties!property primary-slave links-up auto-update-mac
    `,
  },
  {
    name: 'vlan',
    cls: 'VLAN',
    list: 'uuid tagged-PIF untagged-PIF tag',
    fields: `
      uuid tagged-PIF untagged-PIF tag
    `,
  },
  {
    name: 'tunnel',
    cls: 'tunnel',
    list: 'uuid transport-PIF access-PIF status',
    fields: `
      uuid access-PIF transport-PIF status!fixed,text other-config protocol!fixed
    `,
  },
  {
    name: 'network-sriov',
    cls: 'network_sriov',
    list: 'uuid physical-pif logical-pif requires-reboot configuration-mode',
    fields: `
      uuid physical-PIF logical-PIF requires-reboot remaining-capacity!call,slow
    `,
  },
  {
    name: 'sdn-controller',
    cls: 'SDN_controller',
    list: 'uuid protocol address port',
    fields: `
      uuid protocol address port
    `,
  },
  {
    name: 'pvs-site',
    cls: 'PVS_site',
    list: 'uuid name-label name-description pvs-uuid pvs-server-uuids',
    fields: `
      uuid name-label name-description pvs-uuid:PVS_uuid pvs-cache-storage-uuids:cache_storage
      pvs-server-uuids:servers pvs-proxy-uuids:proxies
    `,
  },
  {
    name: 'pvs-server',
    cls: 'PVS_server',
    list: 'uuid addresses pvs-site-uuid',
    fields: `
      uuid addresses first-port last-port pvs-site-uuid:site
    `,
  },
  {
    name: 'pvs-proxy',
    cls: 'PVS_proxy',
    list: 'uuid vif-uuid pvs-site-uuid currently-attached cache-sr-uuid',
    fields: `
      uuid pvs-site-uuid:site vif-uuid:VIF currently-attached status
    `,
  },
  {
    name: 'pvs-cache-storage',
    cls: 'PVS_cache_storage',
    list: 'uuid host-uuid sr-uuid pvs-site-uuid size',
    fields: `
      uuid host-uuid:host sr-uuid:SR pvs-site-uuid:site size vdi-uuid:VDI
    `,
  },
];
