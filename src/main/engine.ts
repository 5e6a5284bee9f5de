import type { Host } from '../assembly/parts.ts';
import type { Etcd } from '../drivers/etcd.ts';
import type { EtcdCluster } from '../drivers/etcd-cluster.ts';
import { makeAuthority, signedCertificate } from '../drivers/node/certificate.ts';
import type { Audit } from '../edge/audit.ts';
import type { InitOrder, Ports } from '../engine/changes.ts';
import type { ClusterLog, EngineContext, EngineHost, PoolView } from '../engine/context.ts';
import { type Engine, engineOf } from '../engine/engine.ts';
import { engineLimits } from '../engine/limits.ts';
import { memberProcess } from '../engine/member.ts';
import type { EngineStore, LogEngine, TlsFiles } from '../engine/settings.ts';
import type { EngineStatus } from '../engine/status.ts';
import { endLog, isLogEnded } from '../log/etcd/ending.ts';
import { hostsOf, type PoolContext, peerOf } from '../pool/context.ts';
import { leaveMessage } from '../rules/messages.ts';
import { within } from '../std/clock.ts';
import { asFault, Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { jsonOf } from '../std/reader.ts';
import { machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import { atTheMachine } from './users.ts';

/** What `xenact engine` asks of a host that runs. */
export type EngineCommand =
  | { readonly act: 'status' }
  | ({ readonly act: 'init' } & InitOrder)
  | ({ readonly act: 'join'; readonly host: string } & Ports)
  | { readonly act: 'leave'; readonly host: string }
  | { readonly act: 'use'; readonly engine: LogEngine }
  | { readonly act: 'restore'; readonly force: boolean };

export const enginePath = '/engine';

export interface EngineParts {
  readonly store: EngineStore;
  readonly log: Log;
  readonly host: Host;
  readonly restart: () => void;
}

const answerMs = 300;

export const openEngine = async (
  options: UpOptions,
  { store, log, host, restart }: EngineParts,
): Promise<Engine> => {
  const { context } = host;
  // The answer goes out first.
  const later = (): void => void machine.clock.after(answerMs, restart);
  const base = memberContext(options, store, log);
  const parts: EngineContext = {
    ...base,
    mesh: context.mesh,
    host: context.host,
    process: memberProcess(base),
    pool: poolView(host),
    certify: {
      authority: (name) => makeAuthority({ name, days: certificateDays }),
      sign: (authority, commonName, address) =>
        signedCertificate(authority, { commonName, names: [address], days: certificateDays }),
    },
    connect: lazyCluster,
    clusterLog: clusterLogOf(store, context, later),
    restart: later,
  };
  return engineOf(parts);
};

const memberContext = (options: UpOptions, store: EngineStore, log: Log) => ({
  ...{ ...machine, log, store, limits: engineLimits },
  etcd: options.etcd ?? 'etcd',
});

/** A host that was put out of its pool has no part in its cluster either. */
export const forgetEngine = async (options: UpOptions, store: EngineStore, log: Log): Promise<void> => {
  await memberProcess(memberContext(options, store, log)).stop();
  await store.forget();
  await store.change(() => ({}));
};

const certificateDays = 3_650;

/** The client of etcd is loaded by hosts that use it alone: it would cost every start a tenth of a second. */
const lazyCluster = (endpoints: readonly string[], credentials: TlsFiles): EtcdCluster => {
  const { authority: ca, certificate: cert, key } = credentials;
  const loading = import('../drivers/node/etcd/cluster.ts').then(({ connectEtcdCluster }) =>
    connectEtcdCluster({ endpoints, ...(ca !== '' && { tls: { ca, ...(cert !== '' && { cert, key }) } }) }),
  );
  return {
    members: async () => (await loading).members(),
    addLearner: async (peerUrl) => (await loading).addLearner(peerUrl),
    promote: async (member) => (await loading).promote(member),
    remove: async (member) => (await loading).remove(member),
    alarms: async () => (await loading).alarms(),
    disarm: async (alarm) => (await loading).disarm(alarm),
    status: async (endpoint) => (await loading).status(endpoint),
    defragment: async (endpoint) => (await loading).defragment(endpoint),
    snapshot: async (endpoint, take) => (await loading).snapshot(endpoint, take),
    // Whoever asked has heard why it cannot be loaded.
    close: () =>
      void loading.then(
        (cluster) => cluster.close(),
        () => {},
      ),
  };
};

/** What is under way when a log is to end has this long to be written. */
const pauseMsMax = 5_000;

const clusterLogOf = (
  store: EngineStore,
  { host, replica, clock }: PoolContext,
  restart: () => void,
): ClusterLog => {
  const withEtcd = async <T>(act: (etcd: Etcd, pool: string) => Promise<T>): Promise<T> => {
    const { cluster } = store.current;
    if (cluster === undefined) throw new Fault('INTERNAL_ERROR', ['This host knows of no cluster']);
    const etcd = await connectedEtcd(store);
    return act(etcd, cluster.pool).finally(etcd.close);
  };
  return {
    end: async () => {
      try {
        if (!(await within(clock, pauseMsMax, replica.pause())))
          throw new Fault('INTERNAL_ERROR', ['Changes are under way that take too long: repeat the command']);
        const { generation } = replica.position;
        await withEtcd((etcd, pool) => endLog(etcd, pool, { host, generation }));
      } catch (error) {
        // Commits wait now. A start finds out who leads.
        restart();
        throw error;
      }
    },
    isEnded: () => withEtcd(isLogEnded),
  };
};

/** The client of etcd is loaded by hosts that use it alone. */
const connectedEtcd = async (store: EngineStore): Promise<Etcd> => {
  const { authority: ca, certificate: cert, key } = await store.credentials();
  const { connectEtcd } = await import('../drivers/node/etcd/etcd.ts');
  return connectEtcd({
    endpoints: store.current.cluster?.endpoints ?? [],
    ...(ca !== '' && { tls: { ca, ...(cert !== '' && { cert, key }) } }),
  });
};

const poolView = ({ context, pool, services }: Host): PoolView => {
  const { store } = context;
  const { state } = context;
  return {
    uuid: () => store.latest.only('pool')[1].uuid,
    leads: () => pool.duty.kind === 'leads',
    follows: () => pool.duty.kind === 'follows' && pool.duty.synced,
    lastLeader: () => {
      if (pool.duty.kind === 'follows') return pool.duty.leader;
      return state.current?.role === 'member' ? state.current.coordinator?.host : undefined;
    },
    hosts: () =>
      hostsOf(context).map((ref): EngineHost => {
        const row = store.committed.get('host', ref);
        const address = peerOf(context, ref)?.address ?? row?.address ?? '';
        return { ref, name: row?.name_label ?? '', address };
      }),
    isUp: context.isUp,
    assertLeads: () => {
      if (pool.duty.kind !== 'leads')
        throw new Fault('HOST_IS_SLAVE', [pool.availability().coordinator ?? 'the coordinator of this pool']);
    },
    assertLeader: pool.assertLeader,
    alert: (name, body) => {
      const [, { uuid }] = store.latest.only('pool');
      store
        .commit((tx) => {
          leaveMessage(tx, services, { name, body, priority: alertPriority, cls: 'Pool', obj_uuid: uuid });
        })
        .catch((error: unknown) =>
          services.log.warn({ error: String(error), body }, 'An alert was not kept'),
        );
    },
  };
};

/** The service may stop: the XenAPI's second highest. */
const alertPriority = 2n;

/**
 * What the program that runs answers `xenact engine`: JSON with how the cluster is, or with why nothing was
 * done.
 */
export const engineRequests =
  (engine: Engine, audit: Audit) =>
  async (body: string): Promise<string> => {
    const command = jsonOf(body, 'the command') as EngineCommand;
    const { act, ...args } = command;
    const note = (outcome: string): void => {
      if (act === 'status') return;
      audit.add({ caller: atTheMachine('xenact engine'), from: '', method: `engine.${act}`, args, outcome });
    };
    try {
      // A move starts this host again soon after: the answer must not wait for anything then.
      const before = act === 'use' || act === 'restore' ? await engine.status() : undefined;
      await obeyed(engine, command);
      const status: EngineStatus = before ?? (await engine.status());
      note('success');
      return JSON.stringify({ status });
    } catch (error) {
      const fault = asFault(error);
      note(fault.code);
      return JSON.stringify({ error: sentenceOf(fault) });
    }
  };

const obeyed = async (engine: Engine, command: EngineCommand): Promise<void> => {
  if (command.act === 'init') await engine.init(command);
  if (command.act === 'join') await engine.join(command.host, command);
  if (command.act === 'leave') await engine.leave(command.host);
  if (command.act === 'use') await engine.use(command.engine);
  if (command.act === 'restore') await engine.restore(command.force === true);
};

const sentenceOf = ({ code, params, message }: Fault): string => {
  if (code === 'HOST_IS_SLAVE')
    return `This host is a member of its pool: run it on the coordinator, ${params[0]}`;
  return code === 'OPERATION_NOT_ALLOWED' || code === 'INTERNAL_ERROR' ? (params[0] ?? message) : message;
};
