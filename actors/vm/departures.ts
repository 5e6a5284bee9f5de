import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Services } from '../../src/objects/services.ts';
import { type Clearing, clearLeftover } from '../../src/rules/leftovers.ts';
import { type Destination, otherPool, taskEnd } from '../../src/rules/other-pool.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { deleteDevices } from './copied-rows.ts';
import { deleteVm } from './creating.ts';
import { disksOf } from './exporting.ts';

// A VM that is sent to another pool is noted here before it can be there. Whoever finds the note without
// work that goes with it asks the other side which of the two has the VM.

const taskKey = 'task';
const nowhere: ReadonlyMap<string, string> = new Map();

export const noteDeparture = (tx: Tx, self: Ref<'VM'>, dest: Destination, task: string): void =>
  tx.patch('VM', self, { departure: new Map([...dest, [taskKey, task]]) });

export const strikeDeparture = (tx: Tx, self: Ref<'VM'>): void => {
  if (tx.get('VM', self) !== undefined) tx.patch('VM', self, { departure: nowhere });
};

/**
 * What is left of a VM that has gone is what is left of one that did not arrive: rows, and disks that nobody
 * wants. Answers the last step, for whoever settles; what cannot be destroyed now is at the next start.
 */
export const clearAway = async (by: Clearing, self: Ref<'VM'>): Promise<(tx: Tx) => void> => {
  const { store, services } = by;
  const vms = [self, ...store.latest.require('VM', self).snapshots];
  await store.commit((tx) => {
    for (const vm of vms) becomeRemains(tx, vm, services.host);
  });
  for (const vm of vms)
    for (const vdi of [...store.latest.require('VM', vm).leftovers.keys()]) await clearLeftover(by, vm, vdi);
  return (tx) => {
    for (const vm of vms) if (tx.get('VM', vm)?.leftovers.size === 0) deleteVm(tx, vm);
  };
};

const becomeRemains = (tx: Tx, vm: Ref<'VM'>, host: Ref<'host'>): void => {
  const disks = disksOf(tx, vm, true);
  deleteDevices(tx, tx.require('VM', vm));
  tx.patch('VM', vm, {
    ...{ imported_by: host, departure: nowhere, leftovers: new Map(disks.map((vdi) => [vdi, host])) },
    ...{ power_state: 'Halted', suspend_VDI: nullRef as Ref<'VDI'> },
  });
};

interface Asking extends Clearing {
  readonly services: Pick<Services, 'host' | 'log' | 'otherPools'>;
}

/** Asked from time to time by the host that leads; meanwhile a slow pool is not asked again. */
export const departureWatch = (by: Asking): (() => Promise<void>) => {
  let isAsking = false;
  return async () => {
    if (isAsking) return;
    isAsking = true;
    await settleDepartures(by).finally(() => {
      isAsking = false;
    });
  };
};

const settleDepartures = async (by: Asking): Promise<void> => {
  const { store, services } = by;
  for (const [vm, { departure, current_operations }] of [...store.latest.all('VM')]) {
    const task = departure.get(taskKey);
    if (task === undefined || current_operations.size > 0) continue;
    try {
      const end = await taskEnd(otherPool(services, departure), task);
      if (end === undefined) continue;
      const last = end instanceof Fault ? (tx: Tx) => strikeDeparture(tx, vm) : await clearAway(by, vm);
      await store.commit(last);
    } catch (error) {
      services.log.warn({ error, vm }, 'The pool that a VM was sent to could not be asked whether it has it');
    }
  }
};
