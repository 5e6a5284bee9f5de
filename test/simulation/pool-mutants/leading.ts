import type { StateFile } from '../../../src/pool/state.ts';
import { answered, commits, dense, type Mutant, replica, state } from './parts.ts';

// Bugs in who leads: epochs, promises, hand-overs and what a host must know of itself after its end.

/** Its file is only ever in the cache of the system, which a cut of power empties. */
const neverSynced = (file: StateFile): StateFile => {
  let current = file.current;
  return {
    get current() {
      return current;
    },
    save: async (next) => {
      current = next;
    },
    forget: file.forget,
  };
};

/** Leaders end, and others are made to lead, while some hosts do not see it. */
const replaced = {
  ...dense,
  troubles: ['crash of the coordinator', 'cut off the coordinator', 'cut off', 'take over', 'insist'],
} as const;

/** What a host says that has nothing. */
const silent = {
  ...{ epoch: 0, leads: false, leader: '', promises: true },
  position: { epoch: 0, generation: 0 },
};

/** Nobody insists, so that others are asked, and some are not reached. */
const unseen = {
  ...dense,
  troubles: ['crash of the coordinator', 'cut off the coordinator', 'cut off', 'two ways', 'take over'],
} as const;

const handed = {
  ...dense,
  troubles: ['designate', 'designate again and again', 'slow disk', 'two ways'],
} as const;

/** Hosts come and go while the lead changes. */
const coming = { ...dense, spares: 1, troubles: ['join', 'eject', 'designate', 'power'] } as const;

export const leadingMutants: readonly Mutant[] = [
  {
    name: 'frames carry no epoch, and nobody looks for one',
    sabotage: { meshOptions: (options) => ({ ...options, epoch: () => 1, onEpoch: async () => {} }) },
    seed: 1,
  },
  {
    name: 'an epoch is stored after it is acted upon',
    sabotage: state(async (file, next, life) => {
      life.after(1_500, () => void file.save(next).catch(() => {}));
    }),
    shows: replaced,
    seed: 1,
  },
  {
    name: 'the file of a host is never on its disk',
    sabotage: { state: neverSynced },
    shows: replaced,
    seed: 1,
  },
  {
    name: 'a host that hears a higher epoch leads on',
    sabotage: commits(() => ({ heard: async () => {} })),
    shows: replaced,
    seed: 1,
  },
  {
    name: 'whoever does not answer counts as having promised',
    sabotage: answered(['claim', 'who'], (answer) => answer ?? silent),
    shows: unseen,
    seed: 29,
  },
  {
    name: 'a leader that hands over goes on deciding',
    sabotage: replica((one) => ({ pause: async () => one.position })),
    shows: handed,
    seed: 1,
  },
  {
    name: 'a host that joins knows the one that took it in, and nobody else',
    sabotage: state((file, { others: _, ...next }) => file.save(next)),
    shows: coming,
    seed: 6,
  },
  {
    name: 'a host that is put out forgets that it was',
    sabotage: state((file, { change, ...next }) =>
      file.save({ ...next, ...(change === 'joins' && { change }) }),
    ),
    shows: coming,
    seed: 1,
  },
];
