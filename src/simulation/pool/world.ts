import type { Volume } from '../../drivers/storage/storage.ts';
import type { Turns } from '../../drivers/turns.ts';
import { type EngineSettings, type LogEngine, openEngineStore } from '../../engine/settings.ts';
import type { Ref } from '../../model/types.ts';
import { openStateFile } from '../../pool/state.ts';
import type { Log } from '../../std/log.ts';
import { type Life, lifeOf } from '../life.ts';
import { type Loop, loopOf } from '../loop.ts';
import { type MachineGuests, violationIn } from '../machine-guests.ts';
import { type MemoryMesh, memoryMesh } from '../memory-mesh.ts';
import { type MemoryNetwork, memoryNetwork } from '../memory-network.ts';
import type { SeededRandom } from '../random.ts';
import type { Trace } from '../trace.ts';
import { type VirtualClock, virtualClock } from '../virtual-clock.ts';
import { simulatedVolumes, type Volumes } from '../volumes.ts';
import { type Clusters, clustersOf } from './clusters.ts';
import { doorOf } from './door.ts';
import { openMachine, type SimulatedMachine } from './machine.ts';
import type { SimulationOptions } from './options.ts';
import { diskBytes, type Past, pastOf, spareOf } from './past.ts';
import {
  engineFolder,
  type Process,
  type Sabotage,
  startProcess,
  stateFile,
  stateFolder,
} from './process.ts';

/** A machine and what runs on it now. */
export interface WorldHost {
  readonly machine: SimulatedMachine;
  readonly name: string;
  /** As the program that was started last knows itself: who is put out of a pool begins as another host. */
  ref: Ref<'host'>;
  /** Operators and clients take it for a host of the pool. */
  belongs: boolean;
  process: Process | undefined;
  /** The process serves clients. */
  ready: boolean;
  power: 'on' | 'off';
  /** It was switched on, and no program was started since. */
  boots: boolean;
  /** How often the program was started. */
  runs: number;
}

/** What runs on the machines, whatever any toolstack believes. */
export interface Truth {
  /** Rises with each change of it. */
  readonly changes: number;
  /** What breaks the rule that a guest runs, and a disk is written to, on one machine at most. */
  violation(): string | undefined;
}

/** Machines, the ways between them, and time. */
export interface World {
  readonly options: SimulationOptions;
  readonly random: SeededRandom;
  readonly clock: VirtualClock;
  readonly loop: Loop;
  readonly trace: Trace;
  readonly mesh: MemoryMesh;
  /** Of etcd, where the log of the pool is in one. */
  readonly clusters: Clusters;
  /** What really runs on the machines. */
  readonly truth: Truth;
  readonly past: Past;
  readonly hosts: readonly WorldHost[];
  /** Starts the program; should its start fail it is tried again. */
  start(host: WorldHost): void;
  /** Ends the process at once, as a signal that nobody can catch does. */
  kill(host: WorldHost): void;
  /** Ends it in order, as a signal that can be caught does, and starts it again after a while. */
  stop(host: WorldHost, downMs: number): void;
  powerOff(host: WorldHost): void;
  powerOn(host: WorldHost): void;
  /** Told by whoever watches all processes as they come. */
  onProcess(run: (host: WorldHost, process: Process) => void): void;
  /** Hosts that were put out of the pool, as an operator was told. */
  readonly ejected: Set<Ref<'host'>>;
  /** Operators who have not finished, and what each waits for. */
  readonly operators: Map<object, string>;
  /** An operator has insisted that a host lead, so what others had answered may be set aside. */
  forced: boolean;
  /** What went wrong that nobody may ever see, such as a bug that was logged. */
  readonly bugs: string[];
}

export interface WorldOptions {
  readonly options: SimulationOptions;
  readonly random: SeededRandom;
  readonly turns: Turns;
  /** What people want to know of a run. */
  readonly trace: Trace;
  /** Every step of it. */
  readonly events: Pick<Trace, 'note'>;
  readonly sabotage: Sabotage;
}

/** Whoever supervises the program starts it again after this time. */
const restartMs = 1_000;

/** A stop that takes longer is ended. */
const stopMsMax = 30_000;

