import { isIP } from 'node:net';

const NAMES_MAX = 64;
const DAYS_MAX = 36_500;
/** Host names: letters, digits and hyphens in labels. Anything else would change the name it is put into. */
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;
/** The common name of a subject holds at most this many characters. */
const COMMON_NAME_MAX = 64;
/** Clocks of clients may be behind. */
const BEHIND_MS = 24 * 3_600_000;
const DAY_MS = 24 * 3_600_000;

/**
 * A certificate signed by itself, in PEM, for this machine's loopback names and the given names and
 * addresses. EC P-256: every client of the last ten years takes it, and making one takes milliseconds.
 */
export const makeCertificate = async (wanted: {
  readonly names: readonly string[];
  readonly days: number;
}): Promise<{ key: string; cert: string }> => {
  const names = [...new Set([...wanted.names, 'localhost', '127.0.0.1', '::1'])];
  assertPossible(names, wanted.days);
  const commonName = names.find((name) => name.length <= COMMON_NAME_MAX) ?? 'localhost';
  const now = Date.now();
  // Loaded when it is needed, which is once in the life of a host: it would cost every start a third of a
  // second.
  const { generate } = await import('selfsigned');
  const made = await generate([{ name: 'commonName', value: commonName.replaceAll(':', '-') }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - BEHIND_MS),
    notAfterDate: new Date(now + wanted.days * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      // Hosts of a pool are clients of each other with the same certificate.
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      {
        name: 'subjectAltName',
        altNames: names.map((name) => (isIP(name) ? { type: 7, ip: name } : { type: 2, value: name })),
      },
    ],
  });
  return { key: made.private, cert: made.cert };
};

const assertPossible = (names: readonly string[], days: number): void => {
  const wrong = names.find((name) => isIP(name) === 0 && !HOST_NAME.test(name));
  if (wrong !== undefined) throw new RangeError(`${JSON.stringify(wrong)} is no host name and no address`);
  if (names.length > NAMES_MAX) throw new RangeError(`A certificate is made for at most ${NAMES_MAX} names`);
  if (!(days > 0 && days <= DAYS_MAX)) throw new RangeError(`A certificate lasts 1 to ${DAYS_MAX} days`);
};
