import { behaviours } from '../../../actors/behaviours.ts';
import { classes } from '../../../actors/index.ts';
import { smRows } from '../../../actors/sm/rows.ts';
import { endPendingTasks } from '../../../actors/task/start.ts';
import { dateTimeOf, type Ref } from '../../model/types.ts';
import { type Catalog, catalogOf } from '../../objects/catalog.ts';
import { storeRules } from '../../objects/derive-rows.ts';
import type { Services } from '../../objects/services.ts';
import type { Inspector } from '../../pool/inspection.ts';
import { internalClasses } from '../../pool/rows.ts';
import { openDiskHere } from '../../rules/open-disk.ts';
import { type Clock, sleep } from '../../std/clock.ts';
import { Fault } from '../../std/fault.ts';
import type { Log } from '../../std/log.ts';
import { openStore, type Store } from '../../store/store.ts';
import { lifeOf } from '../life.ts';
import { memoryDurable } from '../memory-durable.ts';
import { type SeededRandom, seededRandom } from '../random.ts';
import { sharedPlaces } from '../shared-places.ts';
import { simulatedVolumes } from '../volumes.ts';
import type { GuestAct } from './guests.ts';
import { type HostWorld, type RunningHost, runningHost, urlOf } from './host.ts';
import { sandboxInspector } from './inspection.ts';
import { type PoolSize, type SandboxHost, startPool } from './rows.ts';
import { type Troubles, troubled, troublesOf } from './trouble.ts';
import type { Known, Outage } from './trouble-file.ts';

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
  /** Where it serves disks over NBD, once it does. */
  readonly nbd?: NonNullable<Services['nbd']>;
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
  readonly hosts: readonly SandboxHost[];
  /** Throws HOST_OFFLINE for a host that is off. */
  runningAt(host: Ref<'host'>): RunningHost;
  readonly troubles: Troubles;
  /** What files of rules are checked against. */
  readonly known: Known;
  /** Calls that one host had another do. */
  readonly carried: number;
  isUp(name: string): boolean;
  /** How many guests run or stand still on a host. */
  guestsOn(name: string): number;
  /** Takes hosts down and boots them at their times. */
  plan(outages: readonly Outage[]): void;
  /**
   * Takes a host's power away, and with it all its guests. False for the coordinator, and when it is off
   * already.
   */
  down(name: string): boolean;
  /** Boots a host that is off; resolves once it is back. False when it is on. */
  up(name: string): Promise<boolean>;
  /** What its hosts do now. */
  readonly inspector: Inspector;
  /** A guest that runs anywhere does something by itself. */
  act(vm: string, what: GuestAct): boolean;
  /** Stops everything. */
  close(): Promise<void>;
}

/** What a pool's power is switched with. */
interface Running {
  readonly world: HostWorld;
  readonly hosts: readonly SandboxHost[];
  readonly running: Map<string, RunningHost>;
  readonly silentMs: number;
}

export const silentMs = 5_000;

