import type { Kept, Vm } from '../../drivers/hypervisor/hypervisor.ts';

/** What is in the TPM of a simulated guest that begins: a new one has got contents by then. */
export const simTpm = ({ id, boot }: Vm, domid: number, kept: Kept | undefined): string | undefined => {
  if (boot.type !== 'HVM' || boot.tpm === undefined) return undefined;
  return kept?.get('tpm') || Buffer.from(`made for ${id} as domain ${domid}`).toString('base64');
};
