import {
  type Etcd,
  type EtcdCallOptions,
  EtcdFailure,
  type Header,
  OutcomeUnknown,
  type TxnAnswer,
  type Watching,
} from '../../drivers/etcd.ts';
import type { Clock } from '../../std/clock.ts';
import type { Life } from '../life.ts';
import type { SeededRandom } from '../random.ts';
import { type History, historyOf } from './history.ts';
import { type EtcdFeed, feedWatch } from './watching.ts';

/** A cluster of etcd as one value, with the troubles that a real one has. */
export interface MemoryEtcd {
  readonly clusterId: bigint;
  readonly revision: number;
  /** A client, as one process has it; it ends with the process. */
  client(life: Life): Etcd;
  /** Without a quorum nothing is answered; what was asked may be done once there is one again. */
  setQuorum(has: boolean): void;
  /** The cluster and that process do not hear each other. */
  cut(name: string, isCut: boolean): void;
  /** Watches that the process has now say nothing any more, and do not end. */
  silence(name: string): void;
  /** Every watch of the process ends. */
  breakWatches(name: string): void;
  /** Of the answers to changes, how many are lost, from 0 to 1. */
  loseAnswers(part: number): void;
  /** Nothing is answered before so long. */
  stall(forMs: number): void;
  /** Every lease is gone at once, as if nobody had kept it. */
  expireLeases(): void;
  /** Drops history up to now. */
  compact(): void;
  /** Loses the events of one revision on the way to watchers. */
  dropNext(): void;
  /** For tests that play somebody else. */
  readonly history: History;
}

export interface MemoryEtcdOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly clusterId?: bigint;
  readonly operationsMax?: number;
  /** One way of a call. */
  readonly travelMs?: readonly [least: number, most: number];
}

interface Cluster extends MemoryEtcdOptions {
  readonly history: History;
  readonly leases: Map<bigint, { ttlSeconds: number; cancel: () => void }>;
  /** What was asked while there was no quorum. */
  readonly held: (() => void)[];
  readonly cuts: Set<string>;
  readonly feeds: Map<string, Set<EtcdFeed>>;
  readonly dropped: Set<number>;
  hasQuorum: boolean;
  lost: number;
  stalledUntilMs: number;
  leasesGiven: bigint;
}

const membersId = 7n;

export const memoryEtcd = (options: MemoryEtcdOptions): MemoryEtcd => {
  const history = historyOf(options.operationsMax ?? 16_384);
  const cluster: Cluster = {
    ...options,
    history,
    ...{ leases: new Map(), held: [], cuts: new Set(), feeds: new Map(), dropped: new Set() },
    ...{ hasQuorum: true, lost: 0, stalledUntilMs: 0, leasesGiven: 0n },
  };
  const clusterId = options.clusterId ?? 1n;
  const feedsOf = (name: string): readonly EtcdFeed[] => [...(cluster.feeds.get(name) ?? [])];
  return {
    clusterId,
    history,
    get revision() {
      return history.revision;
    },
    client: (life) => clientOf(cluster, clusterId, life),
    setQuorum: (has) => setQuorum(cluster, has),
    cut: (name, isCut) => {
      if (isCut) cluster.cuts.add(name);
      else cluster.cuts.delete(name);
      for (const feed of feedsOf(name)) feed.wake();
    },
    silence: (name) => {
      for (const feed of feedsOf(name)) feed.silent = true;
    },
    breakWatches: (name) => {
      for (const feed of feedsOf(name)) feed.fail(new EtcdFailure('unavailable', 'The watch ended'));
    },
    loseAnswers: (part) => {
      cluster.lost = part;
    },
    stall: (forMs) => {
      cluster.stalledUntilMs = cluster.clock.monotonicMs() + forMs;
    },
    expireLeases: () => {
      for (const id of [...cluster.leases.keys()]) endLease(cluster, id);
    },
    compact: () => history.compact(history.revision),
    dropNext: () => void cluster.dropped.add(history.revision + 1),
  };
};

const wakeAll = ({ feeds }: Cluster): void => {
  for (const of of feeds.values()) for (const feed of of) feed.wake();
};

/** A new leader of the members gives every lease its whole time again. */
const setQuorum = (cluster: Cluster, has: boolean): void => {
  if (cluster.hasQuorum === has) return;
  cluster.hasQuorum = has;
  for (const [id, lease] of cluster.leases) {
    lease.cancel();
    if (has) lease.cancel = expiry(cluster, id, lease.ttlSeconds);
  }
  if (!has) return;
  for (const run of cluster.held.splice(0)) if (cluster.random.chance(0.5)) run();
  wakeAll(cluster);
};

const expiry = (cluster: Cluster, id: bigint, ttlSeconds: number): (() => void) =>
  cluster.clock.after(ttlSeconds * 1_000, () => endLease(cluster, id));

const endLease = (cluster: Cluster, id: bigint): void => {
  cluster.leases.get(id)?.cancel();
  cluster.leases.delete(id);
  cluster.history.expire(id);
  wakeAll(cluster);
};

