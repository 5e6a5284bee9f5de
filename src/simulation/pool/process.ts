import { refreshOwnHost } from '../../../actors/pool/bootstrap.ts';
import { endPendingTasks } from '../../../actors/task/start.ts';
import { reservationCollector } from '../../../actors/vm/collect.ts';
import { vmReports } from '../../../actors/vm/reports.ts';
import { type Assembled, assemble, type Parts } from '../../assembly/assemble.ts';
import type { MeshNetwork } from '../../drivers/mesh-wire.ts';
import type { Storage } from '../../drivers/storage/storage.ts';
import { type Mesh, type MeshOptions, meshOf } from '../../mesh/mesh.ts';
import type { Ref } from '../../model/types.ts';
import { deriveAll } from '../../objects/derive-all.ts';
import { storeRules } from '../../objects/derive-rows.ts';
import { hostCaller, type Invoker } from '../../objects/invoke.ts';
import type { Services } from '../../objects/services.ts';
import { type Ground, linkedHosts, type PoolLimits, poolLimits } from '../../pool/ground.ts';
import { membershipOf } from '../../pool/membership.ts';
import { announce, linkPeers } from '../../pool/peers.ts';
import { type Pool, poolOf } from '../../pool/pool.ts';
import { openStateFile, type StateFile } from '../../pool/state.ts';
import { Fault } from '../../std/fault.ts';
import type { Log } from '../../std/log.ts';
import type { Durable } from '../../store/durable.ts';
import type { Replica } from '../../store/replica.ts';
import { openStore, type Store } from '../../store/store.ts';
import type { Life } from '../life.ts';
import type { MemoryDisk } from '../memory-disk.ts';
import type { MemoryDurable } from '../memory-durable.ts';
import type { SeededRandom } from '../random.ts';
import { type Metal, urlOf } from './metal.ts';
import { catalog, factsOf, meshPort, type PastHost, storeClasses } from './past.ts';

/** A machine, which outlives the processes that run on it. */
export interface Machine extends PastHost {
  readonly disk: MemoryDisk;
  readonly durable: MemoryDurable;
  readonly metal: Metal;
}

/** Changes that a simulation makes to the parts of a process, to see that it would notice. */
export interface Sabotage {
  readonly durable?: (durable: Durable, life: Life) => Durable;
  readonly state?: (state: StateFile, life: Life) => StateFile;
  readonly replica?: (replica: Replica, life: Life) => Replica;
  readonly mesh?: (mesh: Mesh, life: Life) => Mesh;
  readonly meshOptions?: (options: MeshOptions) => MeshOptions;
  readonly limits?: Partial<PoolLimits>;
  /** What the objects of a host are assembled of. */
  readonly parts?: (parts: Parts) => Parts;
  /** Steps of a start that are left out. */
  readonly without?: readonly StartStep[];
}

export type StartStep = 'end tasks' | 'reconcile' | 'end tasks of the dead';

/** One run of Xenact on a machine: the real runtime over simulated parts. */
export interface Process {
  readonly life: Life;
  readonly store: Store;
  readonly replica: Replica;
  readonly pool: Pool;
  readonly mesh: Mesh;
  readonly ground: Ground;
  /** A call as a client makes it, by wire name. Refused as the edge refuses while the host cannot serve. */
  call(method: string, ...args: readonly unknown[]): Promise<any>;
  callAsync(method: string, ...args: readonly unknown[]): Promise<Ref<'task'>>;
}

export interface ProcessOptions {
  readonly machine: Machine;
  readonly life: Life;
  readonly random: SeededRandom;
  readonly log: Log;
  readonly network: MeshNetwork;
  readonly machineOf: (host: Ref<'host'>) => string;
  readonly replicas: number;
  readonly sabotage: Sabotage;
  /** Whoever runs the host starts the program again. */
  readonly restart: () => void;
}

export const stateFolder = '/var/xenact';
export const stateFile = `${stateFolder}/pool.json`;

