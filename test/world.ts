import { classes } from '../actors/index.ts';
import type { Hypervisor } from '../src/drivers/hypervisor/hypervisor.ts';
import { nodeClock } from '../src/drivers/node/clock.ts';
import { nodeRandom } from '../src/drivers/node/random.ts';
import type { Storage } from '../src/drivers/storage/storage.ts';
import type { Ref } from '../src/model/types.ts';
import { nullRef } from '../src/model/types.ts';
import { type Catalog, catalogOf } from '../src/objects/catalog.ts';
import { deriveRows } from '../src/objects/derive-rows.ts';
import type { Behaviour, Caller } from '../src/objects/implement.ts';
import { hostCaller, type Invoker, invokerOf } from '../src/objects/invoke.ts';
import { type Objects, objectsOf } from '../src/objects/runtime.ts';
import type { Services } from '../src/objects/services.ts';
import type { Clock } from '../src/std/clock.ts';
import { silentLog } from '../src/std/log.ts';
import type { Durable, WriteGroup } from '../src/store/durable.ts';
import { openStore, type Store } from '../src/store/store.ts';
import type { Tx } from '../src/store/view.ts';

// One host of a pool, in process: the real runtime over a disk in memory, and drivers that a test chooses.

export interface World {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly objects: Objects;
  readonly invoker: Invoker;
  readonly services: Services;
  readonly host: Ref<'host'>;
  readonly pool: Ref<'pool'>;
  readonly disk: MemoryDisk;
  /** A call as a client makes it: by wire name, with trusted values in wire order, `self` first. */
  call(method: string, ...args: readonly unknown[]): Promise<any>;
  /** The same on somebody's behalf: the session that the call is made with, and what its user may do. */
  callAs(caller: Caller, method: string, ...args: readonly unknown[]): Promise<any>;
  /** Answers the task. */
  callAsync(method: string, ...args: readonly unknown[]): Promise<Ref<'task'>>;
  /** Resolves with the final record of a task. */
  finished(task: Ref<'task'>): Promise<{ readonly status: string; readonly error_info: readonly string[] }>;
  /** Resolves once `met` holds of the committed rows; asked again after each commit. */
  until(met: () => boolean): Promise<void>;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly behaviours?: readonly Behaviour<any>[];
  readonly hypervisor?: Partial<Hypervisor>;
  readonly storage?: Partial<Storage>;
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
    write: async (_group: WriteGroup) => {
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

export const world = async (options: WorldOptions = {}): Promise<World> => {
  const host = 'OpaqueRef:host' as Ref<'host'>;
  const pool = 'OpaqueRef:pool' as Ref<'pool'>;
  const clock = options.clock ?? nodeClock;
  const log = silentLog;
  const disk = memoryDisk();
  const catalog = catalogOf(classes, options.behaviours ?? []);
  let objects: Objects | undefined;
  const store = openStore({
    classes,
    durable: options.durable ?? disk,
    log,
    derive: deriveRows(catalog),
    onStaged: (changes) => objects?.staged(changes),
  });
  objects = objectsOf({
    catalog,
    view: store.latest,
    services: { clock, log },
    waitMs: options.waitMs ?? 10_000,
  });
  const awake = objects;
  const services: Services = {
    clock,
    random: nodeRandom,
    log,
    hypervisor: driver<Hypervisor>('hypervisor', options.hypervisor),
    storage: driver<Storage>('storage', options.storage),
    credentials: { verify: async () => false, setPassword: async () => {} },
    store,
    host,
    facts: async () => {
      throw new Error('The test has no facts of a machine');
    },
    authority: () => '127.0.0.1',
    standing: () => ({}),
    cancel: (task) => awake.cancel(task),
    restart: () => {},
    ...options.services,
  };
  const invoker = invokerOf({ catalog, store, objects: awake, services });

  await store.commit((tx) => {
    if (options.existing === true) return options.rows?.(tx);
    tx.create('pool', pool, { uuid: nodeRandom.uuid(), master: host });
    tx.create('host', host, { uuid: nodeRandom.uuid(), name_label: 'host', enabled: true });
    options.rows?.(tx);
  });

  const find = (method: string) => {
    const message = catalog.find(method);
    if (message === undefined) throw new Error(`Nothing answers ${method}`);
    return message;
  };
  const filled = (method: string, args: readonly unknown[]): readonly unknown[] =>
    find(method).params.map(({ defaultValue }, i) => (i < args.length ? args[i] : defaultValue));

  const callAs = async (caller: Caller, method: string, ...args: readonly unknown[]): Promise<any> =>
    invoker.invoke({ message: find(method), args: filled(method, args), caller, watched: 'while-running' });

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
    store,
    catalog,
    objects: awake,
    invoker,
    services,
    host,
    pool,
    disk,
    call: (method, ...args) => callAs(hostCaller, method, ...args),
    callAs,
    callAsync: (method, ...args) =>
      invoker.invokeAsync({
        message: find(method),
        args: filled(method, args),
        caller: hostCaller,
        watched: 'until-destroyed',
      }),
    finished: async (task) => {
      const done = () => !['pending', 'cancelling'].includes(store.committed.get('task', task)?.status ?? '');
      await until(done);
      return store.committed.require('task', task);
    },
    until,
    close: async () => {
      disk.refuseWrites(undefined);
      awake.stop();
      await store.close();
    },
  };
};

export const noRef = nullRef as Ref<any>;
