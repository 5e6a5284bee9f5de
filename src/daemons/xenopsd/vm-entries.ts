import { readJson } from '../../codec/jsonrpc-reader.ts';
import type {
  DeviceId,
  Kept,
  Vbd,
  Vif,
  Vm,
  VmState,
  XenopsMetadata,
} from '../../drivers/hypervisor/hypervisor.ts';
import { keptIn, XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { metadataOf, metadataText } from '../../rpc/xenops/types.ts';
import type { Log } from '../../std/log.ts';
import {
  boolOf,
  countOf,
  itemsOf,
  jsonOf,
  member,
  optional,
  required,
  stringOf,
  textsOf,
} from '../../std/reader.ts';
import type { Guest } from './backend.ts';
import type { Journal } from './journal.ts';
import type { Datapath } from './storage.ts';

/** One VM as the daemon knows it. What survives a restart of the daemon is in `noteOf`. */
export interface VmEntry {
  readonly id: string;
  vm: Vm;
  readonly vbds: Map<string, Vbd>;
  readonly vifs: Map<string, Vif>;
  /** The domain that is being built, or that is there. */
  domid: number | undefined;
  /** Undefined until a guest is built, and again once it is gone. */
  guest: LiveGuest | undefined;
  suspended: boolean;
  /** What its devices have kept of its last guest, for the next one; nothing while there is one. */
  kept: Kept;
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

export type Exit = 'poweroff' | 'reboot' | 'crash' | 'lost';

export interface LiveGuest {
  state: Guest['state'];
  readonly consoles: Guest['consoles'];
  memoryActual: bigint;
  readonly startTime: number;
  readonly features: string;
  readonly vbds: Set<string>;
  readonly vifs: Set<string>;
}

export interface VmEntries {
  find(id: string): VmEntry;
  get(id: string): VmEntry | undefined;
  all(): readonly VmEntry[];
  /** Like `get` and `all`, with those that are arriving. */
  getAny(id: string): VmEntry | undefined;
  allAny(): readonly VmEntry[];
  /** Adds a VM or replaces what was known about it; one that is running goes on. */
  put(metadata: XenopsMetadata): VmEntry;
  remove(id: string): Promise<void>;
  /** Resolves once a restarted daemon would know it. */
  save(entry: VmEntry): Promise<void>;
  /** A number that no domain had before. */
  nextDomid(): number;
}

export const VMS_MAX = 10_000;

export const openVmEntries = (journal: Journal, log: Log): VmEntries => {
  const entries = new Map<string, VmEntry>();
  let lastDomid = Number(journal.entries.get(DOMID_KEY) ?? 0);

  for (const [key, text] of journal.entries) {
    if (key === DOMID_KEY) continue;
    try {
      entries.set(key, entryOfNote(readNote(text)));
    } catch (error) {
      log.error({ vm: key, error }, 'what was kept about a VM cannot be read; it has to be imported again');
    }
  }
  const get = (id: string): VmEntry | undefined => {
    const entry = entries.get(id);
    return entry?.arriving === undefined ? entry : undefined;
  };
  return {
    find: (id) => {
      const entry = get(id);
      if (entry === undefined) throw new XenopsError('Does_not_exist', ['VM', id]);
      return entry;
    },
    get,
    all: () => [...entries.values()].filter(({ arriving }) => arriving === undefined),
    getAny: (id) => entries.get(id),
    allAny: () => [...entries.values()],
    put: (metadata) => {
      const { id } = metadata.vm;
      const known = entries.get(id);
      if (known === undefined && entries.size >= VMS_MAX) {
        throw new XenopsError('Internal_error', [`${VMS_MAX} VMs are known already; remove some`]);
      }
      const entry = known ?? newEntry(metadata.vm);
      replaceMetadata(entry, metadata);
      entries.set(id, entry);
      return entry;
    },
    remove: async (id) => {
      entries.delete(id);
      await journal.put(id, undefined);
    },
    save: (entry) => journal.put(entry.id, JSON.stringify(noteOf(entry))),
    nextDomid: () => {
      lastDomid += 1;
      // Not awaited: it is in the file before what is saved next, which names the domain.
      void journal.put(DOMID_KEY, String(lastDomid)).catch(() => {});
      return lastDomid;
    },
  };
};

const DOMID_KEY = 'last domid';

const newEntry = (vm: Vm): VmEntry => ({
  id: vm.id,
  vm,
  vbds: new Map(),
  vifs: new Map(),
  domid: undefined,
  guest: undefined,
  suspended: false,
  kept: new Map(),
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

const replaceMetadata = (entry: VmEntry, { vm, vbds, vifs, domains }: XenopsMetadata): void => {
  entry.vm = vm;
  entry.vbds.clear();
  entry.vifs.clear();
  for (const vbd of vbds) entry.vbds.set(vbd.id[1], vbd);
  for (const vif of vifs) entry.vifs.set(vif.id[1], vif);
  if (entry.domid === undefined) entry.suspended = domains === SUSPENDED;
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

export const metadataOfEntry = (entry: VmEntry): XenopsMetadata => ({
  vm: entry.vm,
  vbds: [...entry.vbds.values()],
  vifs: [...entry.vifs.values()],
  ...(entry.suspended ? { domains: SUSPENDED } : {}),
});

interface Note {
  readonly metadata: string;
  readonly domid?: number;
  readonly built: boolean;
  readonly datapaths: readonly Datapath[];
  readonly kept: Kept;
  readonly arriving?: string;
  readonly departing?: Departing;
}

const noteOf = (entry: VmEntry): object => ({
  ...(entry.kept.size > 0 && { kept: Object.fromEntries(entry.kept) }),
  metadata: metadataText(metadataOfEntry(entry)),
  ...(entry.domid === undefined ? {} : { domid: entry.domid }),
  built: entry.guest !== undefined,
  datapaths: [...entry.datapaths.values()],
  ...(entry.arriving === undefined ? {} : { arriving: entry.arriving.token }),
  ...(entry.departing === undefined ? {} : { departing: entry.departing }),
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
    kept: keptIn(optional(note, 'kept', textsOf) ?? []),
    ...(arriving !== undefined && { arriving }),
    ...(departing !== undefined && { departing }),
  };
};

const readDatapath = (value: unknown): Datapath => ({
  name: required(value, 'name', stringOf),
  sr: required(value, 'sr', stringOf),
  vdi: required(value, 'vdi', stringOf),
  domain: required(value, 'domain', stringOf),
  reopening: optional(value, 'reopening', boolOf) ?? false,
});

const readDeparting = (value: unknown): Departing => ({
  token: required(value, 'token', stringOf),
  url: required(value, 'url', stringOf),
  asked: required(value, 'asked', boolOf),
});

/** The guest itself is for the backend to find again: only that it was built is known. */
const entryOfNote = (note: Note): VmEntry => {
  const metadata = metadataOf(note.metadata);
  const entry = newEntry(metadata.vm);
  replaceMetadata(entry, metadata);
  entry.domid = note.built || note.arriving !== undefined ? note.domid : undefined;
  entry.arriving = note.arriving === undefined ? undefined : newArrival(note.arriving);
  entry.departing = note.departing;
  entry.kept = note.kept;
  for (const path of note.datapaths) entry.datapaths.set(path.name, path);
  return entry;
};

export const liveGuest = (guest: Guest): LiveGuest => ({
  state: guest.state,
  consoles: guest.consoles,
  memoryActual: guest.memoryActual,
  startTime: guest.startTime,
  features: guest.features ?? '',
  vbds: new Set(guest.disks),
  vifs: new Set(guest.vifs),
});

/** What is known of a guest that ended while nobody looked. */
export const goneGuest = (): LiveGuest => ({
  state: 'running',
  consoles: [],
  memoryActual: 0n,
  startTime: 0,
  features: '',
  vbds: new Set(),
  vifs: new Set(),
});

export const powerStateOf = (entry: VmEntry): VmState['power_state'] => {
  if (entry.rebooting) return 'Running';
  if (entry.guest !== undefined) return entry.guest.state === 'running' ? 'Running' : 'Paused';
  return entry.suspended ? 'Suspended' : 'Halted';
};

export const stateOf = (entry: VmEntry): VmState => {
  const { vm, guest, guestAgent } = entry;
  const hvm = vm.boot.type === 'HVM';
  return {
    power_state: powerStateOf(entry),
    domids: guest === undefined || entry.domid === undefined ? [] : [entry.domid],
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
    featureset: guest?.features ?? '',
  };
};

/** A guest tells that it drives paravirtual devices by this key. */
const PV_DRIVERS = 'attr/PVAddons/MajorVersion';

export const vbdOfEntry = (entry: VmEntry, id: DeviceId): Vbd => {
  const vbd = entry.vbds.get(id[1]);
  if (vbd === undefined) throw new XenopsError('Does_not_exist', ['VBD', `${id[0]}.${id[1]}`]);
  return vbd;
};

export const vifOfEntry = (entry: VmEntry, id: DeviceId): Vif => {
  const vif = entry.vifs.get(id[1]);
  if (vif === undefined) throw new XenopsError('Does_not_exist', ['VIF', `${id[0]}.${id[1]}`]);
  return vif;
};
