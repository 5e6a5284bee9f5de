import {
  DiskFull,
  type Durable,
  type Loaded,
  type StoredRow,
  type Tombstone,
  type WriteGroup,
} from '../store/durable.ts';
import type { Life } from './life.ts';
import type { SeededRandom } from './random.ts';

/** What a simulated machine keeps of its store. It outlives the processes of the machine. */
export interface MemoryDurable {
  /** The store's disk side, as one process sees it. */
  of(life: Life): Durable;
  /** Removes all that is there, at the order of one process. */
  forget(life: Life): void;
  /** From now on every write fails; undefined: no more. `full`: as on a disk without room. */
  refuseWrites(why: 'full' | 'broken' | undefined): void;
  /** From now on a group takes as long as this to be on disk; undefined: as long as it did at first. */
  takeLonger(writeMs: readonly [least: number, most: number] | undefined): void;
  /** How many groups were written so far. */
  readonly written: number;
}

export interface MemoryDurableOptions {
  readonly random: SeededRandom;
  /** What a group takes to be on disk, evenly between the two. */
  readonly writeMs?: readonly [least: number, most: number];
}

/**
 * Groups as wholes: a process that ends while one is being written leaves all of it or nothing, as the seed
 * says, and nobody was told that it is there.
 */
export const memoryDurable = ({ random, writeMs = [0, 0] }: MemoryDurableOptions): MemoryDurable => {
  const rows = new Map<string, StoredRow>();
  let tombstones: readonly Tombstone[] = [];
  let last: WriteGroup | undefined;
  let written = 0;
  let [leastMs, mostMs] = writeMs;
  let refusal: 'full' | 'broken' | undefined;

  const apply = (group: WriteGroup): void => {
    for (const row of group.puts) rows.set(`${row.cls}/${row.ref}`, row);
    for (const { cls, ref } of group.deletes) rows.delete(`${cls}/${ref}`);
    if (group.afresh === true) tombstones = [];
    if (group.tombstones.length > 0) {
      tombstones = [...tombstones, ...group.tombstones].filter((one) => one.generation > group.horizon);
    }
    last = group;
    written += 1;
  };
  const check = (): void => {
    if (refusal === 'full') throw new DiskFull('The simulated disk is full');
    if (refusal === 'broken') throw new Error('The simulated disk is broken');
  };
  const onDisk = (life: Life, groups: readonly WriteGroup[]): Promise<void> =>
    new Promise((resolve, reject) => {
      const forget = life.onEnd(() => {
        if (random.chance(0.5)) groups.forEach(apply);
      });
      life.after(leastMs + random.fraction() * (mostMs - leastMs), () => {
        forget();
        try {
          check();
          groups.forEach(apply);
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  const load = (): Loaded => {
    if (last === undefined) return { rows: [], tombstones: [], horizon: 0, generation: 0 };
    const { horizon, epochs, follows, generation, generationMax } = last;
    const found = { rows: [...rows.values()], tombstones, horizon, epochs, follows, reserved: generationMax };
    // Whoever follows knows what it has; whoever decides may have handed out all that was reserved.
    return { ...found, generation: follows ? generation : generationMax };
  };

  return {
    get written() {
      return written;
    },
    takeLonger: (longer) => {
      [leastMs, mostMs] = longer ?? writeMs;
    },
    refuseWrites: (why) => {
      refusal = why;
    },
    forget: (life) => {
      if (life.state === 'ended') return;
      rows.clear();
      tombstones = [];
      last = undefined;
    },
    of: (life) => ({
      load,
      write: async (groups) => {
        if (life.state === 'ended') return unanswered();
        check();
        if (mostMs > 0) await onDisk(life, groups);
        else groups.forEach(apply);
      },
      close: async () => {},
    }),
  };
};

/** Nobody is left who could be told. */
const unanswered = (): Promise<never> => new Promise(() => {});
