import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Disk } from '../drivers/disk.ts';
import { jsonOf, required, stringOf } from '../std/reader.ts';
import { UnusableError } from '../std/unusable.ts';

export interface HostCertificate {
  readonly key: string;
  readonly cert: string;
}

const fileBytesMax = 1 << 20;

/**
 * The certificate in `file`; at the first start one is made and kept there. One that is damaged is refused
 * with `instead`, what to do then.
 */
export const hostCertificate = async (
  disk: Disk,
  file: string,
  make: () => Promise<HostCertificate>,
  instead: string,
): Promise<HostCertificate> => {
  if (await disk.exists(file)) return readCertificate(disk, file, instead);
  const made = await make();
  await disk.replaceText(file, JSON.stringify(made), 0o600);
  return made;
};

/** What to do about a host whose certificate for the other hosts is damaged. */
export const meshCertificateLost =
  'Other hosts of the pool know this one by it: put it back from a backup. A host that is alone may ' +
  'remove it, and a new one is made; one of several starts with --rebuild and --join as a new host of ' +
  'the pool.';

export const readCertificate = async (disk: Disk, file: string, instead: string): Promise<HostCertificate> =>
  read(await disk.readText(file, fileBytesMax), file, instead);

const read = (text: string, file: string, instead: string): HostCertificate => {
  try {
    const found = jsonOf(text);
    const [key, cert] = [required(found, 'key', stringOf), required(found, 'cert', stringOf)];
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) throw new Error('Not its key');
    return { key, cert };
  } catch {
    throw new UnusableError(`${file} holds no certificate with its key. ${instead}`);
  }
};
