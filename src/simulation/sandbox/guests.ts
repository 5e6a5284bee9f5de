import { assumedCapabilities } from '../../drivers/capabilities.ts';
import {
  type DeviceId,
  type DeviceState,
  type Hypervisor,
  LIVE_DISKS,
  type OnExit,
  type Vm,
  type VmState,
  type XenopsDisk,
  XenopsError,
  type XenopsWork,
} from '../../drivers/hypervisor/hypervisor.ts';
import { lost } from '../../rpc/xenops/call.ts';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import { type GuestReports, guestReports } from '../guest-reports.ts';
import { addressesOf, devicesOf, isLive, newGuest, type SimulatedGuest, stateOf } from '../guest-state.ts';
import type { GuestDisks } from '../volumes.ts';
import { datapathOf, type GuestPower, guestPower, live, storageError } from './guest-power.ts';

/**
 * The hypervisor of one simulated host: guests are entries of a table that do nothing, unless a test has
 * them.
 */
export interface Guests extends Hypervisor {
  /** A guest that runs does this by itself. False when there is none. */
  act(vm: string, what: GuestAct): boolean;
  /** The machine loses its power, and all guests with it. Nobody hears of it, and it never comes back. */
  losePower(): void;
  /** Guests that run or stand still here. */
  readonly live: number;
}

export type GuestAct = 'poweroff' | 'reboot' | 'crash';

export interface GuestsOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly disks: GuestDisks;
  /** Takes as long as an operation takes. */
  readonly takeTime: (signal: AbortSignal, progress?: (fraction: number) => void) => Promise<void>;
  /** The hypervisor of the host that a migration's URL names. */
  readonly peer: (url: string) => GuestsPeer | undefined;
}

/** What one hypervisor does for another. */
export interface GuestsPeer {
  /** Takes a guest over as it is; throws what keeps it from coming. */
  take(guest: SimulatedGuest): void;
}

export const guestsMax = 10_000;
/** The note that goes with a VM whose memory is on a disk. */
const SUSPENDED = '{"suspended":true}';

/** The table of guests, and what every operation does with it first. */
interface Table {
  readonly guests: Map<string, SimulatedGuest>;
  readonly assertOn: () => void;
  readonly find: (vm: string) => SimulatedGuest;
  /** Lets an operation's time pass; the VM is in one of the states before and after. */
  readonly operate: (
    vm: string,
    states: readonly SimulatedGuest['power'][],
    work: XenopsWork,
  ) => Promise<SimulatedGuest>;
}

export const simulatedGuests = (options: GuestsOptions): Guests & GuestsPeer => {
  let on = true;
  const assertOn = (): void => {
    if (!on) throw lost(`${options.name} has no power`);
  };
  const table = tableOf(options, assertOn);
  const { guests, find } = table;
  const stat = async (vm: string): Promise<VmState | undefined> => {
    assertOn();
    const guest = guests.get(vm);
    return guest && stateOf(guest, addressesOf(guest));
  };
  const reports = guestReports({ ...options, stat });
  const power = guestPower({ ...options, reports });
  const act = (vm: string, what: GuestAct): boolean => {
    const guest = on ? guests.get(vm) : undefined;
    if (guest?.power !== 'Running') return false;
    const does = afterwards(guest.metadata.vm, what);
    if (does.includes('Start') || does.includes('Softreboot')) power.restart(guest);
    else if (does.includes('Pause')) power.become(guest, 'Paused');
    else power.end(guest, 'Halted');
    return true;
  };
  return {
    ...metadataMethods(table),
    ...powerMethods({ ...table, power, reports, act, peer: options.peer }),
    ...deviceMethods({ ...table, reports, disks: options.disks }),
    query: async () => ({
      name: 'simulated',
      version: '1.0',
      features: [LIVE_DISKS],
      capabilities: assumedCapabilities,
      instanceId: options.name,
    }),
    hostStat: async () => ({ version: 'simulated', features: new Map() }),
    stat,
    watch: reports.watch,
    barrier: reports.barrier,
    attend: reports.attend,
    refresh: async (id) => power.announce(find(id)),
    reportAgain: (id) => reports.announce(['Vm', id]),
    close: reports.close,

    take: (moved) => {
      assertOn();
      const guest: SimulatedGuest = { ...moved };
      power.takeOver(guest);
      guests.set(guest.metadata.vm.id, guest);
    },
    act,
    losePower: () => {
      on = false;
      for (const guest of guests.values()) power.closeDisks(guest);
      guests.clear();
      reports.lose();
    },
    get live() {
      return [...guests.values()].filter(isLive).length;
    },
  };
};

