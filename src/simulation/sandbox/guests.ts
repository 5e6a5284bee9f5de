import {
  type DeviceId,
  type Hypervisor,
  type OnExit,
  type Vm,
  type VmState,
  type XenopsDisk,
  XenopsError,
  type XenopsWork,
} from '../../drivers/hypervisor/hypervisor.ts';
import { lost } from '../../drivers/hypervisor/xenops-call.ts';
import { StorageError } from '../../drivers/storage/storage.ts';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import { struct } from '../../std/value.ts';
import { guestReports } from '../guest-reports.ts';
import { addressesOf, devicesOf, type Guest, isLive, newGuest, stateOf } from '../guest-state.ts';
import type { GuestDisks } from './volumes.ts';

/** The hypervisor of one simulated host: guests are entries of a table that do nothing, unless a test has them. */
export interface Guests extends Hypervisor {
  /** A guest that runs does this by itself. False when there is none. */
  act(vm: string, what: GuestAct): boolean;
  /** The machine loses its power, and all guests with it. Nobody hears of it until it is on again. */
  losePower(): void;
  regainPower(): void;
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
  take(guest: Guest): void;
}

export const guestsMax = 10_000;
/** The note that goes with a VM whose memory is on a disk. */
const SUSPENDED = '{"suspended":true}';