export const openWorld = async (given: WorldOptions): Promise<World> => {
  const { options, random, turns, trace, events, sabotage } = given;
  const clock = virtualClock(Date.UTC(2030, 0, 1), events);
  const past = await pastOf(options.hosts, options.vms);
  for (const { ref, uuid } of past.vms) trace.note(0, 'VM', ref, 'has the uuid', uuid);
  const mesh = memoryMesh({ clock, random: random.split('mesh'), conditions: options.network });
  const clusters = clustersOf({ clock, random: random.split('etcd'), travelMs: [0.1, 3] });
  const network = memoryNetwork({ random: random.split('network') });
  const bugs: string[] = [];
  const watchers: ((host: WorldHost, process: Process) => void)[] = [];
  const loop = loopOf({ clock, turns });
  const { hosts, truth } = await openHosts({ given, past, clock, loop, network, bugs });

  const start = (host: WorldHost): void => {
    if (host.power === 'off' || host.process !== undefined) return;
    host.runs += 1;
    const { boots } = host;
    host.boots = false;
    const { name, runs } = host;
    const life = lifeOf(name, clock);
    trace.note(clock.monotonicMs(), name, 'starts');
    const restart = (): void => {
      if (life.state === 'ended') return;
      kill(host);
      clock.after(restartMs, () => start(host));
    };
    const born = (process: Process): void => {
      if (life.state === 'ended') return;
      host.process = process;
      host.ref = process.context.host;
      for (const watcher of watchers) watcher(host, process);
    };
    host.process = { life } as Process;
    startProcess(
      {
        ...{ machine: host.machine, life, sabotage, restart, boots },
        random: random.split(`${name} ${runs}`),
        log: logOf(name, clock, trace, bugs),
        mesh: mesh.of(name, life),
        network: network.of(name, life),
        replicas: options.replicas,
        etcd: (id) => clusters.client(life, id),
        poolLog: poolLogOf(options.engine, past),
        door: doorOf({ clock, mesh, hosts }, { name, life }),
      },
      born,
    ).then(
      () => {
        if (life.state === 'ended') return;
        trace.note(clock.monotonicMs(), name, 'serves');
        host.ready = true;
      },
      (error: unknown) => {
        if (life.state === 'ended') return;
        trace.note(clock.monotonicMs(), name, 'could not start', String(error));
        restart();
      },
    );
  };
  const kill = (host: WorldHost): void => {
    const { process } = host;
    if (process === undefined) return;
    trace.note(clock.monotonicMs(), host.name, 'ends');
    host.process = undefined;
    host.ready = false;
    process.life.end();
  };
  return {
    ...{
      options,
      random,
      clock,
      loop,
      trace,
      mesh,
      clusters,
      truth,
      past,
      hosts,
      start,
      kill,
      bugs,
      ejected: new Set<Ref<'host'>>(),
      operators: new Map<object, string>(),
      forced: false,
    },
    stop: (host, downMs) => {
      const { process } = host;
      if (process === undefined) return;
      trace.note(clock.monotonicMs(), host.name, 'is stopped');
      host.ready = false;
      const end = (): void => {
        if (host.process !== process) return;
        kill(host);
        clock.after(downMs, () => start(host));
      };
      if (process.stop === undefined) return end();
      clock.after(stopMsMax, end);
      void process.stop().finally(end);
    },
    powerOff: (host) => {
      host.power = 'off';
      mesh.paths.setPower(host.name, false);
      kill(host);
      host.boots = true;
      host.machine.losePower();
    },
    powerOn: (host) => {
      if (host.power === 'on') return;
      host.power = 'on';
      mesh.paths.setPower(host.name, true);
      start(host);
    },
    onProcess: (run) => {
      watchers.push(run);
    },
  };
};

