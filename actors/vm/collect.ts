import { nullRef, type Ref } from '../../src/model/types.ts';
import { isLive } from '../../src/objects/places.ts';
import type { Tx } from '../../src/store/view.ts';
import { arriving } from './reserving.ts';

const noHost = nullRef as Ref<'host'>;

type Reservation = readonly [Ref<'VM'>, Ref<'host'>];

/**
 * Memory set aside for VMs that nobody brings to life: their starts have not begun, or they have no one left.
 */
const unclaimed = (tx: Tx): readonly Reservation[] =>
  [...tx.all('VM')].flatMap(([vm, row]): readonly Reservation[] => {
    const { scheduled_to_be_resident_on: coming, power_state, current_operations } = row;
    if (coming === nullRef || power_state === 'Running' || power_state === 'Paused') return [];
    return [...current_operations.values()].some((one) => arriving.includes(one)) ? [] : [[vm, coming]];
  });

/**
 * Makes the pass that gives back memory which was set aside for a start that never began, because whoever
 * asked for it died once it was placed. It remembers what it saw, so one collector is made for the life of
 * the program: a start that has only just been placed is not one that was given up, unless its host is gone.
 * Should one be slower than two passes, it is placed once more. A pass answers how many there were.
 */
export const reservationCollector = (): ((tx: Tx) => number) => {
  let before = new Map<Ref<'VM'>, Ref<'host'>>();
  return (tx) => {
    const seen = unclaimed(tx);
    const given = seen.filter(([vm, coming]) => before.get(vm) === coming || !isLive(tx, coming));
    for (const [vm] of given) tx.patch('VM', vm, { scheduled_to_be_resident_on: noHost });
    before = new Map(seen.filter((one) => !given.includes(one)));
    return given.length;
  };
};
