import type { Appending } from '../../store/appending.ts';
import type { Batch } from '../../store/batch.ts';

/**
 * What the leader of an epoch adds to its log: first on its own disk, then handed to followers, and
 * acknowledged once as many of them have it as must.
 */
export interface PrimaryAppending extends Appending {
  /** Called with each group once it is on this host's disk. */
  batches(listener: (batch: Batch) => void): () => void;
  /** A follower has everything up to the generation on its disk. */
  has(follower: string, generation: number): void;
  /** How many followers must have a group is asked again. */
  recount(): void;
  /** Nothing is acknowledged any more. */
  end(): void;
}

/** Followers whose word is kept; those heard of first are forgotten. */
export const followersKeptMax = 1_024;

export const primaryAppending = (needed: () => number): PrimaryAppending => {
  const listeners = new Set<(batch: Batch) => void>();
  const reached = new Map<string, number>();
  const waiting: { readonly generation: number; readonly done: () => void }[] = [];
  let written = 0;
  let ended = false;

  const isEnough = (generation: number): boolean => {
    let missing = needed();
    for (const has of reached.values()) if (has >= generation) missing -= 1;
    return missing <= 0;
  };
  const recount = (): void => {
    while (!ended) {
      const [next] = waiting;
      if (next === undefined || next.generation > written || !isEnough(next.generation)) return;
      waiting.shift();
      next.done();
    }
  };

  return {
    append: (group) => {
      const { generation } = group;
      const acknowledged = new Promise<void>((done) => {
        waiting.push({ generation, done });
      });
      const onDisk = async (): Promise<void> => {
        try {
          await group.write();
        } catch (error) {
          waiting.pop();
          throw error;
        }
        written = generation;
        if (!ended && listeners.size > 0) {
          const batch = group.batch();
          for (const listener of listeners) listener(batch);
        }
        recount();
      };
      return { written: onDisk(), acknowledged };
    },
    batches: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    has: (follower, generation) => {
      if ((reached.get(follower) ?? -1) >= generation) return;
      reached.delete(follower);
      reached.set(follower, generation);
      for (const first of reached.keys()) if (reached.size > followersKeptMax) reached.delete(first);
      recount();
    },
    recount,
    end: () => {
      ended = true;
    },
  };
};
