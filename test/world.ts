import { classes } from '../actors/index.ts';
import { type Assembled, assemble, type Parts } from '../src/assembly/assemble.ts';
import type { Hypervisor } from '../src/drivers/hypervisor/hypervisor.ts';
import type { Network } from '../src/drivers/network.ts';
import { nodeClock } from '../src/drivers/node/clock.ts';
import { nodeRandom } from '../src/drivers/node/random.ts';
import type { Storage } from '../src/drivers/storage/storage.ts';
import type { Ref } from '../src/model/types.ts';
import { nullRef } from '../src/model/types.ts';
import { type Catalog, catalogOf } from '../src/objects/catalog.ts';
import { storeRules } from '../src/objects/derive-rows.ts';
import type { Behaviour, Caller } from '../src/objects/implement.ts';
import { hostCaller, type Invoker } from '../src/objects/invoke.ts';
import type { Services } from '../src/objects/services.ts';
import { internalClasses } from '../src/pool/rows.ts';
import { type Hop, type SharedPlaces, sharedPlaces } from '../src/simulation/shared-places.ts';
import type { Clock } from '../src/std/clock.ts';
import { Fault } from '../src/std/fault.ts';
import { silentLog } from '../src/std/log.ts';
import type { Durable, WriteGroup } from '../src/store/durable.ts';
import { openStore, type Store } from '../src/store/store.ts';
import type { Tx } from '../src/store/view.ts';

// A pool in process, of one host or of several: the real runtime over a disk in memory, and drivers that a test
// chooses. Hosts share one store, in which a member's commits take effect some time later, as they do when the
// coordinator decides about them.

/** A host with objects and drivers of its own. */
export interface WorldHost extends Assembled {
  readonly host: Ref<'host'>;
  /** A call as a client makes it: by wire name, with trusted values in wire order, `self` first. */
  call(method: string, ...args: readonly unknown[]): Promise<any>;
}

export interface World extends WorldHost {
  /** All of them; the first is the coordinator, and what a world itself does is done on it. */
  readonly hosts: readonly WorldHost[];
  readonly places: SharedPlaces;
  readonly pool: Ref<'pool'>;
  readonly disk: MemoryDisk;
  /** A call on somebody's behalf: the session that the call is made with, and what its user may do. */
  callAs(caller: Caller, method: string, ...args: readonly unknown[]): Promise<any>;
  /** Answers the task. */
  callAsync(method: string, ...args: readonly unknown[]): Promise<Ref<'task'>>;
  /** Resolves with the final record of a task. */
  finished(task: Ref<'task'>): Promise<{ readonly status: string; readonly error_info: readonly string[] }>;
  /** Cuts a host off, which the rows say from then on, or lets it come back. */
  lose(host: Ref<'host'>): Promise<void>;
  regain(host: Ref<'host'>): Promise<void>;
  /** Resolves once `met` holds of the committed rows; asked again after each commit. */
  until(met: () => boolean): Promise<void>;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly behaviours?: readonly Behaviour<any>[];
  /** How many hosts the pool has: one, if nothing is said. */
  readonly hosts?: number;
  readonly hypervisor?: Partial<Hypervisor>;
  readonly storage?: Partial<Storage>;
  /** What differs for a host of several, counted from 0. */
  readonly differing?: (index: number) => {
    readonly hypervisor?: Partial<Hypervisor>;
    readonly storage?: Partial<Storage>;
    readonly services?: Partial<Services>;
  };
  /** Of each host, where there are several. */
  readonly memoryBytes?: bigint;
  readonly onHop?: (hop: Hop) => Promise<void> | undefined;
  readonly clock?: Clock;
  readonly waitMs?: number;
  /** Rows beside the pool and the host. */
  readonly rows?: (tx: Tx) => void;
  readonly services?: Partial<Services>;
  /** Instead of the disk in memory, which forgets everything at its end. */
  readonly durable?: Durable;
  /** True: the disk has the pool and the host already. */
  readonly existing?: boolean;
}

/** A disk in memory that can be made to refuse every write. */
export interface MemoryDisk extends Durable {
  refuseWrites(why: Error | undefined): void;
}

export const memoryDisk = (): MemoryDisk => {
  let refusal: Error | undefined;
  return {
    load: () => ({ rows: [], tombstones: [], horizon: 0, generation: 0 }),
    write: async (_groups: readonly WriteGroup[]) => {
      if (refusal !== undefined) throw refusal;
    },
    close: async () => {},
    refuseWrites: (why) => {
      refusal = why;
    },
  };
};

/** A driver of which a test gives what it needs; anything else that is asked of it fails loudly. */
const driver = <T extends object>(name: string, given: Partial<T> = {}): T =>
  new Proxy(given, {
    get: (target, member) => {
      if (member in target) return (target as any)[member];
      return () => {
        throw new Error(`The test has no ${name}.${String(member)}`);
      };
    },
  }) as T;

export const hostRef = (index: number): Ref<'host'> =>
  `OpaqueRef:host${index === 0 ? '' : index + 1}` as Ref<'host'>;

/** The store as a host sees it: only the coordinator decides at once. */
const storeOf = (store: Store, mayDecide: () => 'now' | 'later' | 'never'): Store => {
  const commit: Store['commit'] = async (make) => {
    if (mayDecide() === 'now') return store.commit(make);
    await new Promise((resolve) => setImmediate(resolve));
    if (mayDecide() === 'never') throw new Fault('CANNOT_CONTACT_HOST', ['the coordinator']);
    return store.commit(make);
  };
  return Object.create(store, { commit: { value: commit }, decides: { get: () => mayDecide() === 'now' } });
};

