import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Placement } from '../../src/objects/implement.ts';
import { assertFits, chooseHost } from '../../src/rules/placement/choice.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import type { Operation } from './operations.ts';

// Where a VM comes to life. The host sets memory aside for it, by a row, before anything else is done: so two
// starts never count on the same memory, and everybody knows where the VM is to be found.

const noHost = nullRef as Ref<'host'>;

/** Operations that bring a VM to a host. */
export const arriving: readonly Operation[] = ['start', 'start_on', 'resume', 'resume_on'];

/** The host that a VM is on its way to. */
export const destinationOf = (view: View, self: Ref<'VM'>): Ref<'host'> | undefined => {
  const coming = view.get('VM', self)?.scheduled_to_be_resident_on ?? noHost;
  return view.get('host', coming) === undefined ? undefined : coming;
};

/** Sets memory aside on a host, unless that was done already. Throws what keeps the VM from running there. */
export const reserve = (tx: Tx, self: Ref<'VM'>, host: Ref<'host'>, insists: boolean): void => {
  const coming = destinationOf(tx, self);
  const { resident_on } = tx.require('VM', self);
  // One that only naps has kept what it had.
  if (coming === host || resident_on === host) return;
  // It was given up, and given to somebody else, while nobody was heard of here.
  if (coming !== undefined || resident_on !== noHost)
    throw new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM', self, 'start', '']);
  assertFits(tx, self, host, insists);
  tx.patch('VM', self, { scheduled_to_be_resident_on: host });
};

/** Gives the memory back, unless somebody else relies on it. */
const release = (tx: Tx, self: Ref): void => {
  const vm = self as Ref<'VM'>;
  const row = tx.get('VM', vm);
  if (row === undefined || row.power_state === 'Running' || row.power_state === 'Paused') return;
  // One that has begun holds it until its own end, also where its host is out of reach by now.
  if ([...row.current_operations.values()].some((one) => arriving.includes(one))) return;
  tx.patch('VM', vm, { scheduled_to_be_resident_on: noHost });
};

interface Forcible {
  /** A guest that has seen another processor is to go on all the same. */
  readonly force: boolean;
}

/** The host that suits best. */
export const anywhere: Placement<Forcible> = {
  only: (view) => {
    const [first, second] = view.all('host');
    return second === undefined ? first?.[0] : undefined;
  },
  choose: ({ tx, self }, { force }) => {
    const vm = self as Ref<'VM'>;
    // Another start is under way: this one waits for its end there.
    const coming = destinationOf(tx, vm);
    if (coming !== undefined) return coming;
    const host = chooseHost(tx, vm, { insists: force });
    tx.patch('VM', vm, { scheduled_to_be_resident_on: host });
    return host;
  },
  release,
};

/** The host that the client names. */
export const named: Placement<Forcible & { readonly host: Ref<'host'> }> = {
  choose: ({ tx, self }, { host, force }) => {
    tx.require('host', host);
    const coming = destinationOf(tx, self as Ref<'VM'>);
    if (coming !== undefined) return coming;
    reserve(tx, self as Ref<'VM'>, host, force);
    return host;
  },
  release,
};
