import type { Store } from '../../../src/store/store.ts';
import { asked, changed, dense, type Mutant, store } from './parts.ts';

// Bugs in calls and work: where they are done, what they are founded on, how they end.

/** Of the tasks of a host that ended, or began anew, none is ended. */
const leavesTasksOpen = (one: Store): Partial<Store> => ({
  commit: (make) =>
    one.commit((tx) => {
      const patch = (cls: never, ref: never, fields: { readonly error_info?: readonly string[] }): void => {
        if (fields.error_info?.[1]?.startsWith('Xenact was restarted') !== true)
          tx.patch(cls, ref, fields as never);
      };
      return make(changed(tx, { patch } as never));
    }),
});

/** Calls go from host to host while their programs end. */
const carried = { ...dense, hosts: 2, troubles: ['crash', 'crash of the coordinator', 'two ways'] } as const;

export const callMutants: readonly Mutant[] = [
  {
    name: 'work is done wherever it is asked for',
    sabotage: {
      objects: (parts) => ({
        ...parts,
        catalog: {
          ...parts.catalog,
          behaviour: ((cls: never) => {
            const known = parts.catalog.behaviour(cls);
            return known && { ...known, home: () => parts.services.host };
          }) as typeof parts.catalog.behaviour,
        },
      }),
    },
    shows: { ...dense, troubles: ['designate'] },
    seed: 1,
  },
  {
    name: 'answers of other hosts are passed on before their rows are here',
    sabotage: store((one) => ({
      reached: (generation, signal) =>
        signal === undefined ? Promise.resolve() : one.reached(generation, signal),
    })),
    shows: { ...dense, troubles: ['slow', 'slow disk'] },
    seed: 3,
  },
  {
    name: 'a call that was sent before its host ended is done by the next program',
    sabotage: asked(['carry'], (payload) => ({ ...payload, agoMs: 0 })),
    shows: carried,
    seed: 5,
  },
  {
    name: 'tasks of a dead host are left open',
    sabotage: store(leavesTasksOpen),
    shows: { ...dense, troubles: ['crash'] },
    seed: 1,
  },
  {
    name: 'a guest that was sent runs on where it was',
    sabotage: {
      backend: (one) => ({
        ...one,
        send: async (vm, write, work) => {
          await one.send(vm, write, work);
          await one.unpause(vm);
        },
      }),
    },
    shows: { ...dense, troubles: ['slow'] },
    seed: 1,
  },
  {
    name: 'a guest that is ended goes on',
    sabotage: { backend: (one) => ({ ...one, destroy: async () => {} }) },
    shows: { ...dense, troubles: ['slow'] },
    seed: 1,
  },
];