const travel = ({ random, travelMs: [least, most] = [0, 1] }: Cluster): number =>
  least + random.fraction() * (most - least);

interface Asked {
  readonly changes: boolean;
  readonly life: Life;
  readonly options: EtcdCallOptions | undefined;
}

const callMs = 2_000;

/** A call: it travels, is done, and its answer travels back, unless one of that does not happen in time. */
const ask = <T>(cluster: Cluster, { changes, life, options }: Asked, run: () => T): Promise<T> =>
  new Promise((resolve, reject) => {
    const { clock, cuts, random } = cluster;
    const silence = (): EtcdFailure =>
      changes
        ? new OutcomeUnknown('The cluster did not answer in time')
        : new EtcdFailure('unavailable', 'The cluster did not answer in time');
    const signal = options?.signal;
    if (signal?.aborted) return reject(new EtcdFailure('closed', 'The call was given up'));
    const giveUp = (): void => {
      end();
      reject(silence());
    };
    const cancel = life.after(options?.timeoutMs ?? callMs, giveUp);
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', giveUp);
    };
    signal?.addEventListener('abort', giveUp, { once: true });
    const answer = (): void => {
      let value: T | undefined;
      let failure: unknown;
      try {
        value = run();
        wakeAll(cluster);
      } catch (error) {
        failure = error;
      }
      clock.after(travel(cluster), () => {
        if (cuts.has(life.name) || (changes && random.chance(cluster.lost))) return;
        life.after(0, () => {
          end();
          if (failure === undefined) resolve(value as T);
          else reject(failure);
        });
      });
    };
    clock.after(travel(cluster) + Math.max(0, cluster.stalledUntilMs - clock.monotonicMs()), () => {
      if (cuts.has(life.name)) return;
      if (cluster.hasQuorum) answer();
      else if (changes) cluster.held.push(answer);
    });
  });

const clientOf = (cluster: Cluster, clusterId: bigint, life: Life): Etcd => {
  const { history } = cluster;
  const head = (): Header => ({ clusterId, memberId: membersId, revision: history.revision, raftTerm: 1 });
  const read = <T>(options: EtcdCallOptions | undefined, run: () => T) =>
    ask(cluster, { changes: false, life, options }, run);
  const change = <T>(options: EtcdCallOptions | undefined, run: () => T) =>
    ask(cluster, { changes: true, life, options }, run);
  const feeds = cluster.feeds.get(life.name) ?? new Set<EtcdFeed>();
  cluster.feeds.set(life.name, feeds);
  return {
    endpoints: ['memory:1'],
    range: (request, options) => read(options, () => ({ header: head(), ...history.range(request) })),
    txn: (txn, options) =>
      change(options, (): TxnAnswer => {
        checkLeases(cluster, txn.success);
        const done = history.txn(txn);
        return { header: head(), ...done };
      }),
    watch: (request, events): Watching => {
      const feed = feedWatch({ history, life, request, events, ...seenBy(cluster, life, head) });
      feeds.add(feed);
      life.onEnd(() => feed.close());
      return {
        askProgress: () => {},
        close: () => {
          feeds.delete(feed);
          feed.close();
        },
      };
    },
    leaseGrant: (ttlSeconds, options) =>
      change(options, () => {
        cluster.leasesGiven += 1n;
        const id = cluster.leasesGiven;
        cluster.leases.set(id, { ttlSeconds, cancel: expiry(cluster, id, ttlSeconds) });
        return { id, ttlSeconds };
      }),
    leaseKeepAlive: (id, options) =>
      read(options, () => {
        const lease = cluster.leases.get(id);
        if (lease === undefined) return 0;
        lease.cancel();
        lease.cancel = expiry(cluster, id, lease.ttlSeconds);
        return lease.ttlSeconds;
      }),
    leaseRevoke: (id, options) => change(options, () => endLease(cluster, id)),
    compact: (revision, options) => change(options, () => history.compact(revision)),
    status: (_endpoint, options) =>
      read(options, () => ({
        ...{ header: head(), version: '3.5.21', dbSizeBytes: 0, dbInUseBytes: 0, leader: membersId },
        ...{ raftIndex: history.revision, errors: [], learner: false },
      })),
    close: () => {
      for (const feed of feeds) feed.close();
      feeds.clear();
    },
  };
};

const checkLeases = ({ leases }: Cluster, success: Parameters<History['txn']>[0]['success']): void => {
  for (const one of success) {
    const lease = 'put' in one ? (one.put.lease ?? 0n) : 0n;
    if (lease !== 0n && !leases.has(lease)) {
      throw new EtcdFailure('lease-gone', 'requested lease not found');
    }
  }
};

const seenBy = (cluster: Cluster, life: Life, head: () => Header) => ({
  head,
  travelMs: () => travel(cluster),
  reachable: () => cluster.hasQuorum && !cluster.cuts.has(life.name),
  isDropped: (revision: number) => cluster.dropped.has(revision),
});
