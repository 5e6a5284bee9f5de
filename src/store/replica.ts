import type { Batch, CopyPiece } from './batch.ts';
import type { Committing } from './committing.ts';
import { newestEpoch, type Position } from './epochs.ts';
import { acknowledge } from './pipeline.ts';
import { applyBatch, catchUp, copyOf, positionOf, replaceAll, type SetAside } from './replication.ts';
import type { Pipeline } from './state.ts';
import type { Change } from './version.ts';

/** This host's copy of the pool's log, as the pool and the log's engine see it. */
export interface Replica
  extends Pick<Committing, 'decide' | 'lead' | 'follow' | 'receive' | 'pause' | 'disown'> {
  /** What this host has of the log. */
  readonly position: Position;
  /** The newest epoch that this host has something of; 0 when what it has is of no pool. */
  readonly epoch: number;
  /** Newest commit that the pool has for good, and that readers see. */
  readonly acknowledged: number;
  /** What a host at `position` misses, up to now; undefined when it needs a whole copy. */
  since(position: Position): Batch | undefined;
  /** Everything, as of when the first piece is taken. */
  copy(): Iterable<CopyPiece>;
  /**
   * Takes the next batch; resolves once it is on disk. Readers see it once it is acknowledged. Rejects with
   * BatchRefused when it does not go on from this host's position.
   */
  apply(batch: Batch): Promise<Position>;
  /** Takes a whole copy in place of everything. A crash leaves all of what was or all of what is to be. */
  replace(pieces: Iterable<CopyPiece> | AsyncIterable<CopyPiece>): Promise<Position>;
  /** The pool has everything up to the generation for good. */
  acknowledge(generation: number): void;
  /** Nothing is committed any more, and what was is on disk. */
  close(): Promise<void>;
}

interface ReplicaParts {
  readonly committing: Committing;
  readonly onStaged: ((changes: readonly Change[]) => void) | undefined;
  readonly setAside: SetAside | undefined;
  /** Throws once the store is closed. */
  readonly open: () => void;
  readonly close: () => Promise<void>;
}

export const replicaOf = (
  pipeline: Pipeline,
  { committing, onStaged, setAside, open, close }: ReplicaParts,
): Replica => ({
  get position() {
    return positionOf(pipeline);
  },
  get epoch() {
    return newestEpoch(pipeline.epochs);
  },
  get acknowledged() {
    return pipeline.generation;
  },
  since: (position) => catchUp(pipeline, position),
  copy: () => copyOf(pipeline),
  apply: async (batch) => {
    await applyBatch(pipeline, batch, onStaged);
    return positionOf(pipeline);
  },
  replace: async (pieces) => {
    await replaceAll(pipeline, pieces, { onStaged, setAside });
    return positionOf(pipeline);
  },
  acknowledge: (generation) => {
    if (pipeline.follows) acknowledge(pipeline, generation);
  },
  decide: async (proposal) => {
    open();
    return committing.decide(proposal);
  },
  lead: committing.lead,
  follow: committing.follow,
  receive: committing.receive,
  pause: committing.pause,
  disown: committing.disown,
  close,
});
