import { type Etcd, EtcdFailure } from '../../drivers/etcd.ts';
import type { Ref } from '../../model/types.ts';
import type { Clock } from '../../std/clock.ts';
import { Fault } from '../../std/fault.ts';
import type { Log as Journal } from '../../std/log.ts';
import type { Leadership, Log } from '../../store/log.ts';
import type { Replica } from '../../store/replica.ts';
import { appendingOf } from './appending.ts';
import type { EtcdContext } from './context.ts';
import { type Election, type ElectionOptions, electionOf } from './election.ts';
import { layoutOf } from './layout.ts';
import { type EtcdLogLimits, etcdLogLimits } from './limits.ts';
import { pack } from './records.ts';
import { tail } from './tail.ts';

export interface EtcdLogOptions extends ElectionOptions {
  readonly etcd: Etcd;
  /** UUID of the pool. */
  readonly pool: string;
  readonly host: Ref<'host'>;
  /** Of this process. */
  readonly incarnation: string;
  readonly replica: Replica;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly limits?: Partial<EtcdLogLimits>;
  /** Hosts as people know them; absent: by their references. */
  readonly nameOf?: (host: Ref<'host'>) => string;
  /** Told when the rows of this host were found not to be those of its pool. */
  readonly differed?: (generation: number) => void;
}

type NameOf = (host: Ref<'host'>) => string;

/** The log of a pool in a cluster of etcd: what one host acknowledged is lost with no one host. */
export const etcdLog = (options: EtcdLogOptions): Log => {
  const { etcd, replica, clock, journal, host, incarnation, nameOf = String } = options;
  const context: EtcdContext = {
    ...{ etcd, replica, clock, journal },
    layout: layoutOf(options.pool),
    limits: { ...etcdLogLimits, ...options.limits },
    self: { host, incarnation },
    place: { at: undefined },
    differed: options.differed ?? (() => {}),
    checks: { due: false, own: undefined, last: undefined },
  };
  const listeners = new Set<(now: Leadership) => void>();
  let election: Election | undefined;
  let following: Promise<void> = Promise.resolve();
  const life = new AbortController();
  const begin = (): Election => {
    election ??= electionOf(context, options, (now) => {
      for (const told of [...listeners]) told(now);
    });
    return election;
  };
  const unrepeat = repeat(clock, context.limits.hashMs, () => {
    context.checks.due = true;
  });
  return {
    engine: 'etcd',
    ...appendingOf(context, () => election?.tenure),
    follow: async (_leader, _replica, synced, signal) => {
      // One at a time: what the one before took must be on disk before the next looks where the replica is.
      const before = following;
      const done = before.then(() =>
        tail(context, { signal: AbortSignal.any([signal, life.signal]), synced }),
      );
      following = done.catch(() => undefined);
      await done;
    },
    leadership: (told) => {
      listeners.add(told);
      told(begin().now);
      return () => listeners.delete(told);
    },
    heard: async (epoch) => {
      const tenure = election?.tenure;
      if (tenure !== undefined && epoch > tenure.epoch) await tenure.end(`a host obeys epoch ${epoch}`);
    },
    promote: () => promote(context, begin(), nameOf),
    handOver: (to) => handOver(context, election, to),
    status: () => ({ engine: 'etcd', text: statusOf(context, election, nameOf) }),
    close: async () => {
      if (life.signal.aborted) return;
      life.abort();
      unrepeat();
      await election?.stop();
      await following;
      etcd.close();
    },
  };
};

const repeat = (clock: Clock, delayMs: number, run: () => void): (() => void) => {
  let cancel = (): void => {};
  const again = (): void => {
    cancel = clock.after(delayMs, () => {
      run();
      again();
    });
  };
  again();
  return () => cancel();
};

/** Nothing can be missing where a majority of members answers, so there is nothing to insist upon. */
const promote = async ({ self }: EtcdContext, election: Election, nameOf: NameOf): Promise<void> => {
  const { now } = election;
  if (now.kind === 'here') return;
  if (now.kind === 'other') {
    throw new Fault('OPERATION_NOT_ALLOWED', [
      `${nameOf(now.host)} coordinates the pool. To make ${nameOf(self.host)} the coordinator call ` +
        'pool.designate_new_master on it.',
    ]);
  }
  if (now.why !== undefined) throw now.why;
  election.hurry();
};

const handOver = async (
  context: EtcdContext,
  election: Election | undefined,
  to: Ref<'host'>,
): Promise<void> => {
  const { etcd, layout, limits, self } = context;
  const tenure = election?.tenure;
  if (tenure === undefined) throw new Fault('HOST_IS_SLAVE', []);
  if (to === self.host) return;
  const lease = await etcd.leaseGrant(limits.handOverSeconds, { timeoutMs: limits.callMs });
  const put = { key: layout.next, value: pack({ host: to }), lease: lease.id };
  const txn = { compare: [], success: [{ put }], failure: [] };
  await etcd.txn(txn, { timeoutMs: limits.callMs }).catch((error: unknown) => {
    if (!(error instanceof EtcdFailure)) throw error;
    throw new Fault('INTERNAL_ERROR', [`The lead was not handed over: ${error.message}. Try again.`]);
  });
  await tenure.end(`it hands over to ${to}`);
};

const statusOf = (
  { place, checks, etcd }: EtcdContext,
  election: Election | undefined,
  nameOf: NameOf,
): string => {
  const { now } = election ?? { now: { kind: 'none' } as Leadership };
  const who =
    now.kind === 'here'
      ? 'this host leads'
      : now.kind === 'other'
        ? `${nameOf(now.host)} leads`
        : 'nobody leads';
  const where =
    place.at === undefined
      ? 'not in line'
      : `generation ${place.at.generation}, revision ${place.at.revision}`;
  const rows =
    checks.last === undefined
      ? ''
      : `; rows compared at ${checks.last.generation}: ${checks.last.same ? 'the same' : 'different'}`;
  return `etcd at ${etcd.endpoints.join(', ')}: ${who}; ${where}${rows}`;
};
