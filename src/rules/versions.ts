/** Versions of a host's software by what they are of, as in `host.software_version`. */
export type Versions = ReadonlyMap<string, string>;

/** Of the columns of the XenAPI's database that rows are read from and written to. */
export const databaseSchema = { major: 5, minor: 909 } as const;

/** Those that say whether a VM can move from one host to another. */
const compared = ['platform_version', 'xen_version'] as const;

/** `4.17.5-20.el8` is 4, 17, 5, 20: parts that are no numbers are passed over. */
export const numbersOf = (version: string): readonly number[] =>
  version
    .split(/[.-]/)
    .filter((part) => /^\d{1,15}$/.test(part))
    .map(Number);

/** The first difference decides; of two that begin alike the longer is the newer. */
export const compareNumbers = (a: readonly number[], b: readonly number[]): -1 | 0 | 1 => {
  const at = a.findIndex((one, i) => one !== b[i]);
  if (at < 0) return a.length === b.length ? 0 : -1;
  const [mine = 0, other] = [a[at], b[at]];
  return other === undefined || mine > other ? 1 : -1;
};

/** A host that does not tell a version counts as older than one that does. */
export const compareVersions = (key: string, a: Versions, b: Versions): -1 | 0 | 1 => {
  const [mine, other] = [a.get(key), b.get(key)];
  if (mine === undefined || other === undefined) {
    if (mine === other) return 0;
    return mine === undefined ? -1 : 1;
  }
  return compareNumbers(numbersOf(mine), numbersOf(other));
};

/** Whether VMs can move from a host with the versions `reference` to one with `candidate`. */
export const isAtLeast = (candidate: Versions, reference: Versions): boolean =>
  compared.every((key) => compareVersions(key, candidate, reference) >= 0);
