import type { Host } from '../assembly/parts.ts';
import type { EtcdCluster } from '../drivers/etcd-cluster.ts';
import { makeAuthority, signedCertificate } from '../drivers/node/certificate.ts';
import type { Audit } from '../edge/audit.ts';
import type { InitOrder, Ports } from '../engine/changes.ts';
import { type Engine, engineOf } from '../engine/engine.ts';
import type { EngineGround, PoolHost, PoolView } from '../engine/ground.ts';
import { engineLimits } from '../engine/limits.ts';
import { memberProcess } from '../engine/member.ts';
import { type Credentials, type EngineStore, openEngineStore } from '../engine/settings.ts';
import type { EngineStatus } from '../engine/status.ts';
import { hostsOf, peerOf } from '../pool/ground.ts';
import { leaveMessage } from '../rules/messages.ts';
import { asFault, Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import { atTheMachine } from './users.ts';

/** What `xenact engine` asks of a host that runs. */
export type EngineCommand =
  | { readonly act: 'status' }
  | ({ readonly act: 'init' } & InitOrder)
  | ({ readonly act: 'join'; readonly host: string } & Ports)
  | { readonly act: 'leave'; readonly host: string };

export const enginePath = '/engine';

export const openEngine = async (
  options: UpOptions,
  { folder, log, host }: { readonly folder: string; readonly log: Log; readonly host: Host },
): Promise<Engine> => {
  const { ground } = host;
  const store: EngineStore = await openEngineStore(machine.disk, folder);
  const base = { ...machine, log, store, etcd: options.etcd ?? 'etcd', limits: engineLimits };
  const parts: EngineGround = {
    ...base,
    mesh: ground.mesh,
    host: ground.host,
    process: memberProcess(base),
    pool: poolView(host),
    certify: {
      authority: (name) => makeAuthority({ name, days: certificateDays }),
      sign: (authority, commonName, address) =>
        signedCertificate(authority, { commonName, names: [address], days: certificateDays }),
    },
    connect: lazyCluster,
  };
  return engineOf(parts);
};

const certificateDays = 3_650;

/** The client of etcd is loaded by hosts that use it alone: it would cost every start a tenth of a second. */
const lazyCluster = (endpoints: readonly string[], credentials: Credentials): EtcdCluster => {
  const { authority: ca, certificate: cert, key } = credentials;
  const loading = import('../drivers/node/etcd/cluster.ts').then(({ connectEtcdCluster }) =>
    connectEtcdCluster({ endpoints, tls: { ca, cert, key } }),
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
    close: () => void loading.then((cluster) => cluster.close()),
  };
};

const poolView = ({ ground, pool, services }: Host): PoolView => {
  const { store } = ground;
  return {
    hosts: () =>
      hostsOf(ground).map((ref): PoolHost => {
        const row = store.committed.get('host', ref);
        const address = peerOf(ground, ref)?.address ?? row?.address ?? '';
        return { ref, name: row?.name_label ?? '', address };
      }),
    isUp: ground.isUp,
    assertLeads: () => {
      if (pool.role.kind !== 'leads')
        throw new Fault('HOST_IS_SLAVE', [pool.standing().coordinator ?? 'the coordinator of this pool']);
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
    const command = JSON.parse(body) as EngineCommand;
    const { act, ...args } = command;
    const note = (outcome: string): void => {
      if (act === 'status') return;
      audit.add({ caller: atTheMachine('xenact engine'), from: '', method: `engine.${act}`, args, outcome });
    };
    try {
      await obeyed(engine, command);
      const status: EngineStatus = await engine.status();
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
};

const sentenceOf = ({ code, params, message }: Fault): string => {
  if (code === 'HOST_IS_SLAVE')
    return `This host is a member of its pool: run it on the coordinator, ${params[0]}`;
  return code === 'OPERATION_NOT_ALLOWED' || code === 'INTERNAL_ERROR' ? (params[0] ?? message) : message;
};
