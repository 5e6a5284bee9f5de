import type { Host } from '../assembly/parts.ts';
import type { Disk } from '../drivers/disk.ts';

/**
 * Keeps the file by which programs of a Xen host know which host they are on: lines as a shell reads them. A
 * host that has no row yet, as it has only just joined a pool, keeps none.
 */
export const keepInventory = async (
  disk: Disk,
  path: string,
  { store, services }: Pick<Host, 'store' | 'services'>,
): Promise<void> => {
  const row = store.latest.get('host', services.host);
  if (row === undefined) return;
  const domain = store.latest.get('VM', row.control_domain)?.uuid ?? '';
  await disk.replaceText(path, `INSTALLATION_UUID='${row.uuid}'\nCONTROL_DOMAIN_UUID='${domain}'\n`);
};
