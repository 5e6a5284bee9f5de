import type { Kept, Vm } from '../../drivers/hypervisor/hypervisor.ts';

/** What devices of a simulated guest that begins have: a TPM that is new has got contents by then. */
export const simKept = ({ id, boot }: Vm, domid: number, kept: Kept = new Map()): Kept => {
  if (boot.type !== 'HVM' || boot.tpm === undefined || (kept.get('tpm') ?? '') !== '') return kept;
  const made = Buffer.from(`made for ${id} as domain ${domid}`).toString('base64');
  return new Map([...kept, ['tpm', made]]);
};
