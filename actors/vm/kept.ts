import { type Kept, keptIn } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import { bytesMaxOf } from '../../src/model/sizes.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { isHvm } from '../../src/rules/guest-devices.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { secretText } from '../enums.ts';
import { firmwareOf } from './metadata.ts';
import { firmwareVariable } from './types.ts';

/** Of `NVRAM`. */
const variablesKey = 'EFI-variables';

// What devices of a guest keep from one run to the next is in rows while it does not run.

const tpmOf = (view: View, self: Ref<'VM'>) => {
  const [ref = nullRef as Ref<'VTPM'>] = view.get('VM', self)?.VTPMs ?? [];
  const row = view.get('VTPM', ref);
  return row === undefined ? undefined : { ref, row };
};

const hasFirmware = (vm: RecordNamed<'VM'>): boolean => isHvm(vm) && firmwareOf(vm) === 'Uefi';

/** Whether there is anything that keeps something. */
export const keeps = (view: View, self: Ref<'VM'>): boolean =>
  tpmOf(view, self) !== undefined || hasFirmware(view.require('VM', self));

/** What its next guest begins with. */
export const keptOf = (view: View, self: Ref<'VM'>): Kept => {
  const vm = view.require('VM', self);
  const contents = tpmOf(view, self)?.row.contents;
  const tpm = contents === undefined ? undefined : view.get('secret', contents)?.value;
  const variables = hasFirmware(vm) ? vm.NVRAM.get(variablesKey) : undefined;
  const all = Object.entries({ tpm, variables }).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [[name, value] as const],
  );
  return keptIn(all);
};

/** Writes what its guest had when it ended, or has now. What rows cannot hold is left out. */
export const keep = (tx: Tx, self: Ref<'VM'>, kept: Kept, { random }: Pick<Services, 'random'>): void => {
  const tpm = tpmOf(tx, self);
  const contents = kept.get('tpm');
  if (tpm !== undefined && contents !== undefined && contents.length <= bytesMaxOf(secretText)) {
    const value = contents;
    if (tx.get('secret', tpm.row.contents) === undefined) {
      const secret = newRef<'secret'>({ random });
      tx.create('secret', secret, { uuid: random.uuid(), value });
      tx.patch('VTPM', tpm.ref, { contents: secret });
    } else tx.patch('secret', tpm.row.contents, { value });
  }
  const vm = tx.require('VM', self);
  const variables = kept.get('variables');
  if (variables === undefined || !hasFirmware(vm) || variables.length > bytesMaxOf(firmwareVariable)) return;
  tx.patch('VM', self, { NVRAM: new Map([...vm.NVRAM, [variablesKey, variables]]) });
};
