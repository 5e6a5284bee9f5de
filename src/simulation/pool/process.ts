import { assemble, type Parts } from '../../assembly/assemble.ts';
import { type Closing, closing } from '../../assembly/closing.ts';
import { startGuests, startHost } from '../../assembly/host.ts';
import type { Doors, HostParts, Makers, PoolParts } from '../../assembly/parts.ts';
import type { Backend } from '../../daemons/xenopsd/backend.ts';
import type { Etcd } from '../../drivers/etcd.ts';
import type { Hypervisor } from '../../drivers/hypervisor/hypervisor.ts';
import type { MeshNetwork } from '../../drivers/mesh-wire.ts';
import type { Network } from '../../drivers/network.ts';
import type { PoolDoor } from '../../drivers/pool-door.ts';
import type { Storage } from '../../drivers/storage/storage.ts';
import { clusterNotes } from '../../engine/cluster-notes.ts';
import { type EngineSettings, openEngineStore } from '../../engine/settings.ts';
import { type DivergedFiles, divergedFiles } from '../../log/diverged.ts';
import { clusterLog } from '../../log/etcd/cluster-log.ts';
import type { EtcdLogLimits } from '../../log/etcd/limits.ts';
import { type Mesh, type MeshOptions, meshOf } from '../../mesh/mesh.ts';
import type { Ref } from '../../model/types.ts';
import { hostCaller, type Invoker } from '../../objects/invoke.ts';
import type { TakingIn } from '../../objects/membership.ts';
import type { Services } from '../../objects/services.ts';
import type { PoolContext, PoolLimits } from '../../pool/context.ts';
import type { Pool } from '../../pool/pool.ts';
import { openStateFile, type StateFile } from '../../pool/state.ts';
import { serveSmapiv2 } from '../../rpc/smapiv2/server.ts';
import { xenopsdHypervisor } from '../../rpc/xenops/xenopsd.ts';
import { Fault } from '../../std/fault.ts';
import type { Log } from '../../std/log.ts';
import type { Durable } from '../../store/durable.ts';
import type { Log as CommitLog } from '../../store/log.ts';
import type { Replica } from '../../store/replica.ts';
import { openStore, type Store } from '../../store/store.ts';
import type { Life } from '../life.ts';
import { sockets } from '../machine-daemon.ts';
import { fingerprintOf, simulatedCertificate } from '../memory-mesh.ts';
import type { SeededRandom } from '../random.ts';
import type { SimulatedMachine } from './machine.ts';
import { catalog, factsOf, meshPort } from './past.ts';
import { processStorage } from './storage.ts';

/** Changes that a simulation makes to the parts of a process, to see that it would notice. */
export interface Sabotage {
  readonly durable?: (durable: Durable, life: Life) => Durable;
  readonly state?: (state: StateFile, life: Life) => StateFile;
  readonly store?: (store: Store, life: Life) => Store;
  readonly replica?: (replica: Replica, life: Life) => Replica;
  readonly mesh?: (mesh: Mesh, life: Life) => Mesh;
  readonly etcd?: (etcd: Etcd, life: Life) => Etcd;
  readonly commits?: (commits: CommitLog, life: Life) => CommitLog;
  readonly diverged?: (files: DivergedFiles) => DivergedFiles;
  readonly meshOptions?: (options: MeshOptions) => MeshOptions;
  readonly limits?: Partial<PoolLimits>;
  /** Of the hypervisor's daemon of each machine. */
  readonly backend?: (backend: Backend) => Backend;
  /** What the objects of a host are assembled of. */
  readonly objects?: (parts: Parts) => Parts;
}

/** One run of Xenact on a machine: the real host over simulated parts. */
export interface Process {
  readonly life: Life;
  readonly store: Store;
  readonly replica: Replica;
  readonly pool: Pool;
  readonly mesh: Mesh;
  readonly context: PoolContext;
  /** For hosts that join. */
  readonly takingIn: TakingIn;
  /** A call as a client makes it, by wire name. Refused as the edge refuses while the host cannot serve. */
  call(method: string, ...args: readonly unknown[]): Promise<any>;
  callAsync(method: string, ...args: readonly unknown[]): Promise<Ref<'task'>>;
  /** Ends in order, as the program does that is asked to. */
  stop(): Promise<void>;
}

