import { assumedCapabilities } from '../../drivers/capabilities.ts';
import type { Disk } from '../../drivers/disk.ts';
import { keptIn, LIVE_DISKS, XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { type Clock, sleep } from '../../std/clock.ts';
import { own } from '../../std/own.ts';
import type { Backend, Guest, GuestDisk, GuestSpec, Report } from './backend.ts';
import { guestAgent } from './sim-agent.ts';
import {
  type GuestAct,
  type SimConfig,
  type SimOperation,
  type SimRules,
  simTrigger,
  takeFault,
} from './sim-config.ts';
import { type SimGuest, type SimGuests, writable } from './sim-guests.ts';
import { simKept } from './sim-kept.ts';
import { type HappenInSteps, simMigration } from './sim-migration.ts';

export interface SimOptions {
  /** Where guests are kept. */
  readonly guests: SimGuests;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly config?: SimConfig;
  /** Copies the bytes of a disk. Absent: disks here have none. */
  readonly copy?: CopyBytes;
}

type CopyBytes = (from: GuestDisk, into: GuestDisk, signal: AbortSignal) => Promise<void>;
const noBytes: CopyBytes = async () => {};

/**
 * Guests that are entries and do nothing: what a host's hypervisor looks like, without one. They outlive
 * the daemon as real ones would, where they are kept so. Delays, faults and what guests do by themselves
 * come from the configuration and from DEBUG.trigger.
 */
export const simBackend = ({ guests, disk, clock, config, copy = noBytes }: SimOptions): Backend => {
  const rules: SimRules = { delaysMs: { ...config?.delaysMs }, faults: [...(config?.faults ?? [])] };
  let report: Report = () => {};
  const acts = guestActs(clock, guests, (vm, what) => report(vm, what));

  const failIfDue = (operation: SimOperation, vm: string): void => {
    const fault = takeFault(rules.faults, operation, vm);
    if (fault !== undefined) throw fault.error ?? new XenopsError('Internal_error', ['a simulated fault']);
  };
  /** Takes as long as the rules say, and fails when they say so. */
  const happen = async (operation: SimOperation, vm: string, signal?: AbortSignal): Promise<void> => {
    const delayMs = rules.delaysMs[operation] ?? 0;
    if (delayMs > 0) await sleep(clock, delayMs, signal);
    failIfDue(operation, vm);
  };
  const happenInSteps: HappenInSteps = async (operation, vm, steps, { signal }, step) => {
    for (let done = 1; done <= steps; done += 1) {
      signal.throwIfAborted();
      const delayMs = (rules.delaysMs[operation] ?? 0) / steps;
      if (delayMs > 0) await sleep(clock, delayMs, signal);
      await step(done);
    }
    failIfDue(operation, vm);
  };
  const run = async (vm: string): Promise<void> => {
    await guests.change(vm, { state: 'running' });
    report(vm, { guestAgent });
  };
  const end = async (vm: string): Promise<void> => {
    acts.forget(vm);
    await guests.remove(vm);
  };

  return {
    name: 'xenopsd-sim',
    version: '1.0',
    capabilities: async () => assumedCapabilities,
    features: ['VM.set_vcpus', 'VM.set_memory_dynamic_range', 'VIF.move', LIVE_DISKS],
    recover: async (_known, tell) => {
      report = tell;
      const found = await guests.load();
      for (const { vm, state } of found) if (state === 'running') report(vm, { guestAgent });
      return found;
    },
    create: async (spec, work) => {
      await happen('start', spec.vm.id, work.signal);
      return guests.add(newGuest(clock, spec));
    },
    unpause: async (vm) => {
      await happen('unpause', vm);
      await run(vm);
    },
    pause: async (vm) => {
      await happen('pause', vm);
      await guests.change(vm, { state: 'paused' });
    },
    ask: async (vm, what) => {
      guests.find(vm);
      await happen(what, vm);
      const operation = `guest-${what}` as const;
      // A guest with this fault does not listen.
      if (takeFault(rules.faults, operation, vm) === undefined)
        acts.plan(vm, what, rules.delaysMs[operation] ?? 0);
    },
    destroy: async (vm) => {
      await happen('destroy', vm);
      await end(vm);
    },
    suspend: async (vm, path, work) => {
      guests.find(vm);
      await happen('suspend', vm, work.signal);
      await writeImage(disk, path, `${IMAGE_MARK}${vm}\n`);
      await work.asleep?.();
      await end(vm);
    },
    resume: async (spec, path, work) => {
      await happen('resume', spec.vm.id, work.signal);
      // A clone, or a VM that came as a file, has the memory of the one that fell asleep.
      if (!(await readImage(disk, path)).startsWith(IMAGE_MARK))
        throw new XenopsError('Internal_error', [`${path} does not hold the memory of a VM`]);
      return guests.add(newGuest(clock, spec));
    },
    ...simDevices(guests, happen, copy),
    ...simMigration(guests, happen, happenInSteps, (spec) => guests.add(newGuest(clock, spec)), run),
    ...simAsked(guests, happen, (vm, what) => acts.plan(vm, what, rules.delaysMs[`guest-${what}`] ?? 0)),
    trigger: async (command, args) =>
      simTrigger(command, args, rules, (vm, what) => acts.plan(guests.find(vm).vm, what, 0)),
    hostStat: async () => ({
      ...{ cpuCount: 8, cpuModel: 'Simulated CPU', features: [] },
      hypervisorVersion: '4.17.0',
    }),
    close: async () => {
      acts.close();
      await guests.close();
    },
  };
};

type Devices =
  | 'kept'
  | 'plugVbd'
  | 'unplugVbd'
  | 'changeMedium'
  | 'overlayVbd'
  | 'mirrorVbd'
  | 'imageOf'
  | 'growVbd'
  | 'plugVif'
  | 'unplugVif'
  | 'moveVif'
  | 'lockVif'
  | 'setVcpus'
  | 'setMemory';

type Asked = 'setShadowMultiplier' | 'sendSysrq' | 'sendTrigger' | 'requestRdp' | 'runScript';

/** A simulated guest does what its machine makes it do; keys and scripts it takes, and does nothing. */
const simAsked = (
  guests: SimGuests,
  happen: (operation: SimOperation, vm: string, signal?: AbortSignal) => Promise<void>,
  plan: (vm: string, what: 'poweroff' | 'reboot') => void,
): Required<Pick<Backend, Asked>> => {
  const take = async (vm: string, signal?: AbortSignal): Promise<void> => {
    guests.find(vm);
    await happen('ask', vm, signal);
  };
  return {
    setShadowMultiplier: (vm) => take(vm),
    sendSysrq: (vm) => take(vm),
    sendTrigger: async (vm, trigger) => {
      await take(vm);
      if (trigger === 'power') plan(vm, 'poweroff');
      if (trigger === 'reset') plan(vm, 'reboot');
    },
    requestRdp: (vm) => take(vm),
    runScript: async (vm, _script, signal) => {
      await take(vm, signal);
      return { rc: 0, stdout: '', stderr: '' };
    },
  };
};

const simDevices = (
  guests: SimGuests,
  happen: (operation: SimOperation, vm: string, signal?: AbortSignal) => Promise<void>,
  copy: CopyBytes,
): Required<Pick<Backend, Devices>> => {
  const merely = async (operation: SimOperation, vm: string): Promise<void> => {
    guests.find(vm);
    await happen(operation, vm);
  };
  const replace = async (
    operation: 'plug' | 'unplug',
    vm: string,
    list: 'disks' | 'vifs',
    device: string,
  ): Promise<void> => {
    await happen(operation, vm);
    const others = guests.find(vm)[list].filter((each) => each !== device);
    await guests.change(vm, { [list]: operation === 'plug' ? [...others, device] : others });
  };
  /** From now on. */
  const writesTo = (vm: string, disk: GuestDisk): Promise<void> =>
    guests.change(vm, { writes: { ...guests.find(vm).writes, ...writable([disk]) } });
  return {
    kept: async (vm) => keptIn(Object.entries(guests.get(vm)?.kept ?? {})),
    plugVbd: async (vm, disk) => {
      await replace('plug', vm, 'disks', disk.vbd.id[1]);
      await writesTo(vm, disk);
    },
    unplugVbd: async (vm, [, device]) => {
      await replace('unplug', vm, 'disks', device);
      const { [device]: _, ...writes } = guests.find(vm).writes ?? {};
      await guests.change(vm, { writes });
    },
    changeMedium: (vm) => merely('medium', vm),
    overlayVbd: async (vm, disk) => {
      await merely('overlay', vm);
      await writesTo(vm, disk);
    },
    mirrorVbd: async (vm, from, into, { signal, whole }) => {
      await copy(from, into, signal);
      guests.find(vm);
      await happen('mirror', vm, signal);
      await whole();
      await writesTo(vm, into);
    },
    imageOf: async (vm, [, device]) => own(guests.find(vm).writes ?? {}, device),
    growVbd: (vm) => merely('grow', vm),
    plugVif: (vm, vif) => replace('plug', vm, 'vifs', vif.id[1]),
    unplugVif: (vm, id) => replace('unplug', vm, 'vifs', id[1]),
    moveVif: (vm) => merely('move', vm),
    lockVif: (vm) => merely('set', vm),
    setVcpus: (vm) => merely('set', vm),
    setMemory: async (vm, _minimum, maximum) => {
      await happen('set', vm);
      await guests.change(vm, { memory: String(maximum) });
      return maximum;
    },
  };
};

/** What guests are about to do by themselves, one thing each. */
const guestActs = (
  clock: Clock,
  guests: SimGuests,
  report: (vm: string, what: GuestAct) => void,
): { plan(vm: string, what: GuestAct, delayMs: number): void; forget(vm: string): void; close(): void } => {
  const planned = new Map<string, () => void>();
  const forget = (vm: string): void => {
    planned.get(vm)?.();
    planned.delete(vm);
  };
  return {
    plan: (vm, what, delayMs) => {
      forget(vm);
      const act = (): void => {
        planned.delete(vm);
        if (guests.get(vm)?.state === 'running') report(vm, what);
      };
      planned.set(vm, clock.after(delayMs, act));
    },
    forget,
    close: () => {
      for (const vm of [...planned.keys()]) forget(vm);
    },
  };
};

const newGuest = (clock: Clock, { domid, vm, disks, vifs, kept }: GuestSpec): SimGuest => ({
  vm: vm.id,
  name: vm.name,
  domid,
  startTime: clock.now() / 1000,
  memory: String(vm.memory_dynamic_max),
  state: 'paused' satisfies Guest['state'],
  disks: disks.map(({ vbd }) => vbd.id[1]),
  vifs: vifs.map(({ id }) => id[1]),
  writes: writable(disks),
  kept: Object.fromEntries(simKept(vm, domid, kept)),
});

/** What a saved memory image begins with. */
const IMAGE_MARK = 'xenact simulated memory of ';
const IMAGE_BYTES_MAX = 4_096;

/** A disk of storage is written where it is; a path that is not there becomes a file. */
const writeImage = async (disk: Disk, path: string, text: string): Promise<void> => {
  if (!(await disk.exists(path))) return disk.replaceText(path, text);
  const file = await disk.open(path, 'write');
  try {
    await file.write(Buffer.from(text), 0n);
  } finally {
    await file.close();
  }
};

const readImage = async (disk: Disk, path: string): Promise<string> => {
  const file = await disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(IMAGE_BYTES_MAX);
    return Buffer.from(bytes.subarray(0, await file.read(bytes, 0n))).toString('utf8');
  } finally {
    await file.close();
  }
};
