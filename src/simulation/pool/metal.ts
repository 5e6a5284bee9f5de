import { assumedCapabilities } from '../../drivers/capabilities.ts';
import {
  type Hypervisor,
  type VmState,
  XenopsError,
  type XenopsMetadata,
  type XenopsWork,
} from '../../drivers/hypervisor/hypervisor.ts';
import { lost } from '../../rpc/xenops/call.ts';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import { guestReports } from '../guest-reports.ts';
import { type Guest, isLive, newGuest, stateOf } from '../guest-state.ts';
import type { Life } from '../life.ts';
import type { MeshPaths } from '../mesh-paths.ts';
import type { SeededRandom } from '../random.ts';

/**
 * What really runs on the machines of a simulated pool, whatever any toolstack believes. Guests outlive the
 * processes that started them and end with the power of their machine.
 */
export interface Metals {
  of(machine: string): Metal;
  /** Rises with each change of what runs anywhere. */
  readonly changes: number;
  /** What breaks the rule that a guest, and each disk that is written to, is on one machine at most. */
  violation(): string | undefined;
}

export interface Metal {
  readonly machine: string;
  readonly guests: ReadonlyMap<string, Guest>;
  /** The daemon of this machine as one process sees it; it is found by others as `metal:<machine>`. */
  of(life: Life, log: Log): Hypervisor;
  losePower(): void;
  regainPower(): void;
}

export interface MetalsOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly paths: MeshPaths;
  /** What an operation takes, evenly between the two. */
  readonly operationMs: readonly [least: number, most: number];
}

const urlPrefix = 'metal:';
export const urlOf = (machine: string): string => `${urlPrefix}${machine}`;

interface Daemon extends Metal {
  readonly guests: Map<string, Guest>;
  /** Which time of power it is; work that was begun in another one is gone. */
  readonly boot: number;
  announce(vm: string): void;
  nextDomid(): number;
}

export const metalsOf = (options: MetalsOptions): Metals => {
  const { clock, random, operationMs } = options;
  const daemons = new Map<string, Daemon>();
  let changes = 0;

  const takeTime = (): Promise<void> =>
    new Promise((resolve) => {
      const [least, most] = operationMs;
      clock.after(least + random.fraction() * (most - least), resolve);
    });

  const daemonOf = (machine: string): Daemon => {
    const guests = new Map<string, Guest>();
    const faces = new Set<(vm: string) => void>();
    let boot = 1;
    let domids = 0;
    const daemon: Daemon = {
      machine,
      guests,
      get boot() {
        return boot;
      },
      nextDomid: () => {
        domids += 1;
        return domids;
      },
      announce: (vm) => {
        changes += 1;
        for (const tell of faces) tell(vm);
      },
      of: (life, log) => faceOf({ daemon, life, log, faces, takeTime, find: peerAt(machine) }),
      losePower: () => {
        boot += 1;
        guests.clear();
        changes += 1;
      },
      regainPower: () => {},
    };
    return daemon;
  };

  /** The other machine, while packets get there and back. */
  const peerAt =
    (from: string) =>
    (url: string): Daemon | undefined => {
      const to = url.slice(urlPrefix.length);
      const { paths } = options;
      return paths.isOpen(from, to) && paths.isOpen(to, from) ? daemons.get(to) : undefined;
    };

  return {
    get changes() {
      return changes;
    },
    of: (machine) => {
      const known = daemons.get(machine) ?? daemonOf(machine);
      daemons.set(machine, known);
      return known;
    },
    violation: () => violationIn([...daemons.values()]),
  };
};

const violationIn = (daemons: readonly Metal[]): string | undefined => {
  const at = new Map<string, string>();
  for (const { machine, guests } of daemons) {
    for (const [uuid, guest] of guests) {
      if (!isLive(guest)) continue;
      const disks = [...guest.vbds.values()].filter(({ mode }) => mode === 'ReadWrite');
      const things = [
        `VM ${uuid}`,
        ...disks.flatMap(({ backend }) => (backend ? [`VDI ${backend[1]}`] : [])),
      ];
      for (const thing of things) {
        const other = at.get(thing);
        if (other !== undefined) return `${thing} is in use on ${other} and on ${machine} by ${uuid}`;
        at.set(thing, `${machine} (VM ${uuid})`);
      }
    }
  }
  return undefined;
};

interface Face {
  readonly daemon: Daemon;
  readonly life: Life;
  readonly log: Log;
  readonly faces: Set<(vm: string) => void>;
  readonly takeTime: () => Promise<void>;
  readonly find: (url: string) => Daemon | undefined;
}