export interface ProcessOptions {
  readonly machine: SimulatedMachine;
  readonly life: Life;
  readonly random: SeededRandom;
  readonly log: Log;
  readonly mesh: MeshNetwork;
  readonly network: Network;
  readonly replicas: number;
  /** A client of the cluster that the pool's log may be in. */
  readonly etcd: (id: string | undefined) => Etcd;
  /** How the pool's log is reached, for a host that was given into the pool. */
  readonly poolLog: EngineSettings;
  /** The way to pools that this host may join. */
  readonly door: PoolDoor;
  readonly sabotage: Sabotage;
  /** The machine was switched on just now. */
  readonly boots: boolean;
  /** Whoever runs the host starts the program again. */
  readonly restart: () => void;
}

export const stateFolder = '/var/xenact';
export const divergedFolder = `${stateFolder}/diverged`;
export const stateFile = `${stateFolder}/pool.json`;
export const engineFolder = `${stateFolder}/engine`;

const same = <T>(part: T): T => part;

/**
 * Resolves once the host serves clients. What it has is there before, for whoever looks at it from outside.
 */
export const startProcess = async (
  options: ProcessOptions,
  born: (process: Process) => void,
): Promise<void> => {
  const { machine, life, log, boots } = options;
  const opened = closing(log, life);
  const { host } = await startHost(
    {
      ...(await openParts(options, opened)),
      doors: async (host): Promise<Doors> => {
        await machine.daemon.ensure();
        const { store, pool, context, takingIn, objects, invoker, services } = host;
        const { mesh, replica } = context;
        life.onEnd(() => objects.stop());
        const calls = callsOf(invoker, services);
        born({
          ...calls,
          ...{ life, store, replica, pool, context, mesh, takingIn },
          stop: async () => void (await opened.close()),
        });
        return { httpsPort, open: () => {}, close: async () => {} };
      },
    },
    opened,
  );
  if (boots) startGuests(host);
};

const httpsPort = 443;

/** What clients see of a machine's HTTPS, and hosts that join. */
export const doorPin = ({ certificate }: Pick<SimulatedMachine, 'certificate'>): string =>
  fingerprintOf(certificate.cert);

/** The parts of a simulated host, each as one process has it. */
export const openParts = async (
  options: ProcessOptions,
  opened: Closing,
): Promise<Omit<HostParts, 'doors'>> => {
  const { machine, life, random, log, network, sabotage, restart } = options;
  const file = await openStateFile(machine.disk.of(life), stateFile);
  const state = (sabotage.state ?? same)(file, life);
  const storage = await openStorage(options, opened);
  const hypervisor = openHypervisor(options, state);
  const engine = await openEngine(options, state.current?.change);
  opened.add('hypervisor', hypervisor);
  const { machine: name } = machine;
  return {
    ...{ clock: life, random, log, network, restart, catalog, httpsPort },
    ...{ state, storage, hypervisor },
    version: 'simulated',
    poolName: 'pool',
    address: name,
    epochMin: 0,
    diverged: (sabotage.diverged ?? same)(
      divergedFiles({
        ...{ disk: machine.disk.of(life), folder: divergedFolder, now: () => life.now() },
      }),
    ),
    database: {
      durable: () => (sabotage.durable ?? same)(machine.durable.of(life), life),
      forget: async () => machine.durable.forget(life),
    },
    mesh: {
      network: options.mesh,
      listen: { host: name, port: meshPort },
      own: machine.shown,
      next: async () => nextCertificate(machine, life, random),
    },
    tunnel: { xenopsdSocket: sockets.xenopsd, runFolder: '/run' },
    revive: machine.daemon.ensure,
    storageFolders: {
      ...{ disk: machine.disk.of(life), disks: `${stateFolder}/sr`, images: `${stateFolder}/iso` },
    },
    credentials: noUsers,
    facts: async () => factsOf(name),
    fingerprint: doorPin(machine),
    poolDoor: () => options.door,
    pool: { replicas: options.replicas, serves: true, limits: sabotage.limits ?? {}, ...engine },
    waitMs: 60_000,
    makers: makersOf(options),
  };
};

/** What the host has noted of the cluster says whether its pool's log is there. */
const openEngine = async (
  options: ProcessOptions,
  change: 'joins' | 'ejected' | undefined,
): Promise<Pick<PoolParts, 'engine'>> => {
  const { machine, life, sabotage } = options;
  const store = await openEngineStore(machine.disk.of(life), engineFolder);
  if (change === 'joins') await store.change(() => options.poolLog);
  if (change === 'ejected') await store.change(() => ({}));
  const { use, cluster } = store.current;
  if (use !== 'etcd' || cluster === undefined) return {};
  const etcd = (sabotage.etcd ?? same)(options.etcd(cluster.id), life);
  return {
    engine: (context, alert) =>
      clusterLog(context, {
        ...{ etcd, alert, limits: logLimits },
        notes: clusterNotes(store, cluster, context.host),
      }),
  };
};

