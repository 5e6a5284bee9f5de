import { readJson } from '../../codec/jsonrpc-reader.ts';
import type { DeviceId, Vbd, Vif, Vm, VmState, XenopsMetadata } from '../../drivers/hypervisor/hypervisor.ts';
import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { metadataOf, metadataText } from '../../rpc/xenops/types.ts';
import type { Log } from '../../std/log.ts';
import { boolOf, countOf, itemsOf, jsonOf, member, optional, required, stringOf } from '../../std/reader.ts';
import type { Guest } from './backend.ts';
import type { Journal } from './journal.ts';
import type { Datapath } from './storage.ts';

/** One VM as the daemon knows it. What survives a restart of the daemon is in `noteOf`. */
export interface Machine {
  readonly id: string;
  vm: Vm;
  readonly vbds: Map<string, Vbd>;
  readonly vifs: Map<string, Vif>;
  /** The domain that is being built, or that is there. */
  domid: number | undefined;
  /** Undefined until a guest is built, and again once it is gone. */
  guest: LiveGuest | undefined;
  suspended: boolean;
  /** Between two domains of one reboot: to everybody else the VM runs on. */
  rebooting: boolean;
  /** What the guest did by itself that nobody has dealt with yet. */
  exited: Exit | undefined;
  readonly exitWatchers: Set<() => void>;
  /** Times in a row that it restarted by itself soon after its start. */
  quickRestarts: number;
  guestAgent: ReadonlyMap<string, string>;
  /** Disks that storage holds for this VM, by datapath. */
  readonly datapaths: Map<string, Datapath>;
  /** On its way from another host: it is not here yet, and nobody is told of it. */
  arriving: Arriving | undefined;
  /** On its way to another host. */
  departing: Departing | undefined;
  /** Ends the migration that is under way, in either direction, unless it was decided. */
  cut: AbortController | undefined;
}

export interface Arriving {
  /** What both hosts know the migration by. */
  readonly token: string;
  /** Its memory has begun to come. */
  begun: boolean;
  /** Set once its memory is here. */
  guest: Guest | undefined;
}

export interface Departing {
  readonly token: string;
  /** How the destination is reached. */
  readonly url: string;
  /** The destination was asked to take the guest over: whose it is can only be learnt from there. */
  readonly asked: boolean;
}

export type Exit = 'poweroff' | 'reboot' | 'crash';

export interface LiveGuest {
  state: Guest['state'];
  readonly consoles: Guest['consoles'];
  memoryActual: bigint;
  readonly startTime: number;
  readonly vbds: Set<string>;
  readonly vifs: Set<string>;
}

export interface Machines {
  find(id: string): Machine;
  get(id: string): Machine | undefined;
  all(): readonly Machine[];
  /** Like `get` and `all`, with those that are arriving. */
  getAny(id: string): Machine | undefined;
  allAny(): readonly Machine[];
  /** Adds a VM or replaces what was known about it; one that is running goes on. */
  put(metadata: XenopsMetadata): Machine;
  remove(id: string): Promise<void>;
  /** Resolves once a restarted daemon would know it. */
  save(machine: Machine): Promise<void>;
  /** A number that no domain had before. */
  nextDomid(): number;
}

export const VMS_MAX = 10_000;

