import type { Disk } from '../drivers/disk.ts';

export interface HostCertificate {
  readonly key: string;
  readonly cert: string;
}

const fileBytesMax = 1 << 20;

/** The certificate in `file`; at the first start one is made and kept there. */
export const hostCertificate = async (
  disk: Disk,
  file: string,
  make: () => Promise<HostCertificate>,
): Promise<HostCertificate> => {
  if (await disk.exists(file)) return JSON.parse(await disk.readText(file, fileBytesMax)) as HostCertificate;
  const made = await make();
  await disk.replaceText(file, JSON.stringify(made), 0o600);
  return made;
};
