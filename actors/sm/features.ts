/** What a driver can claim to be able to do. Anything else that it claims means nothing to us. */
const known: ReadonlySet<string> = new Set([
  'SR_CREATE',
  'SR_DELETE',
  'SR_ATTACH',
  'SR_DETACH',
  'SR_SCAN',
  'SR_PROBE',
  'SR_UPDATE',
  'SR_SUPPORTS_LOCAL_CACHING',
  'SR_METADATA',
  'SR_TRIM',
  'SR_MULTIPATH',
  'SR_CACHING',
  'SR_STATS',
  'VDI_CREATE',
  'VDI_DELETE',
  'VDI_ATTACH',
  'VDI_DETACH',
  'VDI_MIRROR',
  'VDI_MIRROR_IN',
  'VDI_OVERLAY',
  'VDI_RESIZE',
  'VDI_RESIZE_ONLINE',
  'VDI_CLONE',
  'VDI_SNAPSHOT',
  'VDI_ACTIVATE',
  'VDI_ACTIVATE_READONLY',
  'VDI_DEACTIVATE',
  'VDI_UPDATE',
  'VDI_INTRODUCE',
  'VDI_GENERATE_CONFIG',
  'VDI_ATTACH_OFFLINE',
  'VDI_RESET_ON_BOOT',
  'VDI_CONFIG_CBT',
  'VDI_COMPOSE',
  'LARGE_VDI',
  'THIN_PROVISIONING',
  'VDI_READ_CACHING',
  'VDI_REVERT',
]);

/**
 * Features of `NAME` or `NAME/version` with their versions, by name. A version that is none counts as
 * 1; of two claims of one name the first counts.
 */
export const parseFeatures = (claims: Iterable<string>): ReadonlyMap<string, bigint> => {
  const features = new Map<string, bigint>();
  for (const claim of claims) {
    const [name = '', version = ''] = claim.split('/');
    if (!known.has(name) || features.has(name)) continue;
    features.set(name, /^[1-9]\d{0,8}$/.test(version) ? BigInt(version) : 1n);
  }
  return new Map([...features].sort(([a], [b]) => (a < b ? -1 : 1)));
};