export const sandboxOf = async (options: SandboxOptions): Promise<Sandbox> => {
  const { clock, log } = options;
  const random = seededRandom(options.seed);
  const troubles = troublesOf(clock, random.split('trouble'));
  const names = new Map<string, string>();
  const running = new Map<string, RunningHost>();
  const catalog = catalogOf(
    classes,
    troubled(behaviours, troubles, (host) => names.get(host) ?? ''),
  );
  const { store, replica } = openStore({
    classes: [...classes, ...internalClasses],
    durable: memoryDurable({ random }).of(lifeOf('store', clock)),
    log,
    ...storeRules(catalog),
    onStaged: (changes) => {
      for (const host of running.values()) host.objects.staged(changes);
    },
  });
  const volumes = simulatedVolumes(random.split('volumes'));
  const { hosts, fill } = await startPool({ ...options, store, random, volumes });
  for (const { ref, name } of hosts) names.set(ref, name);
  const [first] = hosts as readonly [SandboxHost];
  const runningAt = (ref: Ref<'host'>): RunningHost => {
    const host = running.get(names.get(ref) ?? '');
    if (host === undefined) throw new Fault('HOST_OFFLINE', [ref]);
    return host;
  };
  const takeTime = latencyOf(options.latencyMs, random.split('latency'));
  let made = false;
  let carried = 0;
  const shared = sharedPlaces({
    coordinator: () => first.ref,
    onHop: () => {
      carried += 1;
      return undefined;
    },
  });
  const world: HostWorld = {
    ...options,
    ...{ catalog, store, shared, volumes },
    random: random.split('later rows'),
    takeTime: (...of) => (made ? takeTime(...of) : atOnce),
    peer: (url) => {
      const host = hosts.find(({ ref }) => urlOf(ref) === url);
      return host && running.get(host.name)?.guests;
    },
    diskOn: async (ref, wanted, signal) => openDiskHere(runningAt(ref).services, wanted, signal),
  };
  const power = powerOf({ world, hosts, running, silentMs: options.silentMs ?? silentMs });
  const coordinator = power.boot(first);
  for (const host of hosts.slice(1)) power.boot(host);
  // What can be done with disks follows from the drivers, so those are there first.
  await smRows(coordinator);
  await fill();
  for (const host of running.values()) await host.begin(false);
  made = true;

  return {
    ...{ catalog, store, coordinator, hosts, troubles },
    ...{ isUp: power.isUp, down: power.down, up: power.up, plan: power.plan },
    known: { catalog, hosts: hosts.map(({ name }) => name), coordinator: first.name },
    get carried() {
      return carried;
    },
    guestsOn: (name) => running.get(name)?.guests.live ?? 0,
    act: (vm, what) => [...running.values()].some(({ guests }) => guests.act(vm, what)),
    inspector: sandboxInspector({ clock, store, replica, hosts, running }),
    runningAt,
    close: async () => {
      await power.close();
      await replica.close();
    },
  };
};

/** Switches hosts off and on. */
const powerOf = ({ world, hosts, running, silentMs: waitMs }: Running) => {
  const { store, clock, log } = world;
  const timers = new Set<() => void>();
  const find = (name: string): SandboxHost | undefined => hosts.find((host) => host.name === name);
  const later = (delayMs: number, run: () => void): void => {
    const cancel = clock.after(delayMs, () => {
      timers.delete(cancel);
      run();
    });
    timers.add(cancel);
  };
  const boot = (host: SandboxHost): RunningHost => {
    const booted = runningHost(world, host);
    running.set(host.name, booted);
    return booted;
  };
  const declare = async ({ ref }: SandboxHost): Promise<void> => {
    await store.commit((tx) => {
      const { metrics } = tx.require('host', ref);
      tx.patch('host_metrics', metrics, { live: false, last_updated: dateTimeOf(clock.now()) });
    });
    await endPendingTasks(store, clock.now(), (one) => one === ref);
  };
  const failed = (host: string) => (error: unknown) =>
    log.error({ error, host }, 'A host could not be switched');
  const down = (name: string): boolean => {
    const [host, runs] = [find(name), running.get(name)];
    if (host === undefined || runs === undefined || host === hosts[0]) return false;
    running.delete(name);
    runs.losePower();
    // Others notice by its silence.
    later(waitMs, () => {
      if (!running.has(name)) declare(host).catch(failed(name));
    });
    return true;
  };
  const up = async (name: string): Promise<boolean> => {
    const host = find(name);
    if (host === undefined || running.has(name)) return false;
    const booted = boot(host);
    world.shared.reconnect(host.ref);
    await booted.begin(true);
    return true;
  };
  return {
    boot,
    down,
    up,
    isUp: (name: string) => running.has(name),
    plan: (outages: readonly Outage[]) => {
      for (const { host, downAtS, upAtS } of outages) {
        later(downAtS * 1000, () => down(host));
        if (upAtS !== undefined) later(upAtS * 1000, () => void up(host).catch(failed(host)));
      }
    },
    close: async () => {
      for (const cancel of timers) cancel();
      for (const { guests, objects, life } of running.values()) {
        await guests.close();
        objects.stop();
        life.end();
      }
    },
  };
};

const latencyOf = (
  [leastMs, mostMs]: SandboxOptions['latencyMs'],
  random: SeededRandom,
): HostWorld['takeTime'] =>
  mostMs === 0
    ? () => atOnce
    : (clock, signal, progress) =>
        passing(clock, leastMs + random.fraction() * (mostMs - leastMs), signal, progress);

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
