import { EtcdFailure, type KeyValue } from '../../drivers/etcd.ts';
import { Fault } from '../../std/fault.ts';
import type { Leadership } from '../../store/log.ts';
import { begin } from './beginning.ts';
import type { EtcdContext } from './context.ts';
import { formatNumber, type LogFormat, unpackCoordinator, unpackFormat, unpackNext } from './records.ts';
import { tail } from './tail.ts';
import { stand, type Tenure, wait } from './tenure.ts';
import { tryCluster } from './trial.ts';

export interface ElectionOptions {
  /** This host may put what it has into the cluster where the log of its pool has not begun. */
  readonly mayBegin: () => boolean;
  /** The highest epoch that this host knows of. */
  readonly epoch: () => number;
  /** A host that is leaving its pool does not lead it. */
  readonly mayLead: () => boolean;
  /** Resolves once it is noted in which cluster the pool's log is, or is to begin. */
  readonly onCluster: (clusterId: bigint, hasLog: boolean) => Promise<void>;
  /** Why the cluster must not be used by this pool; undefined: it may. */
  readonly refused?: (clusterId: bigint) => Promise<string | undefined>;
}

/** Looks who leads, and stands where nobody does, until it is stopped. */
export interface Election {
  readonly now: Leadership;
  readonly tenure: Tenure | undefined;
  /** Stands at once where nobody leads, whoever was to be next. */
  hurry(): void;
  stop(): Promise<void>;
}

const waitsFor = (text: string): Fault => new Fault('INTERNAL_ERROR', [text]);

export const electionOf = (
  context: EtcdContext,
  options: ElectionOptions,
  told: (now: Leadership) => void,
): Election => {
  const { journal, clock, limits } = context;
  const life = new AbortController();
  const state: State = {
    now: { kind: 'none' },
    tenure: undefined,
    hurried: false,
    wake: () => {},
    examined: false,
    format: undefined,
  };
  const tell = (now: Leadership): void => {
    if (isSame(state.now, now)) return;
    state.now = now;
    told(now);
  };
  const run = async (): Promise<void> => {
    while (!life.signal.aborted) {
      try {
        await round({ context, options, state, tell, signal: life.signal });
      } catch (error) {
        if (life.signal.aborted) break;
        const text = error instanceof Error ? error.message : String(error);
        journal.warn({ host: context.self.host, error: text }, 'This host cannot see who leads its pool');
        tell({ kind: 'none', why: error instanceof Fault ? error : waitsFor(advice(text)) });
        await wait(clock, limits.retryMs * 5, life.signal);
      }
    }
  };
  const running = run();
  return {
    get now() {
      return state.now;
    },
    get tenure() {
      return state.tenure;
    },
    hurry: () => {
      state.hurried = true;
      state.wake();
    },
    stop: async () => {
      life.abort();
      state.wake();
      await state.tenure?.end('it stops');
      await running;
    },
  };
};

const noLogAnyMore =
  'The etcd cluster has no log of this pool any more: it moved to another engine, or was lost and must be ' +
  'restored';

const advice = (text: string): string =>
  `The pool's log cannot be reached (${text}). It goes on by itself once a majority of the etcd members ` +
  `can be reached.`;

interface State {
  now: Leadership;
  tenure: Tenure | undefined;
  hurried: boolean;
  wake: () => void;
  examined: boolean;
  /** What the log says of itself; undefined: it has not begun. */
  format: LogFormat | undefined;
}

interface Round {
  readonly context: EtcdContext;
  readonly options: ElectionOptions;
  readonly state: State;
  readonly tell: (now: Leadership) => void;
  readonly signal: AbortSignal;
}

const isSame = (a: Leadership, b: Leadership): boolean =>
  a.kind === b.kind && JSON.stringify(a) === JSON.stringify(b);

const round = async (one: Round): Promise<void> => {
  const { context, options, state, tell, signal } = one;
  if (state.format === undefined) await examine(one);
  const { coordinator, next, hasLog } = await look(context);
  // The log was ended, or is lost: a key that says who leads it means nothing.
  if (state.format !== undefined && !hasLog) throw waitsFor(noLogAnyMore);
  if (coordinator !== undefined) {
    const { host, incarnation } = unpackCoordinator(coordinator.value);
    if (host === context.self.host) return dismiss(context, coordinator, incarnation);
    state.hurried = false;
    // A leader that is only beginning the log cannot be followed yet.
    if (state.format === undefined) return wait(context.clock, context.limits.pollMs, signal);
    tell({ kind: 'other', host, epoch: state.format.epochBase + coordinator.createRevision });
    await gone(one, coordinator);
    if (!signal.aborted) tell({ kind: 'none' });
    return;
  }
  tell({ kind: 'none' });
  const other = next !== undefined && next !== context.self.host && !state.hurried;
  if (other || !options.mayLead()) return wait(context.clock, context.limits.retryMs, signal);
  await lead(one);
};