const demand = (guest: SimulatedGuest, states: readonly SimulatedGuest['power'][]): void => {
  if (!states.includes(guest.power)) {
    throw new XenopsError('Bad_power_state', [guest.power, states[0] ?? 'Running']);
  }
};

const tableOf = ({ takeTime }: GuestsOptions, assertOn: () => void): Table => {
  const guests = new Map<string, SimulatedGuest>();
  const find = (vm: string): SimulatedGuest => {
    assertOn();
    const guest = guests.get(vm);
    if (guest === undefined) throw new XenopsError('Does_not_exist', ['VM', vm]);
    return guest;
  };
  return {
    guests,
    assertOn,
    find,
    operate: async (vm, states, work) => {
      demand(find(vm), states);
      if (work.signal.aborted) throw cancelled(work);
      await takeTime(work.signal, work.progress).catch(() => {
        throw cancelled(work);
      });
      const guest = find(vm);
      demand(guest, states);
      return guest;
    },
  };
};

const metadataMethods = ({
  guests,
  assertOn,
  find,
}: Table): Pick<
  Hypervisor,
  'importMetadata' | 'exportMetadata' | 'kept' | 'setKept' | 'list' | 'remove'
> => ({
  kept: async (id) => find(id).kept,
  setKept: async (id, kept) => {
    find(id).kept = kept;
  },
  importMetadata: async (metadata) => {
    assertOn();
    const { id } = metadata.vm;
    const known = guests.get(id);
    if (known === undefined) {
      if (guests.size >= guestsMax) {
        throw new XenopsError('Internal_error', [`${guestsMax} VMs are known already; remove some`]);
      }
      guests.set(id, newGuest(metadata));
    } else if (isLive(known)) known.metadata = metadata;
    else {
      // One that runs keeps the devices that it has.
      const power = metadata.domains === undefined ? 'Halted' : 'Suspended';
      Object.assign(known, { metadata, power, ...devicesOf(metadata) });
    }
    return id;
  },
  exportMetadata: async (id) => {
    const { metadata, power } = find(id);
    return power === 'Suspended' ? { ...metadata, domains: SUSPENDED } : metadata;
  },
  list: async () => {
    assertOn();
    return [...guests].map(([id, guest]) => ({ id, state: stateOf(guest, addressesOf(guest)) }));
  },
  remove: async (id) => {
    demand(find(id), ['Halted', 'Suspended']);
    guests.delete(id);
  },
});

type PowerMethods =
  | 'start'
  | 'resume'
  | 'unpause'
  | 'pause'
  | 'shutdown'
  | 'reboot'
  | 'suspend'
  | 'migrate'
  | 'setVcpus'
  | 'setMemoryDynamicRange'
  | 'turn'
  | 'setXsdata'
  | 'setShadowMultiplier'
  | 'sendSysrq'
  | 'sendTrigger'
  | 'requestRdp'
  | 'runScript';

