import type { Fault } from '../std/fault.ts';
import type { Batch, CopyPiece } from './batch.ts';
import type { Position } from './epochs.ts';
import { settle } from './pipeline.ts';
import { applyBatch, catchUp, copyOf, positionOf, replaceAll } from './replication.ts';
import type { Pipeline } from './state.ts';
import type { Change } from './version.ts';

/** Hosts whose acknowledgements are kept; those heard of first are forgotten. */
export const followersMax = 1_024;

/** The side of the store that other hosts see: what it tells them, takes from them and waits for. */
export interface Followers {
  /** Called with each group of commits that this host decided, once it is on its disk. */
  batches(listener: (batch: Batch) => void): () => void;
  /** What a host at `position` misses, up to the next of `batches`; undefined when it needs a whole copy. */
  since(position: Position): Batch | undefined;
  /** Everything up to the next of `batches`, as of when the first piece is taken. */
  copy(): Iterable<CopyPiece>;
  /** Takes the next batch. Rejects with BatchRefused when it does not go on from this host's position. */
  apply(batch: Batch): Promise<Position>;
  /** Takes a whole copy in place of everything. A crash leaves all of what was or all of what is to be. */
  replace(pieces: Iterable<CopyPiece> | AsyncIterable<CopyPiece>): Promise<Position>;
  /** A follower has everything up to the generation on its disk. */
  acknowledged(follower: string, generation: number): void;
  /** How many followers must have a commit before it is answered and seen; asked each time. */
  awaitReplicas(count: () => number): void;
  /** The answer of `awaitReplicas` may have changed. */
  recount(): void;
  /**
   * While there is a fault, new commits reject with it, and those that are not acknowledged yet wait; they
   * go on when it is lifted.
   */
  halt(fault: Fault | undefined): void;
}

export const followersOf = (
  pipeline: Pipeline,
  onStaged: ((changes: readonly Change[]) => void) | undefined,
): Followers => ({
  batches: (listener) => {
    pipeline.followers.add(listener);
    return () => pipeline.followers.delete(listener);
  },
  since: (position) => catchUp(pipeline, position),
  copy: () => copyOf(pipeline),
  apply: async (batch) => {
    await applyBatch(pipeline, batch, onStaged);
    return positionOf(pipeline);
  },
  replace: async (pieces) => {
    await replaceAll(pipeline, pieces, onStaged);
    return positionOf(pipeline);
  },
  acknowledged: (follower, generation) => {
    const { acknowledged } = pipeline;
    if ((acknowledged.get(follower) ?? -1) >= generation) return;
    acknowledged.set(follower, generation);
    for (const first of acknowledged.keys()) if (acknowledged.size > followersMax) acknowledged.delete(first);
    settle(pipeline);
  },
  awaitReplicas: (count) => {
    pipeline.replicas = count;
    settle(pipeline);
  },
  recount: () => settle(pipeline),
  halt: (fault) => {
    pipeline.halted = fault;
    settle(pipeline);
  },
});
