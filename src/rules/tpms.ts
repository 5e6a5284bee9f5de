import type { Tx } from '../store/view.ts';
import { capabilitiesOn } from './guest-capabilities.ts';

/** What clients read of whether VMs may have a TPM. */
export const withTpms = (params: ReadonlyMap<string, string>, has: boolean): ReadonlyMap<string, string> =>
  new Map([...params, ['restrict_vtpm', String(!has)]]);

/** A pool offers TPMs where every host of it serves them, so that a guest can go to any. */
export const offerTpms = (tx: Tx): void => {
  const has = [...tx.all('host')].every(([host]) => capabilitiesOn(tx, host).vtpm);
  for (const [pool, { restrictions }] of [...tx.all('pool')]) {
    if (restrictions.get('restrict_vtpm') === String(!has)) continue;
    tx.patch('pool', pool, { restrictions: withTpms(restrictions, has) });
  }
};