export const openMachines = (journal: Journal, log: Log): Machines => {
  const machines = new Map<string, Machine>();
  let lastDomid = Number(journal.entries.get(DOMID_KEY) ?? 0);

  for (const [key, text] of journal.entries) {
    if (key === DOMID_KEY) continue;
    try {
      machines.set(key, machineOfNote(readNote(text)));
    } catch (error) {
      log.error({ vm: key, error }, 'what was kept about a VM cannot be read; it has to be imported again');
    }
  }
  const get = (id: string): Machine | undefined => {
    const machine = machines.get(id);
    return machine?.arriving === undefined ? machine : undefined;
  };
  return {
    find: (id) => {
      const machine = get(id);
      if (machine === undefined) throw new XenopsError('Does_not_exist', ['VM', id]);
      return machine;
    },
    get,
    all: () => [...machines.values()].filter(({ arriving }) => arriving === undefined),
    getAny: (id) => machines.get(id),
    allAny: () => [...machines.values()],
    put: (metadata) => {
      const { id } = metadata.vm;
      const known = machines.get(id);
      if (known === undefined && machines.size >= VMS_MAX) {
        throw new XenopsError('Internal_error', [`${VMS_MAX} VMs are known already; remove some`]);
      }
      const machine = known ?? emptyMachine(metadata.vm);
      replaceMetadata(machine, metadata);
      machines.set(id, machine);
      return machine;
    },
    remove: async (id) => {
      machines.delete(id);
      await journal.put(id, undefined);
    },
    save: (machine) => journal.put(machine.id, JSON.stringify(noteOf(machine))),
    nextDomid: () => {
      lastDomid += 1;
      // Not awaited: it is in the file before what is saved next, which names the domain.
      void journal.put(DOMID_KEY, String(lastDomid)).catch(() => {});
      return lastDomid;
    },
  };
};

const DOMID_KEY = 'last domid';

const emptyMachine = (vm: Vm): Machine => ({
  id: vm.id,
  vm,
  vbds: new Map(),
  vifs: new Map(),
  domid: undefined,
  guest: undefined,
  suspended: false,
  rebooting: false,
  exited: undefined,
  exitWatchers: new Set(),
  quickRestarts: 0,
  guestAgent: new Map(),
  datapaths: new Map(),
  arriving: undefined,
  departing: undefined,
  cut: undefined,
});

const replaceMetadata = (machine: Machine, { vm, vbds, vifs, domains }: XenopsMetadata): void => {
  machine.vm = vm;
  machine.vbds.clear();
  machine.vifs.clear();
  for (const vbd of vbds) machine.vbds.set(vbd.id[1], vbd);
  for (const vif of vifs) machine.vifs.set(vif.id[1], vif);
  if (machine.domid === undefined) machine.suspended = domains === SUSPENDED;
};

export const newArrival = (token: string): Arriving => ({ token, begun: false, guest: undefined });

/** The opaque note that goes with a VM whose memory is in a file. */
const SUSPENDED = '{"suspended":true}';

/** The opaque note that goes with a VM whose memory will follow through a stream. */
export const migratingNote = (token: string): string => JSON.stringify({ migrating: token });

export const tokenOfNote = (domains: string | undefined): string | undefined => {
  if (domains === undefined || !domains.includes('migrating')) return undefined;
  return stringOf(member(readJson(domains), 'migrating'), 'the token of a migration');
};

export const metadataOfMachine = (machine: Machine): XenopsMetadata => ({
  vm: machine.vm,
  vbds: [...machine.vbds.values()],
  vifs: [...machine.vifs.values()],
  ...(machine.suspended ? { domains: SUSPENDED } : {}),
});

interface Note {
  readonly metadata: string;
  readonly domid?: number;
  readonly built: boolean;
  readonly datapaths: readonly Datapath[];
  readonly arriving?: string;
  readonly departing?: Departing;
}

const noteOf = (machine: Machine): Note => ({
  metadata: metadataText(metadataOfMachine(machine)),
  ...(machine.domid === undefined ? {} : { domid: machine.domid }),
  built: machine.guest !== undefined,
  datapaths: [...machine.datapaths.values()],
  ...(machine.arriving === undefined ? {} : { arriving: machine.arriving.token }),
  ...(machine.departing === undefined ? {} : { departing: machine.departing }),
});

const readNote = (text: string): Note => {
  const note = jsonOf(text, 'the note');
  const domid = optional(note, 'domid', countOf);
  const arriving = optional(note, 'arriving', stringOf);
  const departing = optional(note, 'departing', readDeparting);
  return {
    metadata: required(note, 'metadata', stringOf),
    ...(domid !== undefined && { domid }),
    built: required(note, 'built', boolOf),
    datapaths: itemsOf(member(note, 'datapaths'), readDatapath, 'datapaths'),
    ...(arriving !== undefined && { arriving }),
    ...(departing !== undefined && { departing }),
  };
};

