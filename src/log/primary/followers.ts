import type { Ref } from '../../model/types.ts';
import type { PoolContext } from '../../pool/context.ts';
import { fieldsOf, positionOf } from '../../pool/protocol.ts';
import { Fault } from '../../std/fault.ts';
import type { Batch } from '../../store/batch.ts';
import type { Position } from '../../store/epochs.ts';
import { type PrimaryAppending, primaryAppending } from './appending.ts';

/** The hosts that take the log from this one, for as long as it leads an epoch. */
export interface Followers {
  readonly appending: PrimaryAppending;
  /** A host wants the log from a position on. `copy`: it must take a whole copy first. */
  follow(host: Ref<'host'>, from: Position): { readonly copy: boolean; readonly generation: number };
  /** Generation up to which a host has the log on its disk; undefined: it does not take it. */
  reachedBy(host: Ref<'host'>): number | undefined;
  stop(): void;
}

interface Follower {
  readonly host: Ref<'host'>;
  position: Position;
  waiting: Batch[];
  wake: () => void;
  ended: boolean;
  /** It was given everything up to here as it began. */
  readonly given: number;
  /** It knows that everything up to here is acknowledged. */
  settled: number;
}

export interface FollowersOptions {
  /** Followers that must have a group on disk before it is acknowledged, where as many are there. */
  readonly replicas: number;
  /** A host does not take the log any more although there is a link with it. */
  readonly onLost: (host: Ref<'host'>) => void;
}

export const followersOf = (context: PoolContext, { replicas, onLost }: FollowersOptions): Followers => {
  const { store, replica, mesh, log, limits } = context;
  const followers = new Map<Ref<'host'>, Follower>();
  const appending = primaryAppending(() => Math.min(replicas, followers.size));
  let stopped = false;

  const drop = (follower: Follower): void => {
    follower.ended = true;
    follower.wake();
    if (followers.get(follower.host) !== follower) return;
    followers.delete(follower.host);
    appending.recount();
  };

  const stopBatches = appending.batches((batch) => {
    for (const follower of followers.values()) {
      // What it was given as it began may be what the next batch brings.
      if (batch.generation <= follower.given) continue;
      if (follower.waiting.length >= limits.batchesWaitingMax) drop(follower);
      else follower.waiting.push(batch);
      follower.wake();
    }
  });
  const stopWatching = store.watch(() => {
    for (const follower of followers.values()) follower.wake();
  });
  const stopPeers = mesh.onPeer(({ host, state }) => {
    const follower = followers.get(host as Ref<'host'>);
    if (state === 'down' && follower !== undefined) drop(follower);
  });

  return {
    appending,
    follow: (host, from) => {
      // What a host had on its disk as it started it shows as soon as it follows.
      if (from.cold === true && from.generation > store.generation) throw notAcknowledged;
      const missing = replica.since(from);
      if (missing === undefined) return { copy: true, generation: store.generation };
      const known = followers.get(host);
      if (known !== undefined) drop(known);
      const follower: Follower = {
        ...{ host, position: from, waiting: [missing], wake: () => {}, ended: false },
        ...{ given: missing.generation, settled: missing.acknowledged },
      };
      followers.set(host, follower);
      push(context, appending, follower)
        .catch((error: unknown) => {
          log.info({ error: String(error), host }, 'A member no longer takes the log');
        })
        .finally(() => {
          drop(follower);
          if (!stopped && !followers.has(host) && context.isUp(host)) onLost(host);
        });
      return { copy: false, generation: store.generation };
    },
    reachedBy: (host) => followers.get(host)?.position.generation,
    stop: () => {
      if (stopped) return;
      stopped = true;
      stopBatches();
      stopWatching();
      stopPeers();
      // What is not acknowledged by now is not acknowledged by a host that no longer leads.
      appending.end();
      for (const follower of [...followers.values()]) drop(follower);
    },
  };
};

const notAcknowledged = new Fault('INTERNAL_ERROR', [
  'What that host has is not all acknowledged yet: it may ask again in a moment',
]);

/** Groups that a member has been handed and has not acknowledged; it writes what comes meanwhile as one. */
const groupsUnderWayMax = 16;

/** Hands a member the log, piece after piece, and notes how far it is. */
const push = async (
  { replica, mesh, limits }: PoolContext,
  appending: PrimaryAppending,
  follower: Follower,
): Promise<void> => {
  const options = { timeoutMs: limits.applyMsMax };
  let underWay = 0;
  let telling = false;
  let failed: { readonly error: unknown } | undefined;
  const hand = async (batch: Batch): Promise<void> => {
    underWay += 1;
    try {
      const answer = await mesh.call(follower.host, 'apply', { batch }, options);
      if (follower.ended) return;
      follower.position = positionOf(fieldsOf(answer)['position']);
      appending.has(follower.host, follower.position.generation);
    } catch (error) {
      failed ??= { error };
    } finally {
      underWay -= 1;
      follower.wake();
    }
  };
  const tell = async (generation: number): Promise<void> => {
    telling = true;
    try {
      await mesh.call(follower.host, 'settled', { generation }, options);
    } catch (error) {
      failed ??= { error };
    } finally {
      telling = false;
      follower.wake();
    }
  };
  while (!follower.ended && failed === undefined) {
    const batch = underWay < groupsUnderWayMax ? follower.waiting.shift() : undefined;
    if (batch !== undefined) {
      follower.settled = Math.max(follower.settled, batch.acknowledged);
      void hand(batch);
    } else if (replica.acknowledged > follower.settled && !telling) {
      follower.settled = replica.acknowledged;
      void tell(follower.settled);
    } else {
      await new Promise<void>((resolve) => {
        follower.wake = resolve;
      });
    }
  }
  if (failed !== undefined) throw failed.error;
};
