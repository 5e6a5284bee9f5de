import type { Mesh } from '../../src/mesh/mesh.ts';
import type { StateFile } from '../../src/pool/state.ts';
import type { Sabotage } from '../../src/simulation/pool/process.ts';
import type { CopyPiece } from '../../src/store/batch.ts';
import type { WriteGroup } from '../../src/store/durable.ts';
import type { Replica } from '../../src/store/replica.ts';
import type { Store } from '../../src/store/store.ts';

// Deliberate bugs, each put into one part of every host as it is put together. A simulation that does not
// notice one of them does not look there.

export interface Mutant {
  readonly name: string;
  readonly sabotage: Sabotage;
  /** Where the search for a seed that notices it begins, found by `npm run simulate -- --mutants`; undefined: none is known yet. */
  readonly seed: number | undefined;
}

/** The same object with some of its functions replaced; everything else still is its own. */
const changed = <T extends object>(original: T, changes: Partial<T>): T =>
  Object.assign(Object.create(original), {}, changes) as T;

const mesh = (change: (mesh: Mesh) => Partial<Mesh>): Sabotage => ({
  mesh: (one) => changed(one, change(one)),
});
const replica = (change: (replica: Replica) => Partial<Replica>): Sabotage => ({
  replica: (one) => Object.create(one, descriptors(change(one))) as Replica,
});

const store = (change: (store: Store) => Partial<Store>): Sabotage => ({
  store: (one) => Object.create(one, descriptors(change(one))) as Store,
});

/** The store's own properties are read-only where they are computed, so they are defined and not assigned. */
const descriptors = (changes: object): PropertyDescriptorMap =>
  Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, { value }]));

/** A group is on its way to disk when the store is told that it is there. */
const answersBeforeDisk: Sabotage = {
  durable: (durable, life) => ({
    ...durable,
    write: async (groups: readonly WriteGroup[]) => {
      life.after(400, () => void durable.write(groups).catch(() => {}));
    },
  }),
};

const half = async function* (pieces: Iterable<CopyPiece> | AsyncIterable<CopyPiece>) {
  for await (const piece of pieces) {
    yield { ...piece, rows: piece.rows.filter((_, index) => index % 2 === 0) };
  }
};

/** What a follower answers before anything is on its disk. */
const acknowledgesAtOnce = (one: Replica): Partial<Replica> => ({
  apply: async (batch) => {
    one.apply(batch).catch(() => {});
    return { epoch: batch.epoch, generation: batch.generation };
  },
});

/** Of the tasks of a host that ended, or began anew, none is ended. */
const leavesTasksOpen = (one: Store): Partial<Store> => ({
  commit: (make) =>
    one.commit((tx) => {
      const patch = (cls: never, ref: never, fields: { readonly error_info?: readonly string[] }): void => {
        if (fields.error_info?.[1]?.startsWith('Xenact was restarted') !== true)
          tx.patch(cls, ref, fields as never);
      };
      return make(Object.create(tx, descriptors({ patch })) as typeof tx);
    }),
});

const savesLater = (
  state: StateFile,
  afterMs: number,
  life: { after(ms: number, run: () => void): unknown },
) =>
  Object.create(state, {
    save: {
      value: async (next: Parameters<StateFile['save']>[0]) => {
        life.after(afterMs, () => void state.save(next).catch(() => {}));
      },
    },
  }) as StateFile;

/** Its file is only ever in the cache of the system, which a cut of power empties. */
const neverSynced = (state: StateFile): StateFile => {
  let current = state.current;
  return {
    get current() {
      return current;
    },
    save: async (next) => {
      current = next;
    },
    forget: state.forget,
  };
};

export const mutants: readonly Mutant[] = [
  {
    name: 'frames carry no epoch, and nobody looks for one',
    sabotage: { meshOptions: (options) => ({ ...options, epoch: () => 1, onEpoch: async () => {} }) },
    seed: 1,
  },
  { name: 'commits are answered before they are on disk', sabotage: answersBeforeDisk, seed: 2 },
  {
    name: 'an epoch is stored after it is acted upon',
    sabotage: { state: (state, life) => savesLater(state, 1_500, life) },
    seed: 1,
  },
  { name: 'the file of a host is never on its disk', sabotage: { state: neverSynced }, seed: 1 },
  {
    name: 'deletions are not told to whoever catches up',
    sabotage: replica((one) => ({
      since: (position) => {
        const batch = one.since(position);
        return batch && { ...batch, changes: batch.changes.filter(({ row }) => row !== undefined) };
      },
    })),
    seed: 6,
  },
  {
    name: 'a request is repeated without its id',
    sabotage: mesh((one) => ({
      call: (host, name, payload, { requestId: _, ...options }) => one.call(host, name, payload, options),
    })),
    seed: 6,
  },
  {
    name: 'followers acknowledge before they have written',
    sabotage: replica(acknowledgesAtOnce),
    seed: 10,
  },
  {
    name: 'proposals are accepted whatever has changed since they were made',
    sabotage: replica((one) => ({
      decide: (proposal) => one.decide({ ...(proposal as object), reads: [], scans: [], lookups: [] }),
    })),
    seed: 62,
  },
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
    seed: 3,
  },
  {
    name: 'half of a copy is taken for the whole',
    sabotage: replica((one) => ({ replace: (pieces) => one.replace(half(pieces)) })),
    seed: 1,
  },
  {
    name: 'commits wait for no other host',
    sabotage: replica((one) => ({ lead: (epoch) => one.lead(epoch) })),
    seed: 1,
  },
  {
    name: 'tasks of a dead host are left open',
    sabotage: store(leavesTasksOpen),
    seed: 5,
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
    seed: 3,
  },
  {
    name: 'a guest that is ended goes on',
    sabotage: { backend: (one) => ({ ...one, destroy: async () => {} }) },
    seed: 1,
  },
  {
    name: 'whoever is asked promises, also a host that leads or follows',
    sabotage: mesh((one) => ({
      call: async (host, name, payload, options) => {
        const answer = await one.call(host, name, payload, options);
        return name === 'claim' || name === 'who'
          ? { ...answer, promises: true, leads: false, leader: '' }
          : answer;
      },
    })),
    seed: 81,
  },
  {
    name: 'a host that hears a higher epoch leads on',
    sabotage: { commits: (log) => changed(log, { heard: async () => {} }) },
    seed: 1,
  },
  {
    name: 'what the pool lacks is not set aside',
    sabotage: { diverged: (files) => ({ ...files, keep: async () => {} }) },
    seed: undefined,
  },
  {
    name: 'commits are acknowledged before they are written',
    sabotage: {
      commits: (log) =>
        changed(log, {
          append: (group) => ({
            ...log.append(group),
            written: Promise.resolve(),
            acknowledged: Promise.resolve(),
          }),
        }),
    },
    seed: undefined,
  },
];
