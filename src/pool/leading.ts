import type { PrimaryAppending } from '../log/primary/appending.ts';
import type { Ref } from '../model/types.ts';
import { dateTimeOf } from '../model/types.ts';
import type { Batch } from '../store/batch.ts';
import type { Position } from '../store/epochs.ts';
import { type Ground, hostsOf, votersOf, votesNeeded } from './ground.ts';
import { fieldsOf, positionOf } from './protocol.ts';

/** What a coordinator does for the others: it hands them the log, and watches whether they live. */
export interface Leading {
  /** A host wants the log from a position on. `copy`: it must take a whole copy first. */
  follow(host: Ref<'host'>, from: Position): Promise<{ readonly copy: boolean; readonly generation: number }>;
  /** Generation up to which a host has the log. */
  reachedBy(host: Ref<'host'>): number;
  /** A host is dead for sure, or said goodbye: its consent is not waited for. */
  setAside(host: Ref<'host'>): void;
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

export interface LeadingOptions {
  /** Members that must have a commit on disk before it is answered, where as many are there. */
  readonly replicas: number;
  /** A host is not live any more. Asked again until it succeeds, or the host is back. */
  readonly onDead?: (host: Ref<'host'>) => Promise<unknown>;
  /** A member does not take the log any more although there is a link with it. */
  readonly onLost?: (host: Ref<'host'>) => void;
}

export const leadingOf = (
  ground: Ground,
  appending: PrimaryAppending,
  { replicas, onLost, onDead }: LeadingOptions,
): Leading & { needed(): number } => {
  const { store, replica, mesh, log, limits } = ground;
  const followers = new Map<Ref<'host'>, Follower>();
  const aside = new Set<Ref<'host'>>();
  let stopped = false;
  let halted = false;

  const drop = (follower: Follower): void => {
    follower.ended = true;
    follower.wake();
    if (followers.get(follower.host) !== follower) return;
    followers.delete(follower.host);
    recount();
  };

  /** Commits wait for members that are there; without a majority nothing is acknowledged at all. */
  const recount = (): void => {
    const voters = votersOf(ground).filter((host) => host === ground.host || !aside.has(host));
    const heard = voters.filter((host) => host === ground.host || ground.isUp(host)).length;
    halted = heard < votesNeeded(voters.length);
    appending.recount();
  };

  /**
   * Whoever takes over has the consent of a majority, so in each majority there must be one that has what was
   * acknowledged, however few take the log just now.
   */
  const needed = (): number => {
    if (halted || stopped) return Number.POSITIVE_INFINITY;
    if (replicas === 0) return 0;
    const voters = votersOf(ground);
    const others = [...followers.keys()].filter((host) => !voters.includes(host)).length;
    const least = voters.length < 3 ? 0 : voters.length - votesNeeded(voters.length);
    return Math.max(Math.min(replicas, followers.size), least) + others;
  };

  const stopBatches = appending.batches((batch) => {
    for (const follower of followers.values()) {
      if (batch.generation <= follower.given) continue;
      if (follower.waiting.length >= limits.batchesWaitingMax) drop(follower);
      else follower.waiting.push(batch);
      follower.wake();
    }
  });
  const stopPeers = mesh.onPeer(({ host, state }) => {
    const follower = followers.get(host as Ref<'host'>);
    if (state === 'down' && follower !== undefined) drop(follower);
    else recount();
  });
  const stopWatching = store.watch(() => {
    for (const follower of followers.values()) follower.wake();
  });
  const liveness = livenessOf(ground, onDead);
  recount();

  return {
    needed,
    follow: async (host, from) => {
      const missing = replica.since(from);
      if (missing === undefined) return { copy: true, generation: store.generation };
      const known = followers.get(host);
      if (known !== undefined) drop(known);
      const follower: Follower = {
        ...{ host, position: from, waiting: [missing], wake: () => {}, ended: false },
        ...{ given: missing.generation, settled: missing.acknowledged },
      };
      followers.set(host, follower);
      aside.delete(host);
      push(ground, appending, follower)
        .catch((error: unknown) =>
          log.info({ error: String(error), host }, 'A member no longer takes the log'),
        )
        .finally(() => {
          drop(follower);
          if (!stopped && !followers.has(host) && ground.isUp(host)) onLost?.(host);
        });
      recount();
      return { copy: false, generation: store.generation };
    },
    reachedBy: (host) => followers.get(host)?.position.generation ?? 0,
    setAside: (host) => {
      aside.add(host);
      recount();
    },
    stop: () => {
      if (stopped) return;
      stopped = true;
      stopBatches();
      stopWatching();
      stopPeers();
      liveness.stop();
      for (const follower of [...followers.values()]) drop(follower);
      // What nobody else has by now is not acknowledged by a host that no longer leads.
      appending.end();
    },
  };
};

/** Groups that a member has been handed and has not acknowledged; it writes what comes meanwhile as one. */
const groupsUnderWayMax = 16;

/** Hands a member the log, piece after piece, and notes how far it is. */
const push = async (
  { replica, mesh, limits }: Ground,
  appending: PrimaryAppending,
  follower: Follower,
): Promise<void> => {
  let underWay = 0;
  let failed: { readonly error: unknown } | undefined;
  const hand = async (batch: Batch): Promise<void> => {
    underWay += 1;
    try {
      const answer = await mesh.call(follower.host, 'apply', { batch }, { timeoutMs: limits.applyMsMax });
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
  let telling = false;
  const tell = async (): Promise<void> => {
    telling = true;
    follower.settled = replica.acknowledged;
    const generation = follower.settled;
    try {
      await mesh.call(follower.host, 'settled', { generation }, { timeoutMs: limits.applyMsMax });
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
      continue;
    }
    if (replica.acknowledged > follower.settled && !telling) {
      void tell();
      continue;
    }
    await new Promise<void>((resolve) => {
      follower.wake = resolve;
    });
  }
  if (failed !== undefined) throw failed.error;
};

/** Writes into the rows which hosts live. */
const livenessOf = (ground: Ground, onDead: LeadingOptions['onDead']): { stop(): void } => {
  const { store, clock, log, limits, host: self } = ground;
  let cancel = (): void => {};
  const silentSinceMs = new Map<Ref<'host'>, number>();
  const dead = new Set<Ref<'host'>>();

  const write = (host: Ref<'host'>, live: boolean): void => {
    const { metrics } = store.committed.require('host', host);
    if ((store.latest.get('host_metrics', metrics)?.live ?? live) === live) return;
    store
      .commit((tx) => {
        if (tx.get('host_metrics', metrics) === undefined) return;
        tx.patch('host_metrics', metrics, { live, last_updated: dateTimeOf(clock.now()) });
      })
      .catch((error: unknown) =>
        log.warn({ error: String(error), host, live }, 'Whether a host lives was not noted'),
      );
  };

  const bury = (host: Ref<'host'>): void => {
    dead.add(host);
    onDead?.(host).catch((error: unknown) => {
      log.warn({ error: String(error), host }, 'What a dead host left is not tidied up yet');
      dead.delete(host);
    });
  };

  const look = (): void => {
    const nowMs = clock.monotonicMs();
    for (const host of hostsOf(ground)) {
      if (host === self || ground.isUp(host)) {
        silentSinceMs.delete(host);
        dead.delete(host);
        write(host, true);
        continue;
      }
      const sinceMs = silentSinceMs.get(host) ?? nowMs;
      silentSinceMs.set(host, sinceMs);
      if (nowMs - sinceMs < limits.deadMs) continue;
      // Also one that the coordinator before this one found dead: nobody knows how far it came with that.
      if (!dead.has(host)) bury(host);
      write(host, false);
    }
    cancel = clock.after(lookMs, look);
  };
  look();
  return { stop: () => cancel() };
};

const lookMs = 500;
