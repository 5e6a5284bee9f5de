import type { SeededRandom } from './random.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** What goes from one machine to another, one way. */
export interface PathConditions {
  /** Evenly between the two. */
  readonly delayMs: readonly [least: number, most: number];
  /** Of each message: it is lost, and nothing after it on its wire arrives either. */
  readonly lostChance: number;
}

/** The ways between machines, each with its own delay, and each open or not. */
export interface MeshPaths {
  conditions(from: string, to: string): PathConditions;
  /** Whether a packet of `from` gets to `to` now. */
  isOpen(from: string, to: string): boolean;
  delayMs(from: string, to: string): number;
  /** Calls `run` once, as soon as the way is open in both directions; the returned function takes it back. */
  whenOpen(a: string, b: string, run: () => void): () => void;

  set(from: string, to: string, changes: Partial<PathConditions>): void;
  setAll(changes: Partial<PathConditions>): void;
  /** Nothing gets from `from` to `to` any more; the other way is left as it is. */
  block(from: string, to: string): void;
  unblock(from: string, to: string): void;
  /**
   * Blocks all ways, in both directions, between machines of different groups. Who is in none is left alone.
   */
  divide(groups: readonly (readonly string[])[]): void;
  /** Opens all ways again; machines that are off stay off. */
  heal(): void;
  setPower(machine: string, on: boolean): void;
  isOn(machine: string): boolean;
}

export const meshPaths = (
  clock: Pick<VirtualClock, 'after'>,
  random: SeededRandom,
  start: Partial<PathConditions> = {},
): MeshPaths => {
  let general: PathConditions = { delayMs: [0.1, 1], lostChance: 0, ...start };
  const own = new Map<string, Partial<PathConditions>>();
  const blocked = new Set<string>();
  const off = new Set<string>();
  const waiting = new Set<{ readonly a: string; readonly b: string; readonly run: () => void }>();

  const way = (from: string, to: string): string => `${from} > ${to}`;
  const isOpen = (from: string, to: string): boolean =>
    !blocked.has(way(from, to)) && !off.has(from) && !off.has(to);
  const isBoth = (a: string, b: string): boolean => isOpen(a, b) && isOpen(b, a);
  const conditions = (from: string, to: string): PathConditions => ({
    ...general,
    ...own.get(way(from, to)),
  });
  const opened = (): void => {
    for (const one of [...waiting]) {
      if (!isBoth(one.a, one.b)) continue;
      waiting.delete(one);
      clock.after(0, one.run);
    }
  };

  return {
    conditions,
    isOpen,
    delayMs: (from, to) => {
      const [least, most] = conditions(from, to).delayMs;
      return most <= least ? least : least + random.fraction() * (most - least);
    },
    whenOpen: (a, b, run) => {
      const one = { a, b, run };
      waiting.add(one);
      opened();
      return () => {
        waiting.delete(one);
      };
    },
    set: (from, to, changes) => {
      own.set(way(from, to), { ...own.get(way(from, to)), ...changes });
    },
    setAll: (changes) => {
      general = { ...general, ...changes };
      own.clear();
    },
    block: (from, to) => {
      blocked.add(way(from, to));
    },
    unblock: (from, to) => {
      blocked.delete(way(from, to));
      opened();
    },
    divide: (groups) => {
      for (const group of groups) {
        for (const others of groups) {
          if (others === group) continue;
          for (const from of group) for (const to of others) blocked.add(way(from, to));
        }
      }
    },
    heal: () => {
      blocked.clear();
      opened();
    },
    setPower: (machine, on) => {
      if (on) off.delete(machine);
      else off.add(machine);
      opened();
    },
    isOn: (machine) => !off.has(machine),
  };
};
