import { isIP } from 'node:net';
import type { SelfsignedOptions } from 'selfsigned';

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

export interface KeyAndCertificate {
  readonly key: string;
  readonly cert: string;
}

/**
 * A certificate signed by itself, in PEM, for this machine's loopback names and the given names and
 * addresses. EC P-256: every client of the last ten years takes it, and making one takes milliseconds.
 */
export const makeCertificate = async (wanted: {
  readonly names: readonly string[];
  readonly days: number;
}): Promise<KeyAndCertificate> => {
  const names = withLoopback(wanted.names);
  const commonName = names.find((name) => name.length <= COMMON_NAME_MAX) ?? 'localhost';
  return made(commonName.replaceAll(':', '-'), wanted.days, endEntity(names));
};

/** Who signs certificates that others trust because they trust this one. It signs no further authorities. */
export const makeAuthority = (wanted: {
  readonly name: string;
  readonly days: number;
}): Promise<KeyAndCertificate> =>
  made(wanted.name, wanted.days, [
    { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
  ]);

/** A certificate for the given names, addresses and this machine's loopback, signed by an authority. */
export const signedCertificate = async (
  authority: KeyAndCertificate,
  wanted: { readonly commonName: string; readonly names: readonly string[]; readonly days: number },
): Promise<KeyAndCertificate> =>
  made(wanted.commonName, wanted.days, endEntity(withLoopback(wanted.names)), authority);

type Extensions = NonNullable<SelfsignedOptions['extensions']>;

const withLoopback = (names: readonly string[]): readonly string[] => {
  const all = [...new Set([...names, 'localhost', '127.0.0.1', '::1'])];
  const wrong = all.find((name) => isIP(name) === 0 && !HOST_NAME.test(name));
  if (wrong !== undefined) throw new RangeError(`${JSON.stringify(wrong)} is no host name and no address`);
  if (all.length > NAMES_MAX) throw new RangeError(`A certificate is made for at most ${NAMES_MAX} names`);
  return all;
};

const endEntity = (names: readonly string[]): Extensions => [
  { name: 'basicConstraints', cA: false, critical: true },
  { name: 'keyUsage', digitalSignature: true, critical: true },
  // Hosts of a pool are clients of each other with the same certificate.
  { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
  {
    name: 'subjectAltName',
    altNames: names.map((name) => (isIP(name) ? { type: 7, ip: name } : { type: 2, value: name })),
  },
];

const made = async (
  commonName: string,
  days: number,
  extensions: Extensions,
  authority?: KeyAndCertificate,
): Promise<KeyAndCertificate> => {
  if (commonName.length === 0 || commonName.length > COMMON_NAME_MAX)
    throw new RangeError(`A common name has 1 to ${COMMON_NAME_MAX} characters`);
  if (!(days > 0 && days <= DAYS_MAX)) throw new RangeError(`A certificate lasts 1 to ${DAYS_MAX} days`);
  const now = Date.now();
  // Loaded when it is needed, which is once in the life of a host: it would cost every start a third of a
  // second.
  const { generate } = await import('selfsigned');
  const { private: key, cert } = await generate([{ name: 'commonName', value: commonName }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - BEHIND_MS),
    notAfterDate: new Date(now + days * DAY_MS),
    extensions,
    ...(authority && { ca: authority }),
  });
  return { key, cert };
};