const powerMethods = (
  given: Table & {
    readonly power: GuestPower;
    readonly reports: GuestReports;
    readonly peer: GuestsOptions['peer'];
    readonly act: (vm: string, what: GuestAct) => boolean;
  },
): Pick<Hypervisor, PowerMethods> => {
  const { guests, find, operate, power, reports } = given;
  const change = async (
    id: string,
    work: XenopsWork,
    make: (guest: SimulatedGuest) => void,
  ): Promise<void> => {
    const guest = await operate(id, live, work);
    make(guest);
    power.announce(guest);
  };
  /** A guest that runs is told something, and makes nothing of it. */
  const ask = async (id: string, work: XenopsWork): Promise<void> => {
    await operate(id, ['Running'], work);
  };
  return {
    start: async (id, _force, work) => power.begin(await operate(id, ['Halted'], work)),
    resume: async (id, _from, work) => power.begin(await operate(id, ['Suspended'], work)),
    unpause: async (id, work) => power.become(await operate(id, live, work), 'Running'),
    pause: async (id, work) => power.become(await operate(id, live, work), 'Paused'),
    shutdown: async (id, timeoutS, work) => {
      if (timeoutS !== undefined) demand(find(id), ['Running']);
      const guest = await operate(id, [...live, 'Halted'], work);
      if (isLive(guest)) power.end(guest, 'Halted');
    },
    reboot: async (id, _timeoutS, work) => power.restart(await operate(id, live, work)),
    suspend: async (id, _into, work) => power.end(await operate(id, live, work), 'Suspended'),
    migrate: async (id, { url }, work) => {
      const guest = await operate(id, live, work);
      const peer = given.peer(url);
      if (peer === undefined) throw lost(`nobody answers at ${url}`);
      // A disk has one writer, so it is let go here in the moment in which it is taken there.
      power.closeDisks(guest);
      try {
        peer.take(guest);
      } catch (error) {
        power.openDisks(guest);
        throw error;
      }
      guests.delete(id);
      reports.announce(['Vm', id]);
    },
    setVcpus: (id, count, work) =>
      change(id, work, (guest) => {
        guest.vcpus = count;
      }),
    setMemoryDynamicRange: (id, _minimum, maximum, work) =>
      change(id, work, (guest) => {
        guest.memory = maximum;
      }),
    turn: async () => {},
    setXsdata: (id, data, work) =>
      change(id, work, (guest) => {
        guest.xsdata = new Map([...guest.xsdata, ...data]);
      }),
    setShadowMultiplier: (id, _multiplier, work) => ask(id, work),
    sendSysrq: (id, _key, work) => ask(id, work),
    sendTrigger: async (id, trigger, work) => {
      await ask(id, work);
      if (trigger === 'power') given.act(id, 'poweroff');
      if (trigger === 'reset') given.act(id, 'reboot');
    },
    requestRdp: (id, _enabled, work) => ask(id, work),
    runScript: async (id, _script, work) => {
      await ask(id, work);
      return { rc: 0, stdout: '', stderr: '' };
    },
  };
};

/** What follows when a guest ends by itself, as its settings say. */
const afterwards = (vm: Vm, what: GuestAct): readonly OnExit[] => {
  if (what === 'reboot') return vm.on_reboot;
  return what === 'crash' ? vm.on_crash : vm.on_shutdown;
};

const cancelled = ({ debugInfo }: XenopsWork): XenopsError => new XenopsError('Cancelled', [debugInfo]);

type DeviceMethods =
  | 'addVbd'
  | 'removeVbd'
  | 'plugVbd'
  | 'unplugVbd'
  | 'insertVbd'
  | 'ejectVbd'
  | 'overlayVbd'
  | 'mirrorVbd'
  | 'growVbd'
  | 'statVbd'
  | 'addVif'
  | 'removeVif'
  | 'plugVif'
  | 'unplugVif'
  | 'moveVif'
  | 'setVifLocking'
  | 'statVif';