/** The machines of a world, as they are before anything runs on them. */
const openHosts = async (on: {
  readonly given: WorldOptions;
  readonly past: Past;
  readonly clock: VirtualClock;
  readonly loop: Loop;
  readonly network: MemoryNetwork;
  readonly bugs: string[];
}): Promise<{ readonly hosts: readonly WorldHost[]; readonly truth: Truth }> => {
  const { given, past, clock, loop, network, bugs } = on;
  const { options, random, trace, sabotage } = given;
  const machines: { readonly machine: string; readonly guests: MachineGuests['all'] }[] = [];
  const truth = { changes: 0, violation: () => violationIn(machines) };
  const volumes = volumesOf(past, random.split('volumes'));
  const hosts: WorldHost[] = [];
  const spares = Array.from({ length: options.spares }, (_, index) => spareOf(index));
  for (const [index, one] of [...past.hosts, ...spares].entries()) {
    const belongs = index < past.hosts.length;
    const machine = openMachine({
      ...{ past: one, clock, random, network, volumes, takes: options },
      sabotage: sabotage.backend,
      log: logOf(`xenopsd of ${one.machine}`, clock, trace, bugs),
      changed: () => {
        truth.changes += 1;
      },
    });
    machines.push({ machine: one.machine, guests: machine.guests.all });
    if (belongs) await setUp({ machine, past, leads: index === 0, engine: options.engine, clock, loop });
    else await machine.disk.of(lifeOf('set-up', clock)).makeFolder(stateFolder);
    const state = { process: undefined, ready: false, power: 'on', boots: true, runs: 0 } as const;
    hosts.push({ machine, name: one.machine, ref: one.host, belongs, ...state });
  }
  return { hosts, truth };
};

/** The shared repository with its disks. */
const volumesOf = ({ repository: { uuid, disks } }: Past, random: SeededRandom): Volumes => {
  const volumes = simulatedVolumes(random);
  volumes.add({ uuid, name: 'shared', description: '', type: 'nfs', totalBytes: 1n << 40n });
  for (const key of disks) volumes.addVolume(uuid, volumeOf(key));
  return volumes;
};

const volumeOf = (key: string): Volume => ({
  ...{ key, uuid: key, name: '', description: '', readWrite: true, sharable: false },
  ...{ virtualSizeBytes: diskBytes, physicalUtilisationBytes: 0n },
  keys: new Map([
    ['vdi-type', 'user'],
    ['image-format', 'raw'],
  ]),
});

/** What the disks of a host have before it is started for the first time. */
const setUp = async (given: {
  readonly machine: SimulatedMachine;
  readonly past: Past;
  readonly leads: boolean;
  readonly engine: LogEngine;
  readonly clock: VirtualClock;
  readonly loop: Loop;
}): Promise<void> => {
  const { machine, past, leads, engine, clock, loop } = given;
  const { disk, durable, host } = machine;
  const life: Life = lifeOf('set-up', clock);
  const files = disk.of(life);
  await files.makeFolder(stateFolder);
  const state = await openStateFile(files, stateFile);
  const role = leads ? 'coordinator' : 'member';
  await loop.finish(state.save({ host, role, epoch: 1, led: leads ? 1 : 0 }));
  await loop.finish(durable.of(life).write([{ ...past.rows, follows: !leads }]));
  const { cluster } = poolLogOf(engine, past);
  if (cluster === undefined) return;
  const settings = await openEngineStore(files, engineFolder);
  const settled = { use: engine, cluster: { ...cluster, ...(leads && { begins: true as const }) } };
  await loop.finish(settings.change(() => settled));
};

/** How the hosts of the pool reach its log. */
const poolLogOf = (use: LogEngine, { uuid: pool }: Past): EngineSettings =>
  use === 'primary' ? { use } : { use, cluster: { pool, endpoints: ['memory:1'], whole: true } };

const logOf = (name: string, clock: VirtualClock, trace: Trace, bugs: string[]): Log => {
  const note =
    (level: string) =>
    (context: object, message: string): void => {
      const about = Object.entries(context).map(([key, value]) => `${key}=${textOf(value)}`);
      trace.note(clock.monotonicMs(), name, level, message, ...about);
      if (level === 'error' && isBug((context as { error?: unknown }).error)) {
        bugs.push(`${name}: ${message}: ${textOf((context as { error?: unknown }).error)}`);
      }
    };
  return { debug: () => {}, info: note('info'), warn: note('warn'), error: note('error') };
};

const textOf = (value: unknown): string =>
  value instanceof Error
    ? `${value.name}: ${value.message}`
    : typeof value === 'object'
      ? JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? String(one) : one))
      : String(value);

/** Such as a property of nothing: always a mistake in the code. */
const isBug = (error: unknown): boolean =>
  error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