/** Resolves once the host serves clients. What it has is there before, for whoever looks at it from outside. */
export const startProcess = async (
  options: ProcessOptions,
  born: (process: Process) => void,
): Promise<void> => {
  const { machine, life, random, log, network, sabotage, restart } = options;
  const { host } = machine;
  const same = <T>(part: T): T => part;
  const opened = await openStateFile(machine.disk.of(life), stateFile);
  const state = (sabotage.state ?? same)(opened, life);
  let assembled: Assembled | undefined;
  const openedStore = openStore({
    classes: storeClasses,
    durable: (sabotage.durable ?? same)(machine.durable.of(life), life),
    log,
    ...storeRules(catalog),
    onStaged: (changes) => assembled?.objects.staged(changes),
  });
  const { store } = openedStore;
  const replica = (sabotage.replica ?? same)(openedStore.replica, life);
  let pool: Pool | undefined;
  const meshOptions: MeshOptions = {
    ...{ clock: life, random, log, network, self: host, software: 'simulated' },
    certificate: machine.certificate,
    epoch: () => state.current?.epoch ?? 0,
    onEpoch: async (epoch) => pool?.heard(epoch),
  };
  const openedMesh = meshOf((sabotage.meshOptions ?? same)(meshOptions));
  await openedMesh.listen({ host: machine.machine, port: meshPort });
  const mesh = (sabotage.mesh ?? same)(openedMesh, life);
  const limits = { ...poolLimits, ...sabotage.limits };
  const ground: Ground = {
    ...{ store, replica, mesh, state, host, clock: life, random, log, limits },
    isUp: linkedHosts(mesh),
  };
  pool = poolOf(ground, {
    replicas: options.replicas,
    serves: true,
    addressOf: options.machineOf,
    cancel: (task) => assembled?.services.cancel(task) === true,
    onLead: () => store.commit((tx) => tx.patch('pool', tx.only('pool')[0], { master: host })),
    onDead: async (dead) => {
      if (sabotage.without?.includes('end tasks of the dead')) return;
      await endPendingTasks(store, life.now(), (one) => one === dead);
    },
  });
  linkPeers(ground);
  const given: Parts['services'] = {
    ...{ clock: life, random, log, store, host, restart },
    hypervisor: machine.metal.of(life, log),
    storage: noStorage,
    credentials: { verify: async () => false, setPassword: async () => {} },
    facts: async () => factsOf(machine.machine),
    authority: () => machine.machine,
    standing: pool.standing,
    membership: membershipOf({
      ...{ ground, pool, restart, own: () => machine.peer },
      door: { open: async () => Promise.reject(new Error('Nobody joins')) },
      fingerprint: '',
      credentials: { exported: () => '', verifier: () => noPassword, adopt: async () => {} },
      nextCertificate: () => Promise.reject(new Error('Certificates stay')),
    }),
    migrationTo: async (to) => ({ url: urlOf(options.machineOf(to)), close: async () => {} }),
  };
  const parts: Parts = { catalog, places: pool.places, services: given, waitMs: 60_000 };
  const made = assemble((sabotage.parts ?? same)(parts));
  assembled = made;
  life.onEnd(() => made.objects.stop());
  const { services, invoker } = made;
  born({ life, store, replica, pool, mesh, ground, ...callsOf(invoker, pool) });
  await pool.start(invoker);
  await announce(ground, machine.peer);
  await hostRows(options, services, invoker, pool);
};

/** As `hostRows` of the program does it. */
const hostRows = async (
  { machine, random, sabotage, log, life }: ProcessOptions,
  services: Services,
  invoker: Invoker,
  pool: Pool,
): Promise<void> => {
  const { store, host } = services;
  const leavesOut = (step: StartStep): boolean => sabotage.without?.includes(step) === true;
  if (!leavesOut('end tasks')) await endPendingTasks(store, life.now(), (one) => one === host);
  if (pool.role.kind === 'leads') await deriveAll({ catalog, store } as never);
  else {
    const facts = factsOf(machine.machine);
    const about = { store, clock: life, random, facts, name: 'pool', address: machine.machine, version: '1' };
    await refreshOwnHost(about, host);
  }
  const reports = vmReports({ invoker, store, services, log });
  if (!leavesOut('reconcile')) await reports.reconcile();
  services.hypervisor.watch(reports);
  housekeeping(store, life, pool);
};

const noPassword = { salt: '', key: '', N: 1, r: 1, p: 1 };

/** As the program does it. */
const housekeeping = (store: Store, life: Life, pool: Pool): void => {
  const collect = reservationCollector();
  const again = (): void => {
    life.after(housekeepingMs, () => {
      const swept = pool.role.kind === 'leads' ? store.commit((tx) => void collect(tx)) : Promise.resolve();
      swept.catch(() => {}).finally(again);
    });
  };
  again();
};

const housekeepingMs = 30_000;

/** Repositories are rows here; nobody reads a disk. */
const noStorage = new Proxy({} as Storage, {
  get: (_, name) => () => {
    throw new Error(`The simulated storage has no ${String(name)}`);
  },
});

const callsOf = (invoker: Invoker, pool: Pool): Pick<Process, 'call' | 'callAsync'> => {
  const invocation = (method: string, args: readonly unknown[]) => {
    const message = catalog.find(method);
    if (message === undefined) throw new Error(`Nothing answers ${method}`);
    const { emergency, coordinator } = pool.standing();
    if (message.declared?.onMember !== true) {
      if (emergency !== undefined) throw emergency;
      if (coordinator !== undefined) throw new Fault('HOST_IS_SLAVE', [coordinator]);
    }
    const filled = message.params.map(({ defaultValue }, i) => (i < args.length ? args[i] : defaultValue));
    return { message, args: filled, caller: hostCaller };
  };
  return {
    call: async (method, ...args) =>
      invoker.invoke({ ...invocation(method, args), watched: 'while-running' }),
    callAsync: async (method, ...args) =>
      invoker.invokeAsync({ ...invocation(method, args), watched: 'until-destroyed' }),
  };
};
