import type { Appending } from '../../src/store/appending.ts';
import type { Batch } from '../../src/store/batch.ts';

// A log of a test: the leader's disk is the log, and whoever is told of its groups says when it has them. It shows
// what the store asks of a log, and is no engine of the product.

export interface ToyLog extends Appending {
  /** Called with each group once it is on the disk of the host that leads. */
  batches(listener: (batch: Batch) => void): () => void;
  /** A follower has everything up to the generation. */
  acknowledged(follower: string, generation: number): void;
  /** How many followers must have a group before it is acknowledged; asked each time. */
  awaitReplicas(count: () => number): void;
  /** The answer of `awaitReplicas` may have changed. */
  recount(): void;
}

export const toyLog = (): ToyLog => {
  const listeners = new Set<(batch: Batch) => void>();
  const has = new Map<string, number>();
  const waiting: { readonly generation: number; readonly done: () => void }[] = [];
  let written = 0;
  let replicas = (): number => 0;
  const recount = (): void => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const { generation } = next;
      const count = [...has.values()].filter((one) => one >= generation).length;
      if (generation > written || count < replicas()) return;
      waiting.shift();
      next.done();
    }
  };
  return {
    append: (group) => {
      const acknowledged = new Promise<void>((done) => {
        waiting.push({ generation: group.generation, done });
      });
      const onDisk = group.write().then(
        () => {
          written = group.generation;
          const batch = group.batch();
          for (const listener of listeners) listener(batch);
          recount();
        },
        (error: unknown) => {
          waiting.pop();
          throw error;
        },
      );
      return { written: onDisk, acknowledged };
    },
    batches: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    acknowledged: (follower, generation) => {
      has.set(follower, Math.max(has.get(follower) ?? 0, generation));
      recount();
    },
    awaitReplicas: (count) => {
      replicas = count;
      recount();
    },
    recount,
  };
};