/** The daemon through the eyes of one process: after the end of either nothing is answered any more. */
const faceOf = (face: Face): Hypervisor => {
  const { daemon, life, log, faces, takeTime } = face;
  const { guests } = daemon;

  const stat = async (vm: string): Promise<VmState | undefined> => {
    const guest = guests.get(vm);
    return guest && stateOf(guest, new Map());
  };
  const reports = guestReports({ stat, clock: life, log });
  const tell = (vm: string): void => {
    if (life.state !== 'ended') life.after(0, () => reports.announce(['Vm', vm]));
  };
  faces.add(tell);
  life.onEnd(() => faces.delete(tell));

  const find = (vm: string): Guest => {
    const guest = guests.get(vm);
    if (guest === undefined) throw new XenopsError('Does_not_exist', ['VM', vm]);
    return guest;
  };
  const demand = (guest: Guest, ...states: readonly Guest['power'][]): void => {
    if (!states.includes(guest.power)) {
      throw new XenopsError('Bad_power_state', [guest.power, states[0] ?? 'Running']);
    }
  };
  /** The daemon does it in its own time; whoever asked hears of it if he still is there. */
  const operate = async (
    vm: string,
    states: readonly Guest['power'][],
    work: XenopsWork,
    change: (guest: Guest) => void,
  ): Promise<void> => {
    if (life.state === 'ended') return gone();
    demand(find(vm), ...states);
    const { boot } = daemon;
    await takeTime();
    if (daemon.boot !== boot) return gone();
    try {
      if (work.signal.aborted) throw new XenopsError('Cancelled', [work.debugInfo]);
      const guest = find(vm);
      demand(guest, ...states);
      change(guest);
      daemon.announce(vm);
    } finally {
      await answered(life);
    }
  };
  const become = (power: 'Running' | 'Paused') => (guest: Guest) => {
    guest.power = power;
  };
  const begin = (guest: Guest): void => {
    guest.domid = daemon.nextDomid();
    guest.power = 'Paused';
    for (const device of [...guest.vbds.keys(), ...guest.vifs.keys()]) guest.plugged.add(device);
  };
  const end = (guest: Guest): void => {
    guest.plugged.clear();
    guest.power = 'Halted';
  };
  const leaveFor =
    (to: Daemon | undefined) =>
    (guest: Guest): void => {
      if (to === undefined) throw lost('the other host does not answer');
      const { id } = guest.metadata.vm;
      guests.delete(id);
      to.guests.set(id, { ...guest, domid: to.nextDomid(), plugged: new Set(guest.plugged) });
      to.announce(id);
    };
  const devices = async ([vm, device]: readonly [string, string]) => {
    const plugged = find(vm).plugged.has(device);
    return { active: plugged, plugged };
  };
  const live = ['Running', 'Paused'] as const;

  const known: Partial<Hypervisor> = {
    query: async () => ({
      name: 'simulated',
      version: '1.0',
      features: [],
      capabilities: assumedCapabilities,
      instanceId: daemon.machine,
    }),
    importMetadata: async (metadata: XenopsMetadata) => {
      const { id } = metadata.vm;
      const there = guests.get(id);
      if (there === undefined) guests.set(id, newGuest(metadata));
      else if (isLive(there)) there.metadata = metadata;
      else guests.set(id, newGuest(metadata));
      return id;
    },
    exportMetadata: async (id) => find(id).metadata,
    stat,
    list: async () => [...guests].map(([id, guest]) => ({ id, state: stateOf(guest, new Map()) })),
    remove: async (id) => {
      demand(find(id), 'Halted', 'Suspended');
      guests.delete(id);
    },
    start: (id, _force, work) => operate(id, ['Halted'], work, begin),
    unpause: (id, work) => operate(id, live, work, become('Running')),
    pause: (id, work) => operate(id, live, work, become('Paused')),
    shutdown: (id, _timeoutS, work) => operate(id, ['Running', 'Paused', 'Halted'], work, end),
    migrate: (id, { url }, work) =>
      operate(id, live, work, (guest) => {
        leaveFor(face.find(url))(guest);
      }),
    statVbd: devices,
    statVif: devices,
    watch: reports.watch,
    barrier: reports.barrier,
    refresh: async (id) => {
      find(id);
      tell(id);
      await answered(life);
    },
    close: reports.close,
  };
  return heard(life, known);
};

const gone = (): Promise<never> => new Promise(() => {});

/** In a turn of the process's own, so that one that is paused hears of it when it goes on. */
const answered = (life: Life): Promise<void> => new Promise((resolve) => void life.after(0, resolve));

/** A process that has ended gets no answers; what the pool under simulation never asks for fails loudly. */
const heard = (life: Life, known: Partial<Hypervisor>): Hypervisor =>
  new Proxy(known, {
    get: (target, name) => {
      const method = (target as Record<string | symbol, unknown>)[name];
      if (typeof method !== 'function') {
        return () => {
          throw new Error(`The simulated hypervisor has no ${String(name)}`);
        };
      }
      return (...args: unknown[]) => (life.state === 'ended' ? gone() : method(...args));
    },
  }) as Hypervisor;