/** Before anything is believed: the cluster does as it is told, takes enough at once, and is this pool's. */
const examine = async ({ context, options, state }: Round): Promise<void> => {
  const { etcd, layout, limits } = context;
  const { header, kvs } = await etcd.range({ key: layout.format }, { timeoutMs: limits.callMs });
  const refused = await options.refused?.(header.clusterId);
  if (refused !== undefined) throw waitsFor(refused);
  if (!state.examined) await tryCluster(etcd, layout, limits.callMs * 10);
  const [kv] = kvs;
  const format: LogFormat | undefined = kv && unpackFormat(kv.value);
  if (format === undefined && !options.mayBegin()) {
    throw waitsFor(
      'The etcd cluster has no log of this pool: give the endpoints of the one that has, or let the ' +
        'host that last led the pool begin it there',
    );
  }
  if (format !== undefined && format.format > formatNumber) {
    throw waitsFor(`The log of the pool has format ${format.format}: start the newer xenact that wrote it`);
  }
  if (format !== undefined && format.clusterId !== header.clusterId.toString(16)) {
    throw waitsFor('The log of the pool is a copy of one in another etcd cluster, and is not used as it is');
  }
  await options.onCluster(header.clusterId, format !== undefined);
  state.examined = true;
  state.format = format;
};

const look = async ({ etcd, layout, limits }: EtcdContext) => {
  const { answers } = await etcd.txn(
    {
      compare: [],
      success: [layout.coordinator, layout.next, layout.newest].map((key) => ({ range: { key } })),
      failure: [],
    },
    { timeoutMs: limits.callMs },
  );
  const [coordinator, next, newest] = answers.map((answer) =>
    'range' in answer ? answer.range.kvs[0] : undefined,
  );
  return { coordinator, next: next && unpackNext(next.value), hasLog: newest !== undefined };
};

/** What an earlier start of this host holds, or this one lost: it is given up rather than waited for. */
const dismiss = async (context: EtcdContext, { lease }: KeyValue, incarnation: string): Promise<void> => {
  const { etcd, limits, journal, self } = context;
  if (incarnation !== self.incarnation)
    journal.info({ host: self.host }, 'What this host led with before is ended');
  await etcd.leaseRevoke(lease, { timeoutMs: limits.callMs }).catch((error: unknown) => {
    if (!(error instanceof EtcdFailure) || error.reason !== 'lease-gone') throw error;
  });
};

/** Resolves once the leader's key is not there any more, or is another's. */
const gone = async (
  { context, signal, state }: Round,
  { createRevision, modRevision }: KeyValue,
): Promise<void> => {
  const { etcd, layout, clock, limits } = context;
  const ended = new AbortController();
  state.wake = () => ended.abort();
  const key = layout.coordinator;
  const watching = etcd.watch(
    { key, fromRevision: modRevision + 1 },
    { revision: () => ended.abort(), failed: () => {} },
  );
  const abort = (): void => ended.abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    for (;;) {
      await wait(clock, limits.pollMs, ended.signal);
      if (ended.signal.aborted || signal.aborted) return;
      // The watch may be silent; that nobody answers does not say that nobody leads.
      const { kvs } = await etcd.range({ key }, { timeoutMs: limits.callMs });
      if (kvs[0]?.createRevision !== createRevision) return;
    }
  } finally {
    watching.close();
    signal.removeEventListener('abort', abort);
    state.wake = () => {};
  }
};

/** Stands; when it won, brings the replica in line and says so; resolves when its time is over. */
const lead = async (one: Round): Promise<void> => {
  const { context, state, tell, options, signal } = one;
  const { replica, journal, self } = context;
  const epochBase = state.format?.epochBase ?? options.epoch();
  const won = await stand(context, epochBase);
  if (won === undefined) return;
  const { tenure, newest } = won;
  // `stop` was called while there was no tenure yet that it could have ended.
  if (signal.aborted) return tenure.end('it stops');
  state.tenure = tenure;
  state.hurried = false;
  const end = (why: string): Promise<void> => {
    state.tenure = undefined;
    return tenure.end(why);
  };
  try {
    if (newest === undefined) {
      if (state.format !== undefined) throw waitsFor(noLogAnyMore);
      await begin(context, tenure, { epochBase, clusterId: await clusterOf(context) });
    } else if (state.format === undefined) return await end('the log began meanwhile');
    else {
      await replica.receive();
      await tail(context, { signal: tenure.over, until: newest.value.generation });
    }
    tenure.assert();
    if (replica.position.generation !== tenure.newest.generation) {
      throw waitsFor(
        `This host has the log up to ${replica.position.generation}, and it goes up to ` +
          `${tenure.newest.generation}`,
      );
    }
    journal.info({ host: self.host, epoch: tenure.epoch }, 'This host may lead its pool');
    tell({ kind: 'here', epoch: tenure.epoch });
    await new Promise<void>((resolve) => {
      if (tenure.over.aborted) resolve();
      else tenure.over.addEventListener('abort', () => resolve(), { once: true });
    });
  } catch (error) {
    await end(error instanceof Error ? error.message : String(error));
    throw error;
  } finally {
    state.tenure = undefined;
    tell({ kind: 'none' });
  }
};

const clusterOf = async ({ etcd, layout, limits }: EtcdContext): Promise<string> => {
  const { header } = await etcd.range({ key: layout.format }, { timeoutMs: limits.callMs });
  return header.clusterId.toString(16);
};
