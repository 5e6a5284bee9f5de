import type { Disk } from '../../drivers/disk.ts';
import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import type { Network, Serving } from '../../drivers/network.ts';
import type { Log } from '../../std/log.ts';
import {
  countOf,
  floatOf,
  itemsOf,
  jsonOf,
  member,
  naturalOf,
  oneOf,
  optional,
  required,
  stringOf,
  textsOf,
} from '../../std/reader.ts';
import type { Guest, GuestDisk } from './backend.ts';
import { openJournal } from './journal.ts';
import { simConsole } from './sim-console.ts';

/** What is kept of a simulated guest. */
export interface SimGuest {
  readonly vm: string;
  readonly name: string;
  readonly domid: number;
  readonly startTime: number;
  /** Bytes, in decimal. */
  memory: string;
  state: Guest['state'];
  disks: readonly string[];
  vifs: readonly string[];
  /** What its devices keep. */
  kept?: Readonly<Record<string, string>>;
  /** Paths of the disks that it writes to while it runs, by device. */
  writes?: Readonly<Record<string, string>>;
}

export const writable = (disks: readonly GuestDisk[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    disks.flatMap(({ vbd, path }) =>
      path === undefined || vbd.mode === 'ReadOnly' ? [] : [[vbd.id[1], path]],
    ),
  );

/** The guests that there are, wherever they are kept. */
export interface SimGuests {
  find(vm: string): SimGuest;
  get(vm: string): SimGuest | undefined;
  /** All of them, also those of an earlier daemon. */
  load(): Promise<readonly Guest[]>;
  add(guest: SimGuest): Promise<Guest>;
  change(vm: string, changes: Partial<SimGuest>): Promise<void>;
  remove(vm: string): Promise<void>;
  close(): Promise<void>;
}

const guestStates = ['running', 'paused'] as const satisfies readonly Guest['state'][];

const readGuest = (text: string): SimGuest => {
  const guest = jsonOf(text, 'a simulated guest');
  return {
    vm: required(guest, 'vm', stringOf),
    name: required(guest, 'name', stringOf),
    domid: required(guest, 'domid', countOf),
    startTime: required(guest, 'startTime', floatOf),
    memory: String(required(guest, 'memory', naturalOf)),
    state: oneOf(member(guest, 'state'), guestStates, 'state'),
    disks: itemsOf(member(guest, 'disks'), stringOf, 'disks'),
    vifs: itemsOf(member(guest, 'vifs'), stringOf, 'vifs'),
    kept: Object.fromEntries(optional(guest, 'kept', textsOf) ?? []),
    writes: Object.fromEntries(optional(guest, 'writes', textsOf) ?? []),
  };
};

export const shownGuest = (guest: SimGuest, consoles: Guest['consoles']): Guest => ({
  vm: guest.vm,
  domid: guest.domid,
  state: guest.state,
  consoles,
  memoryActual: BigInt(guest.memory),
  startTime: guest.startTime,
  disks: guest.disks,
  vifs: guest.vifs,
});

/** Each console is a listening socket; guests beyond this many have none. */
const CONSOLES_MAX = 64;

/** Guests in a file that outlives the daemon. */
export const openSimGuests = async (given: {
  readonly state: string;
  readonly disk: Disk;
  readonly network: Network;
  readonly log: Log;
}): Promise<SimGuests> => {
  const { state, disk, network, log } = given;
  await disk.makeFolder(state);
  const journal = await openJournal(disk, `${state}/guests.journal`, log);
  const guests = new Map<string, SimGuest>();
  const consoles = new Map<string, Promise<Serving>>();

  const consolePath = ({ domid }: SimGuest): string => `${state}/console-${domid}`;
  const openConsole = async (guest: SimGuest): Promise<void> => {
    if (consoles.has(guest.vm) || consoles.size >= CONSOLES_MAX) return;
    const opened = simConsole(network, consolePath(guest), guest.name);
    consoles.set(guest.vm, opened);
    await opened.catch((error: unknown) => {
      consoles.delete(guest.vm);
      log.warn({ vm: guest.vm, error }, 'a simulated guest has no console');
    });
  };
  const shown = (guest: SimGuest): Guest =>
    shownGuest(
      guest,
      consoles.has(guest.vm) ? [{ protocol: 'Vt100', port: 0, path: consolePath(guest) }] : [],
    );
  const find = (vm: string): SimGuest => {
    const guest = guests.get(vm);
    if (guest === undefined) throw new XenopsError('Domain_not_built', []);
    return guest;
  };
  const save = (guest: SimGuest): Promise<void> => journal.put(guest.vm, JSON.stringify(guest));

  return {
    find,
    get: (vm) => guests.get(vm),
    load: async () => {
      for (const text of journal.entries.values()) {
        const guest = readGuest(text);
        guests.set(guest.vm, guest);
        await openConsole(guest);
      }
      return [...guests.values()].map(shown);
    },
    add: async (guest) => {
      guests.set(guest.vm, guest);
      await Promise.all([openConsole(guest), save(guest)]);
      return shown(guest);
    },
    change: (vm, changes) => save(Object.assign(find(vm), changes)),
    remove: async (vm) => {
      guests.delete(vm);
      const console = consoles.get(vm);
      consoles.delete(vm);
      await journal.put(vm, undefined);
      await (await console)?.close();
    },
    close: async () => {
      for (const console of consoles.values()) await (await console).close();
      await journal.close();
    },
  };
};