const deviceMethods = (
  given: Table & { readonly disks: GuestDisks; readonly reports: GuestReports },
): Pick<Hypervisor, DeviceMethods> => {
  const { find, disks, reports, operate } = given;
  const hold = (
    guest: SimulatedGuest,
    device: string,
    disk: XenopsDisk | undefined,
    writable: boolean,
  ): void => {
    try {
      if (disk !== undefined) disks.hold(disk, datapathOf(guest, device), writable);
    } catch (error) {
      throw storageError(error);
    }
  };
  const stat = async ([vm, device]: DeviceId): Promise<DeviceState> => {
    const guest = find(vm);
    return { active: guest.plugged.has(device), plugged: guest.plugged.has(device) };
  };
  const vbdOf = (guest: SimulatedGuest, [vm, device]: DeviceId) => {
    const vbd = guest.vbds.get(device);
    if (vbd === undefined) throw new XenopsError('Does_not_exist', ['VBD', `${vm}.${device}`]);
    return vbd;
  };
  return {
    addVbd: async (vbd) => void find(vbd.id[0]).vbds.set(vbd.id[1], vbd),
    removeVbd: async ([vm, device]) => void find(vm).vbds.delete(device),
    plugVbd: async (id, work) => {
      const guest = await operate(id[0], live, work);
      const { backend, mode } = vbdOf(guest, id);
      hold(guest, id[1], backend, mode === 'ReadWrite');
      guest.plugged.add(id[1]);
      reports.announce(['Vbd', id]);
    },
    unplugVbd: async (id, _force, work) => {
      const guest = await operate(id[0], live, work);
      disks.release(datapathOf(guest, id[1]));
      guest.plugged.delete(id[1]);
      reports.announce(['Vbd', id]);
    },
    insertVbd: async (id, disk, work) => {
      const guest = await operate(id[0], live, work);
      const vbd = vbdOf(guest, id);
      if (vbd.backend !== undefined) throw new XenopsError('Media_present', []);
      hold(guest, id[1], disk, false);
      guest.vbds.set(id[1], { ...vbd, backend: disk });
      reports.announce(['Vbd', id]);
    },
    ejectVbd: async (id, work) => {
      const guest = await operate(id[0], live, work);
      const { backend, ...empty } = vbdOf(guest, id);
      if (backend === undefined) throw new XenopsError('Media_not_present', []);
      disks.release(datapathOf(guest, id[1]));
      guest.vbds.set(id[1], empty);
      reports.announce(['Vbd', id]);
    },
    overlayVbd: async (id, work) => void (await operate(id[0], live, work)),
    mirrorVbd: async (id, into, work) => {
      const guest = await operate(id[0], live, work);
      const vbd = vbdOf(guest, id);
      if (vbd.backend === undefined) throw new XenopsError('Media_not_present', []);
      try {
        disks.exchange(vbd.backend, into, datapathOf(guest, id[1]), vbd.mode === 'ReadWrite');
      } catch (error) {
        throw storageError(error);
      }
      guest.vbds.set(id[1], { ...vbd, backend: into });
      reports.announce(['Vbd', id]);
    },
    growVbd: async (id, _sizeBytes, work) => void (await operate(id[0], live, work)),
    statVbd: async (id) => {
      const { backend } = vbdOf(find(id[0]), id);
      return { ...(await stat(id)), ...(backend && { disk: backend }) };
    },
    addVif: async (vif) => void find(vif.id[0]).vifs.set(vif.id[1], vif),
    removeVif: async ([vm, device]) => void find(vm).vifs.delete(device),
    plugVif: async (id, work) => {
      (await operate(id[0], live, work)).plugged.add(id[1]);
      reports.announce(['Vif', id]);
    },
    unplugVif: async (id, _force, work) => {
      (await operate(id[0], live, work)).plugged.delete(id[1]);
      reports.announce(['Vif', id]);
    },
    moveVif: async (id, network, work) => {
      const guest = await operate(id[0], live, work);
      const vif = guest.vifs.get(id[1]);
      if (vif === undefined) throw new XenopsError('Does_not_exist', ['VIF', id.join('.')]);
      guest.vifs.set(id[1], { ...vif, backend: network });
    },
    setVifLocking: async (id, locking_mode, work) => {
      const guest = await operate(id[0], live, work);
      const vif = guest.vifs.get(id[1]);
      if (vif === undefined) throw new XenopsError('Does_not_exist', ['VIF', id.join('.')]);
      guest.vifs.set(id[1], { ...vif, locking_mode });
    },
    statVif: stat,
  };
};
