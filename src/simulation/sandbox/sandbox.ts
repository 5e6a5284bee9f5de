import { behaviours } from '../../../actors/behaviours.ts';
import { classes } from '../../../actors/index.ts';
import { smRows } from '../../../actors/sm/rows.ts';
import { endPendingTasks } from '../../../actors/task/start.ts';
import { dateTimeOf, type Ref } from '../../model/types.ts';
import { type Catalog, catalogOf } from '../../objects/catalog.ts';
import { deriveRows } from '../../objects/derive-rows.ts';
import type { Services } from '../../objects/services.ts';
import { sharedPlaces } from '../../objects/shared-places.ts';
import { internalClasses } from '../../pool/rows.ts';
import { type Clock, sleep } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import { openStore, type Store } from '../../store/store.ts';
import { lifeOf } from '../life.ts';
import { memoryDurable } from '../memory-durable.ts';
import { seededRandom } from '../random.ts';
import type { GuestAct } from './guests.ts';
import { type HostWorld, type RunningHost, runningHost, urlOf } from './host.ts';
import { type PoolHost, type PoolSize, startPool } from './rows.ts';
import { type Troubles, troubled, troublesOf } from './trouble.ts';
import { simulatedVolumes } from './volumes.ts';

export interface SandboxOptions {
  readonly size: PoolSize;
  readonly seed: string;
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Of each operation of a hypervisor or of storage, evenly between the two. */
  readonly latencyMs: readonly [least: number, most: number];
  readonly credentials: Services['credentials'];
  /** Where clients reach the pool: an address, and the same as in a URL. */
  readonly address: string;
  readonly authority: () => string;
  readonly version: string;
  /** How long a host is silent before the pool says that it does not live. */
  readonly silentMs?: number;
}

/** A pool of many hosts in one process and over one store, with the real rules. */
export interface Sandbox {
  readonly catalog: Catalog;
  readonly store: Store;
  /** The host that serves clients. */
  readonly coordinator: RunningHost;
  readonly hosts: readonly PoolHost[];
  readonly troubles: Troubles;
  /** Calls that one host had another do. */
  readonly carried: number;
  isUp(name: string): boolean;
  /** Takes a host's power away, and with it all its guests. False for the coordinator, and when it is off already. */
  down(name: string): boolean;
  /** Boots a host that is off; resolves once it is back. False when it is on. */
  up(name: string): Promise<boolean>;
  /** A guest that runs anywhere does something by itself. */
  act(vm: string, what: GuestAct): boolean;
  /** Stops everything. */
  close(): Promise<void>;
}

export const silentMs = 5_000;

export const sandboxOf = async (options: SandboxOptions): Promise<Sandbox> => {
  const { clock, log, size } = options;
  const random = seededRandom(options.seed);
  const troubles = troublesOf(clock, random.split('trouble'));
  const names = new Map<string, string>();
  const catalog = catalogOf(
    classes,
    troubled(behaviours, troubles, (host) => names.get(host) ?? ''),
  );
  const running = new Map<string, RunningHost>();
  const store = openStore({
    classes: [...classes, ...internalClasses],
    durable: memoryDurable({ random }).of(lifeOf('store', clock)),
    log,
    derive: deriveRows(catalog),
    onStaged: (changes) => {
      for (const host of running.values()) host.objects.staged(changes);
    },
  });
  const volumes = simulatedVolumes(random.split('volumes'));
  const { hosts, fill } = await startPool({ ...options, store, random, volumes, size });
  for (const { ref, name } of hosts) names.set(ref, name);
  const [first] = hosts as readonly [PoolHost];
  let carried = 0;
  const shared = sharedPlaces({
    coordinator: () => first.ref,
    onHop: () => {
      carried += 1;
      return undefined;
    },
  });
  const latency = random.split('latency');
  const [leastMs, mostMs] = options.latencyMs;
  const world: HostWorld = {
    ...{ catalog, store, shared, volumes, clock, log, version: options.version },
    ...{ credentials: options.credentials, authority: options.authority },
    random: random.split('later rows'),
    takeTime: (own, signal, progress) =>
      mostMs === 0
        ? atOnce
        : passing(own, leastMs + latency.fraction() * (mostMs - leastMs), signal, progress),
    peer: (url) => {
      const host = hosts.find(({ ref }) => urlOf(ref) === url);
      return host && running.get(host.name)?.guests;
    },
  };
  const coordinator = start(world, running, first);
  for (const host of hosts.slice(1)) start(world, running, host);
  // What can be done with disks follows from the drivers, so those are there first.
  await smRows(coordinator);
  await fill();
  for (const host of running.values()) await host.begin(false);

  const noteLife = (ref: Ref<'host'>, live: boolean): Promise<void> =>
    store.commit((tx) => {
      const { metrics } = tx.require('host', ref);
      tx.patch('host_metrics', metrics, { live, last_updated: dateTimeOf(clock.now()) });
    });
  const find = (name: string): PoolHost | undefined => hosts.find((host) => host.name === name);
  let closed = false;
  const declare = (host: PoolHost): void => {
    clock.after(options.silentMs ?? silentMs, () => {
      if (closed || running.has(host.name)) return;
      noteLife(host.ref, false)
        .then(() => endPendingTasks(store, clock.now(), (one) => one === host.ref))
        .catch((error: unknown) => log.error({ error, host: host.name }, 'A lost host could not be noted'));
    });
  };

  return {
    ...{ catalog, store, coordinator, hosts, troubles },
    get carried() {
      return carried;
    },
    isUp: (name) => running.has(name),
    down: (name) => {
      const [host, runs] = [find(name), running.get(name)];
      if (host === undefined || runs === undefined || host === first) return false;
      running.delete(name);
      runs.losePower();
      declare(host);
      return true;
    },
    up: async (name) => {
      const host = find(name);
      if (host === undefined || running.has(name)) return false;
      const runs = start(world, running, host);
      shared.reconnect(host.ref);
      await noteLife(host.ref, true);
      await runs.begin(true);
      return true;
    },
    act: (vm, what) => [...running.values()].some(({ guests }) => guests.act(vm, what)),
    close: async () => {
      closed = true;
      for (const { guests, objects, life } of running.values()) {
        await guests.close();
        objects.stop();
        life.end();
      }
      await store.close();
    },
  };
};

const start = (world: HostWorld, running: Map<string, RunningHost>, host: PoolHost): RunningHost => {
  const started = runningHost(world, host);
  running.set(host.name, started);
  return started;
};

const atOnce: Promise<void> = Promise.resolve();
/** What takes longer than this shows how far it is. */
const shownMsMin = 1_000;
const steps = 20;

/** A time that passes, shown step by step when it is long. */
const passing = async (
  clock: Clock,
  ms: number,
  signal: AbortSignal | undefined,
  progress: ((fraction: number) => void) | undefined,
): Promise<void> => {
  if (ms < shownMsMin || progress === undefined) return sleep(clock, ms, signal);
  for (let step = 1; step <= steps; step += 1) {
    await sleep(clock, ms / steps, signal);
    progress(step / steps);
  }
};