interface HostParts {
  readonly options: WorldOptions;
  readonly index: number;
  readonly store: Store;
  readonly catalog: Catalog;
  readonly places: SharedPlaces;
}

const hostOf = ({ options, index, store: shared, catalog, places }: HostParts): WorldHost => {
  const host = hostRef(index);
  const clock = options.clock ?? nodeClock;
  const log = silentLog;
  const { hypervisor, storage, services: own } = options.differing?.(index) ?? {};
  const at = places.of(host);
  const leads = (): boolean => at.coordinator() === host;
  const store = storeOf(shared, () => (leads() ? 'now' : places.isUp(host) ? 'later' : 'never'));
  const given: Parts['services'] = {
    clock,
    random: nodeRandom,
    log,
    hypervisor: driver<Hypervisor>('hypervisor', hypervisor ?? options.hypervisor),
    storage: driver<Storage>('storage', storage ?? options.storage),
    network: driver<Network>('network'),
    credentials: { verify: async () => false, setPassword: async () => {} },
    store,
    host,
    facts: async () => {
      throw new Error('The test has no facts of a machine');
    },
    authority: () => `127.0.0.${index + 1}`,
    availability: () => (leads() ? {} : { coordinator: '127.0.0.1' }),
    restart: () => {},
    ...options.services,
    ...own,
  };
  const assembled = assemble({ catalog, places: at, services: given, waitMs: options.waitMs ?? 10_000 });
  const { invoker, services } = assembled;
  places.enter(host, { carry: invoker.carry, cancel: services.cancel });
  return { ...assembled, host, call: callOf(catalog, invoker) };
};

const find = (catalog: Catalog, method: string) => {
  const message = catalog.find(method);
  if (message === undefined) throw new Error(`Nothing answers ${method}`);
  return message;
};

const filled = (catalog: Catalog, method: string, args: readonly unknown[]): readonly unknown[] =>
  find(catalog, method).params.map(({ defaultValue }, i) => (i < args.length ? args[i] : defaultValue));

const callOf =
  (catalog: Catalog, invoker: Invoker, caller: Caller = hostCaller) =>
  async (method: string, ...args: readonly unknown[]): Promise<any> =>
    invoker.invoke({
      message: find(catalog, method),
      args: filled(catalog, method, args),
      caller,
      watched: 'while-running',
    });

const thePool = 'OpaqueRef:pool' as Ref<'pool'>;

/** The pool and its hosts. */
const firstRows = (tx: Tx, { hosts = 1, memoryBytes = 64n << 30n }: WorldOptions): void => {
  tx.create('pool', thePool, { uuid: nodeRandom.uuid(), master: hostRef(0) });
  for (let index = 0; index < hosts; index += 1) {
    const host = hostRef(index);
    const name_label = `host${index === 0 ? '' : index + 1}`;
    tx.create('host', host, {
      uuid: nodeRandom.uuid(),
      name_label,
      enabled: true,
      virtual_hardware_platform_versions: [0n, 1n, 2n],
    });
    if (hosts === 1) continue;
    const metrics = `OpaqueRef:metrics${index + 1}` as Ref<'host_metrics'>;
    tx.create('host_metrics', metrics, { uuid: `metrics${index}`, memory_total: memoryBytes, live: true });
    tx.patch('host', host, { metrics });
  }
};

export const world = async (options: WorldOptions = {}): Promise<World> => {
  const disk = memoryDisk();
  const catalog = catalogOf(classes, options.behaviours ?? []);
  const hosts: WorldHost[] = [];
  const { store, replica } = openStore({
    classes: [...classes, ...internalClasses],
    durable: options.durable ?? disk,
    log: silentLog,
    ...storeRules(catalog),
    onStaged: (changes) => {
      for (const { objects } of hosts) objects.staged(changes);
    },
  });
  const coordinator = (): Ref<'host'> => {
    for (const [, { master }] of store.latest.all('pool')) return master;
    return hostRef(0);
  };
  const { onHop } = options;
  const places = sharedPlaces({ coordinator, ...(onHop === undefined ? {} : { onHop }) });
  for (let index = 0; index < (options.hosts ?? 1); index += 1) {
    hosts.push(hostOf({ options, index, store, catalog, places }));
  }
  if (options.existing !== true) await store.commit((tx) => firstRows(tx, options));
  const { rows } = options;
  if (rows !== undefined) await store.commit(rows);
  const first = hosts[0] as WorldHost;
  const { invoker } = first;
  const setLive = async (host: Ref<'host'>, live: boolean): Promise<void> => {
    const { metrics } = store.latest.require('host', host);
    await store.commit((tx) => tx.patch('host_metrics', metrics, { live }));
  };

  const until = (met: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      if (met()) return resolve();
      const stop = store.watch(() => {
        if (!met()) return;
        stop();
        resolve();
      });
    });

  return {
    ...first,
    store,
    catalog,
    hosts,
    places,
    pool: thePool,
    disk,
    callAs: (caller, ...rest) => callOf(catalog, invoker, caller)(...rest),
    callAsync: (method, ...args) =>
      invoker.invokeAsync({
        message: find(catalog, method),
        args: filled(catalog, method, args),
        caller: hostCaller,
        watched: 'until-destroyed',
      }),
    lose: async (host) => {
      places.cutOff(host);
      await setLive(host, false);
    },
    regain: async (host) => {
      places.reconnect(host);
      await setLive(host, true);
    },
    finished: async (task) => {
      const done = () => !['pending', 'cancelling'].includes(store.committed.get('task', task)?.status ?? '');
      await until(done);
      return store.committed.require('task', task);
    },
    until,
    close: async () => {
      disk.refuseWrites(undefined);
      for (const { objects } of hosts) objects.stop();
      await replica.close();
    },
  };
};

export const noRef = nullRef as Ref<any>;