/** Rows are compared often enough for a simulation to see it, and copied in more than one page. */
const logLimits: Partial<EtcdLogLimits> = { hashMs: 10_000, pageRowsMax: 64 };

const openStorage = async (
  { machine, life, log, network }: ProcessOptions,
  opened: Closing,
): Promise<Storage> => {
  const repositories = answering(life, machine.volumes);
  const { volatile, takeTime } = machine;
  const storage = await processStorage({ repositories, volatile, life, log, takeTime });
  const endpoint = { socketPath: sockets.storage };
  opened.add('storage of the hypervisor', await serveSmapiv2({ network, endpoint, storage, log }));
  return storage;
};

const openHypervisor = ({ life, log, network }: ProcessOptions, state: StateFile): Hypervisor =>
  xenopsdHypervisor({
    ...{ network, clock: life, log, endpoint: { socketPath: sockets.xenopsd } },
    epoch: () => state.current?.epoch ?? 1,
  });

/** What is made of parts, with what a simulation puts into it. */
const makersOf = ({ sabotage, life }: ProcessOptions): Makers => ({
  store: (options) => {
    const { store, replica } = openStore(options);
    return {
      store: (sabotage.store ?? same)(store, life),
      replica: (sabotage.replica ?? same)(replica, life),
    };
  },
  mesh: (options) => (sabotage.mesh ?? same)(meshOf((sabotage.meshOptions ?? same)(options)), life),
  commits: (made) => (sabotage.commits ?? same)(made, life),
  objects: (parts) => assemble((sabotage.objects ?? same)(parts)),
});

const nextCertificate = (machine: SimulatedMachine, life: Life, random: SeededRandom) => {
  const certificate = simulatedCertificate(random);
  const next = { certificate, pin: fingerprintOf(certificate.cert) };
  return {
    ...next,
    keep: async () => {
      if (life.state !== 'ended') machine.shown = next;
    },
  };
};

/** Nobody logs in here: clients are the simulation. */
const noUsers: HostParts['credentials'] = {
  verify: async () => false,
  setPassword: async () => {},
  exported: () => '',
  verifier: () => ({ salt: '', key: '', N: 1, r: 1, p: 1 }),
  adopt: async () => [],
};

/** A process that has ended gets no answers. */
const answering = <T extends object>(life: Life, part: T): T =>
  new Proxy(part, {
    get: (target, name) => {
      const member = (target as Record<string | symbol, unknown>)[name];
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        const answer: unknown = member(...args);
        if (!(answer instanceof Promise)) return answer;
        return life.state === 'ended' ? unanswered() : answeredIn(life, answer);
      };
    },
  });

const unanswered = (): Promise<never> => new Promise(() => {});

/** In a turn of the process's own, so that one that is paused hears of it when it goes on. */
const answeredIn = async (life: Life, answer: Promise<unknown>): Promise<unknown> => {
  try {
    return await answer;
  } finally {
    await new Promise<void>((resolve) => void life.after(0, resolve));
  }
};

const callsOf = (
  invoker: Invoker,
  services: Pick<Services, 'availability'>,
): Pick<Process, 'call' | 'callAsync'> => {
  const invocation = (method: string, args: readonly unknown[]) => {
    const message = catalog.find(method);
    if (message === undefined) throw new Error(`Nothing answers ${method}`);
    const { emergency, coordinator } = services.availability();
    if (message.declared?.onMember !== true) {
      if (emergency !== undefined) throw emergency;
      if (coordinator !== undefined) throw new Fault('HOST_IS_SLAVE', [coordinator]);
    }
    const filled = message.params.map(({ defaultValue }, i) => (i < args.length ? args[i] : defaultValue));
    return { message, args: filled, caller: hostCaller };
  };
  return {
    call: async (method, ...args) => {
      const asked = invocation(method, args);
      // As at the edge: what a member does by itself, as while nobody leads, makes no task.
      return invoker.invoke({ ...asked, watched: asked.message.async ? 'while-running' : 'untracked' });
    },
    callAsync: async (method, ...args) =>
      invoker.invokeAsync({ ...invocation(method, args), watched: 'until-destroyed' }),
  };
};
