import { unrestricted } from '../../../src/rules/features.ts';
import { databaseSchema } from '../../../src/rules/versions.ts';

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
    ['db_schema', `${databaseSchema.major}.${databaseSchema.minor}`],
    ['xapi', '26.1'],
    ['xapi_build', '26.1.0'],
    ['xen', '4.17.0'],
    ['linux', system],
    ['xencenter_min', '2.21'],
    ['xencenter_max', '2.21'],
    ['network_backend', network],
    ['xenact', xenactVersion],
  ]);

/** Keys that clients look for beside those of features. */
const others = [
  'restrict_batch_hotfix_apply',
  'restrict_cifs',
  'restrict_export_resource_data',
  'restrict_health_check',
  'restrict_hotfix_apply',
  'restrict_management_on_vlan',
  'restrict_read_caching',
  'restrict_ssl_legacy_switch',
  'restrict_vswitch_controller',
  'restrict_xcm',
] as const;

export const edition = 'xenact';

/**
 * Licences of other editions withhold features; here nothing is withheld but what hosts lack: a TPM for
 * guests, until each has said that it serves them.
 */
export const restrictions: ReadonlyMap<string, string> = new Map([
  ...unrestricted,
  ['restrict_vtpm', 'true'],
  ...others.map((key) => [key, 'false'] as const),
]);

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
