/** What a licence can allow, with the key that says so in `pool.restrictions` and `host.license_params`. */
const keys = {
  VLAN: 'restrict_vlan',
  QoS: 'restrict_qos',
  Shared_storage: 'restrict_pool_attached_storage',
  Netapp: 'restrict_netapp',
  Equalogic: 'restrict_equalogic',
  Pooling: 'restrict_pooling',
  HA: 'enable_xha',
  Marathon: 'restrict_marathon',
  Email: 'restrict_email_alerting',
  Performance: 'restrict_historical_performance',
  WLB: 'restrict_wlb',
  RBAC: 'restrict_rbac',
  DMC: 'restrict_dmc',
  Checkpoint: 'restrict_checkpoint',
  CPU_masking: 'restrict_cpu_masking',
  Connection: 'restrict_connection',
  No_platform_filter: 'platform_filter',
  No_nag_dialog: 'regular_nag_dialog',
  VMPR: 'restrict_vmpr',
  VMSS: 'restrict_vmss',
  IntelliCache: 'restrict_intellicache',
  GPU: 'restrict_gpu',
  DR: 'restrict_dr',
  VIF_locking: 'restrict_vif_locking',
  Storage_motion: 'restrict_storage_xen_motion',
  VGPU: 'restrict_vgpu',
  Integrated_GPU: 'restrict_integrated_gpu_passthrough',
  VSS: 'restrict_vss',
  Guest_agent_auto_update: 'restrict_guest_agent_auto_update',
  PCI_device_for_auto_update: 'restrict_pci_device_for_auto_update',
  Xen_motion: 'restrict_xen_motion',
  Guest_ip_setting: 'restrict_guest_ip_setting',
  AD: 'restrict_ad',
  Nested_virt: 'restrict_nested_virt',
  Live_patching: 'restrict_live_patching',
  Live_set_vcpus: 'restrict_set_vcpus_number_live',
  PVS_proxy: 'restrict_pvs_proxy',
  IGMP_snooping: 'restrict_igmp_snooping',
  RPU: 'restrict_rpu',
  Pool_size: 'restrict_pool_size',
  CBT: 'restrict_cbt',
  USB_passthrough: 'restrict_usb_passthrough',
  Network_sriov: 'restrict_network_sriov',
  Corosync: 'restrict_corosync',
  Cluster_address: 'restrict_cluster_address',
  Zstd_export: 'restrict_zstd_export',
  Pool_secret_rotation: 'restrict_pool_secret_rotation',
  Certificate_verification: 'restrict_certificate_verification',
  Updates: 'restrict_updates',
  Internal_repo_access: 'restrict_internal_repo_access',
  VTPM: 'restrict_vtpm',
  VM_groups: 'restrict_vm_groups',
  VM_start: 'restrict_vm_start',
  VM_appliance_start: 'restrict_vm_appliance_start',
} as const;

export type Feature = keyof typeof keys;

export const features = Object.keys(keys) as readonly Feature[];

/** Could not be restricted once, so hosts of an older release do not speak of them and still have them. */
const assumed: readonly Feature[] = ['Xen_motion', 'AD', 'Updates', 'VM_start', 'VM_appliance_start'];

/** All keys but one restrict; any value but `true` and `false` says nothing. */
export const isEnabled = (restrictions: ReadonlyMap<string, string>, feature: Feature): boolean => {
  const key = keys[feature];
  const value = restrictions.get(key);
  if (value !== 'true' && value !== 'false') return assumed.includes(feature);
  return (value === 'true') === (key === 'enable_xha');
};

/** The value that each feature's key has where nothing is withheld. */
export const unrestricted: ReadonlyMap<string, string> = new Map(
  Object.values(keys).map((key) => [key, String(key === 'enable_xha')]),
);
