import type { Ref } from '../model/types.ts';
import type { Fault } from '../std/fault.ts';
import type { Appending } from './appending.ts';
import type { Replica } from './replica.ts';

/** Where a pool's commits are kept, and who may add to them. */
export interface Log extends Appending {
  readonly engine: 'primary' | 'etcd' | (string & {});
  /**
   * Keeps `replica` in line with the log until the signal aborts; calls `synced` once it has all that there
   * was when it began. Rejects when it cannot go on.
   */
  follow(leader: Leader, replica: Replica, synced: () => void, signal: AbortSignal): Promise<void>;
  /**
   * Told now and at each change, synchronously, until the returned function is called. With the first that is
   * told the log begins to look for a leader, or to let this host lead.
   */
  leadership(told: (now: Leadership) => void): () => void;
  /**
   * A host of the pool spoke of this epoch. Resolves once it is noted; nothing is done before on the strength
   * of it.
   */
  heard(epoch: number): Promise<void>;
  /**
   * An operator orders that this host lead. Throws a fault that says what to do. `insist`: also where
   * something may be missing.
   */
  promote(order: { readonly insist: boolean }): Promise<void>;
  /** This host leads, and another one shall. */
  handOver(to: Ref<'host'>): Promise<void>;
  /** For people who look inside. */
  status(): LogStatus;
  close(): Promise<void>;
}

export interface Leader {
  readonly host: Ref<'host'>;
  readonly epoch: number;
}

export type Leadership =
  /** `why`: what is waited for, and what to do about it. */
  | { readonly kind: 'none'; readonly why?: Fault }
  | ({ readonly kind: 'other' } & Leader)
  /**
   * This host may decide, for as long as this is the last word. It is said only when the replica has
   * everything.
   */
  | { readonly kind: 'here'; readonly epoch: number };

export interface LogStatus {
  readonly engine: string;
  /** One line for people. */
  readonly text: string;
}
