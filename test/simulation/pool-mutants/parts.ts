import type { Mesh } from '../../../src/mesh/mesh.ts';
import type { StateFile } from '../../../src/pool/state.ts';
import type { Life } from '../../../src/simulation/life.ts';
import type { SimulationOptions, Trouble } from '../../../src/simulation/pool/options.ts';
import type { Sabotage } from '../../../src/simulation/pool/process.ts';
import type { Log } from '../../../src/store/log.ts';
import type { Replica } from '../../../src/store/replica.ts';
import type { Store } from '../../../src/store/store.ts';

/** A deliberate bug, put into one part of every host as it is put together. */
export interface Mutant {
  readonly name: string;
  readonly sabotage: Sabotage;
  /** What has to go wrong for it to show, so that no seeds are wasted on others; absent: anything. */
  readonly shows?: Shows;
  /** The first seed that notices it, as `npm run simulate -- --mutants` found it; the search begins there. */
  readonly seed: number;
}

export interface Shows extends Partial<Omit<SimulationOptions, 'troubles'>> {
  readonly troubles: readonly Trouble[];
}

/** Much goes wrong in a short time, so that few seeds are needed. */
export const dense = {
  durationMs: 15_000,
  troubleMs: [200, 2_000],
  lastsMs: [100, 3_000],
  thinkMs: [1, 300],
} as const;

/** The same object with some of its members replaced, also those that are computed; everything else is its own. */
export const changed = <T extends object>(original: T, changes: Partial<T>): T =>
  Object.create(original, Object.getOwnPropertyDescriptors(changes)) as T;

export const mesh = (change: (mesh: Mesh) => Partial<Mesh>): Sabotage => ({
  mesh: (one) => changed(one, change(one)),
});

export const replica = (change: (replica: Replica) => Partial<Replica>): Sabotage => ({
  replica: (one) => changed(one, change(one)),
});

export const store = (change: (store: Store) => Partial<Store>): Sabotage => ({
  store: (one) => changed(one, change(one)),
});

export const commits = (change: (log: Log) => Partial<Log>): Sabotage => ({
  commits: (one) => changed(one, change(one)),
});

/** What is written to the file that says where a host stands. */
export const state = (
  save: (file: StateFile, next: Parameters<StateFile['save']>[0], life: Life) => Promise<void>,
): Sabotage => ({
  state: (file, life) => changed(file, { save: (next) => save(file, next, life) }),
});

/** What hosts ask each other by these names, before it is sent. */
export const asked = (names: readonly string[], change: (payload: any) => unknown): Sabotage =>
  mesh((one) => ({
    call: (host, name, payload, options) =>
      one.call(host, name, names.includes(name) ? change(payload) : payload, options),
  }));

/** What they answer; `undefined` stands for nothing that came in time. */
export const answered = (names: readonly string[], change: (answer: any) => unknown): Sabotage =>
  mesh((one) => ({
    call: async (host, name, payload, options) => {
      if (!names.includes(name)) return one.call(host, name, payload, options);
      const answer = await one.call(host, name, payload, options).catch((error: unknown) => {
        const instead = change(undefined);
        if (instead === undefined) throw error;
        return instead;
      });
      return change(answer);
    },
  }));
