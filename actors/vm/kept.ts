import type { Kept } from '../../src/drivers/hypervisor/hypervisor.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import type { Tx, View } from '../../src/store/view.ts';

// What devices of a guest keep from one run to the next is in rows while it does not run.

const tpmOf = (view: View, self: Ref<'VM'>) => {
  const [ref = nullRef as Ref<'VTPM'>] = view.get('VM', self)?.VTPMs ?? [];
  const row = view.get('VTPM', ref);
  return row === undefined ? undefined : { ref, row };
};

/** Whether there is anything that keeps something. */
export const keeps = (view: View, self: Ref<'VM'>): boolean => tpmOf(view, self) !== undefined;

/** What its next guest begins with. */
export const keptOf = (view: View, self: Ref<'VM'>): Kept => {
  const contents = tpmOf(view, self)?.row.contents;
  const value = contents === undefined ? undefined : view.get('secret', contents)?.value;
  return value === undefined || value === '' ? new Map() : new Map([['tpm', value]]);
};

/** Writes what its guest had when it ended, or has now. */
export const keep = (tx: Tx, self: Ref<'VM'>, kept: Kept, { random }: Pick<Services, 'random'>): void => {
  const tpm = tpmOf(tx, self);
  const value = kept.get('tpm');
  if (tpm === undefined || value === undefined) return;
  const { contents } = tpm.row;
  if (tx.get('secret', contents) !== undefined) {
    tx.patch('secret', contents, { value });
    return;
  }
  const secret = newRef<'secret'>({ random });
  tx.create('secret', secret, { uuid: random.uuid(), value });
  tx.patch('VTPM', tpm.ref, { contents: secret });
};