const readDatapath = (value: unknown): Datapath => ({
  name: required(value, 'name', stringOf),
  sr: required(value, 'sr', stringOf),
  vdi: required(value, 'vdi', stringOf),
  domain: required(value, 'domain', stringOf),
});

const readDeparting = (value: unknown): Departing => ({
  token: required(value, 'token', stringOf),
  url: required(value, 'url', stringOf),
  asked: required(value, 'asked', boolOf),
});

/** The guest itself is for the backend to find again: only that it was built is known. */
const machineOfNote = (note: Note): Machine => {
  const metadata = metadataOf(note.metadata);
  const machine = emptyMachine(metadata.vm);
  replaceMetadata(machine, metadata);
  machine.domid = note.built || note.arriving !== undefined ? note.domid : undefined;
  machine.arriving = note.arriving === undefined ? undefined : newArrival(note.arriving);
  machine.departing = note.departing;
  for (const path of note.datapaths) machine.datapaths.set(path.name, path);
  return machine;
};

export const liveGuest = (guest: Guest): LiveGuest => ({
  state: guest.state,
  consoles: guest.consoles,
  memoryActual: guest.memoryActual,
  startTime: guest.startTime,
  vbds: new Set(guest.disks),
  vifs: new Set(guest.vifs),
});

/** What is known of a guest that ended while nobody looked. */
export const goneGuest = (): LiveGuest => ({
  state: 'running',
  consoles: [],
  memoryActual: 0n,
  startTime: 0,
  vbds: new Set(),
  vifs: new Set(),
});

export const powerStateOf = (machine: Machine): VmState['power_state'] => {
  if (machine.rebooting) return 'Running';
  if (machine.guest !== undefined) return machine.guest.state === 'running' ? 'Running' : 'Paused';
  return machine.suspended ? 'Suspended' : 'Halted';
};

export const stateOf = (machine: Machine): VmState => {
  const { vm, guest, guestAgent } = machine;
  const hvm = vm.boot.type === 'HVM';
  return {
    power_state: powerStateOf(machine),
    domids: guest === undefined || machine.domid === undefined ? [] : [machine.domid],
    consoles: guest?.consoles ?? [],
    memory_target: guest === undefined ? 0n : vm.memory_dynamic_max,
    memory_actual: guest?.memoryActual ?? 0n,
    memory_limit: guest === undefined ? 0n : vm.memory_static_max,
    vcpu_target: guest === undefined ? 0 : vm.vcpus,
    guest_agent: guest === undefined ? new Map() : guestAgent,
    xsdata_state: vm.xsdata,
    pv_drivers_detected: guest !== undefined && guestAgent.has(PV_DRIVERS),
    last_start_time: guest?.startTime ?? 0,
    hvm,
    nomigrate: vm.platformdata.get('nomigrate') === 'true',
    nested_virt: vm.platformdata.get('nested-virt') === 'true',
    domain_type: guest === undefined ? 'Domain_undefined' : `Domain_${vm.boot.type}`,
    rtc_timeoffset: vm.boot.type === 'HVM' ? vm.boot.timeoffset : '',
    featureset: '',
  };
};

/** A guest tells that it drives paravirtual devices by this key. */
const PV_DRIVERS = 'attr/PVAddons/MajorVersion';

export const vbdOfMachine = (machine: Machine, id: DeviceId): Vbd => {
  const vbd = machine.vbds.get(id[1]);
  if (vbd === undefined) throw new XenopsError('Does_not_exist', ['VBD', `${id[0]}.${id[1]}`]);
  return vbd;
};

export const vifOfMachine = (machine: Machine, id: DeviceId): Vif => {
  const vif = machine.vifs.get(id[1]);
  if (vif === undefined) throw new XenopsError('Does_not_exist', ['VIF', `${id[0]}.${id[1]}`]);
  return vif;
};
