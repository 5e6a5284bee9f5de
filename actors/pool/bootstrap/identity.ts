/**
 * What this host says it is. Clients choose their behaviour by these: they want `product_version` and
 * `platform_version` as three numbers, know the brand by name, and take a missing restriction for a
 * restriction.
 */
export const apiVersion = { major: 2n, minor: 23n, vendor: 'Xenact' } as const;

const productVersion = '8.3.0';

export const softwareVersion = (
  xenactVersion: string,
  system: string,
  network: string,
): ReadonlyMap<string, string> =>
  new Map([
    ['product_version', productVersion],
    ['product_version_text', '8.3'],
    ['product_version_text_short', '8.3'],
    ['product_brand', 'XCP-ng'],
    ['platform_name', 'XCP'],
    ['platform_version', '3.4.0'],
    ['build_number', 'xenact'],
    ['dbv', '0.0.1'],
    ['db_schema', '5.909'],
    ['xapi', '26.1'],
    ['xapi_build', '26.1.0'],
    ['xen', '4.17.0'],
    ['linux', system],
    ['xencenter_min', '2.21'],
    ['xencenter_max', '2.21'],
    ['network_backend', network],
    ['xenact', xenactVersion],
  ]);

/** Features that licences of other editions withhold. Here nothing is withheld. */
const features = [
  'ad',
  'batch_hotfix_apply',
  'cbt',
  'certificate_verification',
  'checkpoint',
  'cifs',
  'corosync',
  'cpu_masking',
  'dmc',
  'dr',
  'email_alerting',
  'export_resource_data',
  'gpu',
  'health_check',
  'historical_performance',
  'hotfix_apply',
  'igmp_snooping',
  'integrated_gpu_passthrough',
  'live_patching',
  'management_on_vlan',
  'netapp',
  'network_sriov',
  'pci_device_for_auto_update',
  'pool_secret_rotation',
  'pool_size',
  'pooling',
  'pvs_proxy',
  'rbac',
  'read_caching',
  'rpu',
  'set_vcpus_number_live',
  'ssl_legacy_switch',
  'storage_xen_motion',
  'updates',
  'usb_passthrough',
  'vgpu',
  'vm_appliance_start',
  'vm_start',
  'vmss',
  'vss',
  'vswitch_controller',
  'vtpm',
  'wlb',
  'xcm',
  'xen_motion',
  'zstd_export',
] as const;

export const edition = 'xenact';

export const restrictions: ReadonlyMap<string, string> = new Map(
  features.map((feature) => [`restrict_${feature}`, 'false']),
);

/** Far away, yet near enough for clients that reckon in 32 bits. */
const expiry = '20371231T23:59:59Z';

export const licenseParams: ReadonlyMap<string, string> = new Map([
  ...restrictions,
  ['sku_type', edition],
  ['version', productVersion],
  ['expiry', expiry],
  ['address1', ''],
  ['name', ''],
  ['productcode', ''],
  ['serialnumber', ''],
  ['sockets', '1'],
  ['enforced', 'false'],
]);