export const simulatedGuests = (options: GuestsOptions): Guests & GuestsPeer => {
  const { clock, disks } = options;
  const guests = new Map<string, Guest>();
  let domids = 0;
  let on = true;

  const stat = async (vm: string): Promise<VmState | undefined> => {
    assertOn();
    const guest = guests.get(vm);
    return guest && stateOf(guest, addressesOf(guest));
  };
  const reports = guestReports({ ...options, stat });
  const assertOn = (): void => {
    if (!on) throw lost(`${options.name} has no power`);
  };
  const find = (vm: string): Guest => {
    assertOn();
    const guest = guests.get(vm);
    if (guest === undefined) throw new XenopsError('Does_not_exist', ['VM', vm]);
    return guest;
  };
  const announce = ({ metadata: { vm }, vbds, vifs }: Guest): void => {
    for (const device of vbds.keys()) reports.announce(['Vbd', [vm.id, device]]);
    for (const device of vifs.keys()) reports.announce(['Vif', [vm.id, device]]);
    reports.announce(['Vm', vm.id]);
  };
  const demand = (guest: Guest, ...states: readonly Guest['power'][]): void => {
    if (!states.includes(guest.power)) {
      throw new XenopsError('Bad_power_state', [guest.power, states[0] ?? 'Running']);
    }
  };
  /** Lets an operation's time pass; the VM is as it must be before and after. */
  const operate = async (vm: string, states: readonly Guest['power'][], work: XenopsWork): Promise<Guest> => {
    demand(find(vm), ...states);
    if (work.signal.aborted) throw cancelled(work);
    await options.takeTime(work.signal, work.progress).catch(() => {
      throw cancelled(work);
    });
    const guest = find(vm);
    demand(guest, ...states);
    return guest;
  };

  const datapath = ({ domid }: Guest, device: string): string => `vbd/${domid}/${device}`;
  const openDisks = (guest: Guest): void => {
    for (const [device, { backend, mode }] of guest.vbds) {
      if (backend !== undefined) disks.hold(backend, datapath(guest, device), mode === 'ReadWrite');
    }
  };
  const closeDisks = (guest: Guest): void => {
    for (const device of guest.vbds.keys()) disks.release(datapath(guest, device));
  };
  const begin = (guest: Guest): void => {
    domids += 1;
    guest.domid = domids;
    try {
      openDisks(guest);
    } catch (error) {
      closeDisks(guest);
      throw storageError(error);
    }
    const { vm } = guest.metadata;
    Object.assign(guest, { power: 'Paused', memory: vm.memory_dynamic_max, vcpus: vm.vcpus });
    guest.startTime = Math.floor(clock.now() / 1000);
    for (const device of [...guest.vbds.keys(), ...guest.vifs.keys()]) guest.plugged.add(device);
    announce(guest);
  };
  const end = (guest: Guest, power: 'Halted' | 'Suspended'): void => {
    closeDisks(guest);
    guest.plugged.clear();
    guest.power = power;
    announce(guest);
  };
  const restart = (guest: Guest): void => {
    end(guest, 'Halted');
    begin(guest);
    guest.power = 'Running';
    announce(guest);
  };
  const become = (guest: Guest, power: 'Running' | 'Paused'): void => {
    guest.power = power;
    announce(guest);
  };
  const live = ['Running', 'Paused'] as const;

  const table: Pick<Hypervisor, 'importMetadata' | 'exportMetadata' | 'list' | 'remove'> = {
    importMetadata: async (metadata) => {
      assertOn();
      const { id } = metadata.vm;
      const known = guests.get(id);
      if (known === undefined) {
        if (guests.size >= guestsMax) {
          throw new XenopsError('Internal_error', [`${guestsMax} VMs are known already; remove some`]);
        }
        guests.set(id, newGuest(metadata));
      } else {
        // One that runs keeps the devices that it has.
        Object.assign(known, { metadata }, isLive(known) ? {} : devicesOf(metadata));
        if (!isLive(known)) known.power = metadata.domains === undefined ? 'Halted' : 'Suspended';
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
      const guest = find(id);
      demand(guest, 'Halted', 'Suspended');
      guests.delete(id);
    },
  };

  return {
    ...table,
    ...deviceMethods({ find, disks, reports, datapath, operate }),
    query: async () => ({ name: 'simulated', version: '1.0', features: [], instanceId: options.name }),
    hostStat: async () => struct({}),
    stat,
    start: async (id, _force, work) => begin(await operate(id, ['Halted'], work)),
    resume: async (id, _from, work) => begin(await operate(id, ['Suspended'], work)),
    unpause: async (id, work) => become(await operate(id, live, work), 'Running'),
    pause: async (id, work) => become(await operate(id, live, work), 'Paused'),
    shutdown: async (id, timeoutS, work) => {
      if (timeoutS !== undefined) demand(find(id), 'Running');
      const guest = await operate(id, ['Running', 'Paused', 'Halted'], work);
      if (isLive(guest)) end(guest, 'Halted');
    },
    reboot: async (id, _timeoutS, work) => restart(await operate(id, live, work)),
    suspend: async (id, _into, work) => end(await operate(id, ['Running'], work), 'Suspended'),
    migrate: async (id, { url }, work) => {
      const guest = await operate(id, live, work);
      const peer = options.peer(url);
      if (peer === undefined) throw lost(`nobody answers at ${url}`);
      closeDisks(guest);
      try {
        peer.take(guest);
      } catch (error) {
        openDisks(guest);
        throw error;
      }
      guests.delete(id);
      reports.announce(['Vm', id]);
    },
    setVcpus: async (id, count, work) => {
      const guest = await operate(id, live, work);
      guest.vcpus = count;
      announce(guest);
    },
    setMemoryDynamicRange: async (id, _minimum, maximum, work) => {
      const guest = await operate(id, live, work);
      guest.memory = maximum;
      announce(guest);
    },
    setXsdata: async (id, data, work) => {
      const guest = await operate(id, live, work);
      guest.xsdata = new Map([...guest.xsdata, ...data]);
      announce(guest);
    },
    watch: reports.watch,
    barrier: reports.barrier,
    refresh: async (id) => announce(find(id)),
    close: reports.close,

    take: (moved) => {
      assertOn();
      const guest: Guest = { ...moved, domid: domids + 1 };
      try {
        openDisks(guest);
      } catch (error) {
        closeDisks(guest);
        throw storageError(error);
      }
      domids += 1;
      guests.set(guest.metadata.vm.id, guest);
      announce(guest);
    },
    act: (vm, what) => {
      const guest = on ? guests.get(vm) : undefined;
      if (guest?.power !== 'Running') return false;
      const does = afterwards(guest.metadata.vm, what);
      if (does.includes('Start') || does.includes('Softreboot')) restart(guest);
      else if (does.includes('Pause')) become(guest, 'Paused');
      else end(guest, 'Halted');
      return true;
    },
    losePower: () => {
      on = false;
      for (const guest of guests.values()) closeDisks(guest);
      guests.clear();
      reports.lose();
    },
    regainPower: () => {
      on = true;
      reports.comeBack();
    },
    get live() {
      return [...guests.values()].filter(isLive).length;
    },
  };
};

/** What follows when a guest ends by itself, as its settings say. */
const afterwards = (vm: Vm, what: GuestAct): readonly OnExit[] => {
  if (what === 'reboot') return vm.on_reboot;
  return what === 'crash' ? vm.on_crash : vm.on_shutdown;
};

const cancelled = ({ debugInfo }: XenopsWork): XenopsError => new XenopsError('Cancelled', [debugInfo]);

const storageError = (error: unknown): unknown =>
  error instanceof StorageError
    ? new XenopsError('Storage_backend_error', [error.code, [...error.params]])
    : error;

type DeviceMethods =
  | 'addVbd'
  | 'removeVbd'
  | 'plugVbd'
  | 'unplugVbd'
  | 'insertVbd'
  | 'ejectVbd'
  | 'statVbd'
  | 'addVif'
  | 'removeVif'
  | 'plugVif'
  | 'unplugVif'
  | 'moveVif'
  | 'statVif';

const deviceMethods = (given: {
  readonly find: (vm: string) => Guest;
  readonly disks: GuestDisks;
  readonly reports: ReturnType<typeof guestReports>;
  readonly datapath: (guest: Guest, device: string) => string;
  readonly operate: (vm: string, states: readonly Guest['power'][], work: XenopsWork) => Promise<Guest>;
}): Pick<Hypervisor, DeviceMethods> => {
  const { find, disks, reports, datapath, operate } = given;
  const live = ['Running', 'Paused'] as const;
  const hold = (guest: Guest, device: string, disk: XenopsDisk | undefined, writable: boolean): void => {
    try {
      if (disk !== undefined) disks.hold(disk, datapath(guest, device), writable);
    } catch (error) {
      throw storageError(error);
    }
  };
  const stat = async ([vm, device]: DeviceId): Promise<{ active: boolean; plugged: boolean }> => {
    const guest = find(vm);
    return { active: guest.plugged.has(device), plugged: guest.plugged.has(device) };
  };
  const vbdOf = (guest: Guest, [vm, device]: DeviceId) => {
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
      disks.release(datapath(guest, id[1]));
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
      disks.release(datapath(guest, id[1]));
      guest.vbds.set(id[1], empty);
      reports.announce(['Vbd', id]);
    },
    statVbd: stat,
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
    statVif: stat,
  };
};
