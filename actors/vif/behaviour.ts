import { implement } from '../../src/objects/implement.ts';
import { faultFrom } from '../../src/objects/refusal.ts';
import { type VifOperation, vifAllowedOperations, vifRefusal } from './admission.ts';
import { VIF } from './class.ts';
import { create, destroy } from './creating.ts';
import { locking } from './locking.ts';
import { forceRefusal, move, plug, unplug } from './plugging.ts';

export default implement(
  VIF,
  {
    owner: ({ VM }) => ['VM', VM],
    admit: (view, self, operation) => faultFrom(vifRefusal(view, self, operation as VifOperation)),
    derive: (view, self, record) => ({ allowed_operations: vifAllowedOperations(view, self, record) }),
  },
  {
    create,
    destroy,
    ...locking,
    plug: { operation: 'plug', work: plug },
    unplug: { operation: 'unplug', work: (working) => unplug(working, false) },
    unplug_force: {
      unless: (view, self) => faultFrom(forceRefusal(view, self)),
      work: (working) => unplug(working, true),
    },
    move: { operation: 'attach', work: (working, { network }) => move(working, network) },
  },
);
