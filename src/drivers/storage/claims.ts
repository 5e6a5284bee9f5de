/**
 * What a driver claims to be able to do, each as `NAME` or `NAME/version`: versions by name. One that is none
 * counts as 1; of two claims of one name the first counts.
 */
export const claimedFeatures = (claims: Iterable<string>): ReadonlyMap<string, bigint> => {
  const features = new Map<string, bigint>();
  for (const claim of claims) {
    const [name = '', version = ''] = claim.split('/');
    if (!features.has(name)) features.set(name, /^[1-9]\d{0,8}$/.test(version) ? BigInt(version) : 1n);
  }
  return features;
};
