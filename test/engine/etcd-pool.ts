import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { makeAuthority, signedCertificate } from '../../src/drivers/node/certificate.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { connectEtcdCluster } from '../../src/drivers/node/etcd/cluster.ts';
import { connectEtcd } from '../../src/drivers/node/etcd/etcd.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { type Engine, engineOf } from '../../src/engine/engine.ts';
import type { EngineGround, EngineLimits, PoolHost } from '../../src/engine/ground.ts';
import { engineLimits } from '../../src/engine/limits.ts';
import { memberProcess } from '../../src/engine/member.ts';
import { engineFiles, openEngineStore } from '../../src/engine/settings.ts';
import type { Ref } from '../../src/model/types.ts';
import { Fault } from '../../src/std/fault.ts';
import { silentLog } from '../../src/std/log.ts';

// Hosts of a pool in one process, with a real etcd each and calls between them that need no network.

export interface TestHost extends PoolHost {
  readonly folder: string;
  readonly ground: EngineGround;
  readonly engine: Engine;
  /** The pid of its etcd. */
  pid(): Promise<number>;
  kill(): Promise<void>;
  /** The program ends; its etcd goes on. */
  stop(): Promise<void>;
  /** The program starts again. */
  start(): Promise<void>;
}

export interface TestPool {
  readonly hosts: readonly TestHost[];
  readonly ports: { readonly clientPort: number; readonly peerPort: number };
  readonly alerts: string[];
  /** The first host coordinates. */
  readonly coordinator: TestHost;
  /** A host that is away answers no calls. */
  readonly away: Set<Ref<'host'>>;
}

const quick: EngineLimits = {
  ...engineLimits,
  ballastBytes: 1 << 20,
  lookMs: 100,
  againMs: 100,
  againMsMax: 500,
  tendMs: 300,
  pollMs: 100,
  formMsMax: 40_000,
};

const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '0.0.0.0');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
};

type Serving = Map<string, (payload: unknown, context: { from: string }) => unknown>;

/** Hosts on 127.0.0.1, .2 and so on. `folders`: where the data of some of them goes. */
export const etcdPool = async (
  count: number,
  more: { readonly limits?: Partial<EngineLimits>; readonly folders?: readonly (string | undefined)[] } = {},
): Promise<TestPool> => {
  const parent = mkdtempSync(join(tmpdir(), 'xenact-engine-'));
  const [clientPort = 0, peerPort = 0] = await freePorts(2);
  const served = new Map<string, Serving>();
  const alerts: string[] = [];
  const away = new Set<Ref<'host'>>();
  const listed: PoolHost[] = Array.from({ length: count }, (_, index) => ({
    ref: `OpaqueRef:${nodeRandom.uuid()}` as Ref<'host'>,
    name: `host-${index + 1}`,
    address: `127.0.0.${index + 1}`,
  }));
  const first = listed[0] as PoolHost;
  const hosts: TestHost[] = [];
  onTestFinished(async () => {
    for (const host of hosts) {
      await host.stop();
      await host.ground.process.stop();
    }
    rmSync(parent, { recursive: true, force: true });
  });
  for (const [index, host] of listed.entries()) {
    const folder = join(more.folders?.[index] ?? join(parent, host.name), 'engine');
    const serving: Serving = new Map();
    served.set(host.ref, serving);
    const mesh: EngineGround['mesh'] = {
      call: async (to, name, payload) => {
        if (away.has(to as Ref<'host'>) || away.has(host.ref)) throw new Error(`${to} cannot be reached`);
        return served.get(to)?.get(name)?.(structuredClone(payload), { from: host.ref });
      },
      serve: (name, handle) => {
        serving.set(name, handle as never);
        return () => serving.delete(name);
      },
    };
    const begin = async (): Promise<{ readonly ground: EngineGround; readonly engine: Engine }> => {
      const ground = await groundOf(host, folder, mesh, {
        limits: { ...quick, ...more.limits },
        pool: {
          hosts: () => listed,
          isUp: (ref) => !away.has(ref),
          assertLeads: () => {
            if (host.ref !== first.ref) throw new Fault('HOST_IS_SLAVE', [first.address]);
          },
          assertLeader: (from) => {
            if (from !== first.ref) throw new Fault('INTERNAL_ERROR', ['This host follows somebody else']);
          },
          alert: (_, body) => void alerts.push(body),
        },
      });
      return { ground, engine: engineOf(ground) };
    };
    let now = await begin();
    const pid = async (): Promise<number> => Number(await nodeDisk.readText(engineFiles(folder).pid, 64));
    hosts.push({
      ...{ ...host, folder, pid },
      get ground() {
        return now.ground;
      },
      get engine() {
        return now.engine;
      },
      kill: async () => nodeProcesses.signal(await pid(), 'SIGKILL'),
      stop: () => now.engine.close(),
      start: async () => {
        now = await begin();
      },
    });
  }
  return { hosts, ports: { clientPort, peerPort }, alerts, away, coordinator: hosts[0] as TestHost };
};

const groundOf = async (
  host: PoolHost,
  folder: string,
  mesh: EngineGround['mesh'],
  given: Pick<EngineGround, 'pool' | 'limits'>,
): Promise<EngineGround> => {
  const machine = { disk: nodeDisk, processes: nodeProcesses, clock: nodeClock, log: silentLog };
  await nodeDisk.makeFolder(join(folder, '..'), 0o700);
  const store = await openEngineStore(nodeDisk, folder);
  const base = { ...machine, store, etcd: 'etcd', limits: given.limits };
  return {
    ...base,
    ...given,
    random: nodeRandom,
    mesh,
    host: host.ref,
    process: memberProcess(base),
    certify: {
      authority: (name) => makeAuthority({ name, days: 3 }),
      sign: (authority, commonName, address) =>
        signedCertificate(authority, { commonName, names: [address], days: 3 }),
    },
    connect: (endpoints, { authority, certificate, key }) =>
      connectEtcdCluster({ endpoints, tls: { ca: authority, cert: certificate, key } }),
  };
};

/** A client of the cluster as a host has it, that ends with the test. */
export const clientOf = async ({ ground }: TestHost) => {
  const { authority, certificate, key } = await ground.store.credentials();
  const endpoints = ground.store.current.cluster?.endpoints ?? [];
  const etcd = connectEtcd({ endpoints, tls: { ca: authority, cert: certificate, key } });
  onTestFinished(() => etcd.close());
  return etcd;
};
