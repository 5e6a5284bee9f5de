import type { KeyRange } from '../../drivers/etcd.ts';

/**
 * Where a pool's log is in the cluster:
 *   /xenact/<pool>/fmt              what it is, written once, when it begins
 *   /xenact/<pool>/coord            who leads, under a lease; its create revision is the token of the fence
 *   /xenact/<pool>/gen              the newest group, without its rows
 *   /xenact/<pool>/o/<class>/<ref>  a row
 *   /xenact/<pool>/next             who shall lead next, for a moment
 *   /xenact/<pool>/check            the digest of all rows at a generation
 *   /xenact/<pool>/trial            never written: what is asked to try the cluster
 */
export interface LogLayout {
  readonly all: KeyRange;
  readonly rows: KeyRange;
  readonly format: Uint8Array;
  readonly coordinator: Uint8Array;
  readonly newest: Uint8Array;
  readonly next: Uint8Array;
  readonly check: Uint8Array;
  readonly trial: Uint8Array;
  row(cls: string, ref: string): Uint8Array;
  /** `class/reference` where a key is a row's. */
  rowOf(key: Uint8Array): string | undefined;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** The first key after all that begin with `prefix`, which ends with a slash. */
const after = (prefix: string): Uint8Array => bytes(`${prefix.slice(0, -1)}0`);

export const layoutOf = (pool: string): LogLayout => {
  if (!/^[\w-]{1,64}$/.test(pool)) throw new RangeError(`${JSON.stringify(pool)} is no name of a pool`);
  const all = `/xenact/${pool}/`;
  const rows = `${all}o/`;
  return {
    all: { key: bytes(all), rangeEnd: after(all) },
    rows: { key: bytes(rows), rangeEnd: after(rows) },
    format: bytes(`${all}fmt`),
    coordinator: bytes(`${all}coord`),
    newest: bytes(`${all}gen`),
    next: bytes(`${all}next`),
    check: bytes(`${all}check`),
    trial: bytes(`${all}trial`),
    row: (cls, ref) => bytes(`${rows}${cls}/${ref}`),
    rowOf: (key) => {
      const text = Buffer.from(key).toString();
      return text.startsWith(rows) ? text.slice(rows.length) : undefined;
    },
  };
};

export const sameKey = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
