import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Disk } from '../../src/drivers/disk.ts';
import { makeAuthority, signedCertificate } from '../../src/drivers/node/certificate.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { connectEtcdCluster } from '../../src/drivers/node/etcd/cluster.ts';
import { connectEtcd } from '../../src/drivers/node/etcd/etcd.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import type { EngineContext, EngineHost, EngineLimits } from '../../src/engine/context.ts';
import { type Engine, engineOf } from '../../src/engine/engine.ts';
import { engineLimits } from '../../src/engine/limits.ts';
import { memberProcess } from '../../src/engine/member.ts';
import { engineFiles, openEngineStore } from '../../src/engine/settings.ts';
import type { Ref } from '../../src/model/types.ts';
import { Fault } from '../../src/std/fault.ts';
import { silentLog } from '../../src/std/log.ts';
import { freePorts } from '../free-ports.ts';

// Hosts of a pool in one process, with a real etcd each and calls between them that need no network.

export interface TestHost extends EngineHost {
  readonly folder: string;
  readonly context: EngineContext;
  readonly engine: Engine;
  /** The pid of its etcd. */
  pid(): Promise<number>;
  kill(): Promise<void>;
  /** The program ends; its etcd goes on. */
  stop(): Promise<void>;
  /** The program starts again. */
  start(): Promise<void>;
  /** The program is as good as killed once it has written its settings so often. */
  dieAfter(saves: number): void;
}

export interface TestPool {
  readonly hosts: readonly TestHost[];
  readonly ports: { readonly clientPort: number; readonly peerPort: number };
  readonly alerts: string[];
  /** The first host coordinates. */
  readonly coordinator: TestHost;
  /** A host that is away answers no calls. */
  readonly away: Set<Ref<'host'>>;
  /** Every call between hosts waits for this first. */
  beforeCalls: (name: string) => Promise<void>;
  /** The log in the cluster, where nobody keeps one. */
  readonly clusterLog: { ended: boolean };
}

const quick: EngineLimits = {
  ...engineLimits,
  ballastBytes: 1 << 20,
  lookMs: 100,
  againMs: 100,
  againMsMax: 500,
  tendMs: 300,
  moveMs: 50,
  pollMs: 100,
  formMsMax: 40_000,
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
  const listed: EngineHost[] = Array.from({ length: count }, (_, index) => ({
    ref: `OpaqueRef:${nodeRandom.uuid()}` as Ref<'host'>,
    name: `host-${index + 1}`,
    address: `127.0.0.${index + 1}`,
  }));
  const first = listed[0] as EngineHost;
  const hosts: TestHost[] = [];
  const clusterLog = { ended: true };
  const calls = { before: async (_: string): Promise<void> => {} };
  const engineOfHost = (ref: Ref<'host'>): string | undefined =>
    hosts.find((one) => one.ref === ref)?.context.store.current.use;
  onTestFinished(async () => {
    for (const host of hosts) {
      await host.stop();
      await host.context.process.stop();
    }
    rmSync(parent, { recursive: true, force: true });
  });
  for (const [index, host] of listed.entries()) {
    const folder = join(more.folders?.[index] ?? join(parent, host.name), 'engine');
    const serving: Serving = new Map();
    served.set(host.ref, serving);
    const mesh: EngineContext['mesh'] = {
      call: async (to, name, payload) => {
        await calls.before(name);
        if (away.has(to as Ref<'host'>) || away.has(host.ref)) throw new Error(`${to} cannot be reached`);
        return served.get(to)?.get(name)?.(structuredClone(payload), { from: host.ref });
      },
      serve: (name, handle) => {
        serving.set(name, handle as never);
        return () => serving.delete(name);
      },
    };
    let savesLeft = Number.POSITIVE_INFINITY;
    const disk: Disk = {
      ...nodeDisk,
      replaceText: (path, ...rest) => {
        if (path !== engineFiles(folder).settings) return nodeDisk.replaceText(path, ...rest);
        if (savesLeft === 0) return Promise.reject(new Error('The program was killed'));
        savesLeft -= 1;
        return nodeDisk.replaceText(path, ...rest);
      },
    };
    const begin = async (): Promise<{ readonly context: EngineContext; readonly engine: Engine }> => {
      const context = await contextOf(host, folder, disk, {
        mesh,
        restart: () => void (savesLeft > 0 && again()),
        clusterLog: {
          end: async () => {
            clusterLog.ended = true;
          },
          isEnded: async () => clusterLog.ended,
        },
        limits: { ...quick, ...more.limits },
        pool: {
          uuid: () => 'pool-of-tests',
          hosts: () => listed,
          isUp: (ref) => !away.has(ref),
          leads: () => host.ref === first.ref,
          follows: () =>
            host.ref !== first.ref &&
            !away.has(first.ref) &&
            engineOfHost(host.ref) === engineOfHost(first.ref),
          lastLeader: () => (host.ref === first.ref ? undefined : first.ref),
          assertLeads: () => {
            if (host.ref !== first.ref) throw new Fault('HOST_IS_SLAVE', [first.address]);
          },
          assertLeader: (from) => {
            if (from !== first.ref) throw new Fault('INTERNAL_ERROR', ['This host follows somebody else']);
          },
          alert: (_, body) => void alerts.push(body),
        },
      });
      const engine = engineOf(context);
      engine.begin();
      return { context, engine };
    };
    let now = await begin();
    const start = async (): Promise<void> => {
      savesLeft = Number.POSITIVE_INFINITY;
      now = await begin();
    };
    const again = async (): Promise<void> => {
      await now.engine.close();
      await start();
    };
    const pid = async (): Promise<number> => Number(await nodeDisk.readText(engineFiles(folder).pid, 64));
    hosts.push({
      ...{ ...host, folder, pid },
      get context() {
        return now.context;
      },
      get engine() {
        return now.engine;
      },
      kill: async () => nodeProcesses.signal(await pid(), 'SIGKILL'),
      stop: () => now.engine.close(),
      start,
      dieAfter: (saves) => {
        savesLeft = saves;
      },
    });
  }
  return {
    hosts,
    ports: { clientPort, peerPort },
    alerts,
    away,
    clusterLog,
    coordinator: hosts[0] as TestHost,
    set beforeCalls(before: (name: string) => Promise<void>) {
      calls.before = before;
    },
  };
};

const contextOf = async (
  host: EngineHost,
  folder: string,
  disk: Disk,
  given: Pick<EngineContext, 'mesh' | 'pool' | 'limits' | 'restart' | 'clusterLog'>,
): Promise<EngineContext> => {
  const machine = { disk, processes: nodeProcesses, clock: nodeClock, log: silentLog };
  await disk.makeFolder(join(folder, '..'), 0o700);
  const store = await openEngineStore(disk, folder);
  const base = { ...machine, store, etcd: 'etcd', limits: given.limits };
  return {
    ...base,
    ...given,
    random: nodeRandom,
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
export const clientOf = async ({ context }: TestHost) => {
  const { authority, certificate, key } = await context.store.credentials();
  const endpoints = context.store.current.cluster?.endpoints ?? [];
  const etcd = connectEtcd({ endpoints, tls: { ca: authority, cert: certificate, key } });
  onTestFinished(() => etcd.close());
  return etcd;
};
