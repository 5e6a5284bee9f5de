import { type SimGuest, type SimGuests, shownGuest } from '../daemons/xenopsd/sim-guests.ts';
import { XenopsError } from '../drivers/hypervisor/hypervisor.ts';
import type { Life } from './life.ts';

/**
 * What really runs on one machine, whatever anybody believes: it outlives daemons and ends with the power.
 */
export interface MachineGuests {
  readonly all: ReadonlyMap<string, SimGuest>;
  /** The guests as one daemon has them. After its end it changes nothing, and hears nothing. */
  of(life: Life): SimGuests;
  losePower(): void;
}

/** `changed`: told of everything that begins, ends, is halted or moves. */
export const machineGuests = (changed: () => void): MachineGuests => {
  const guests = new Map<string, SimGuest>();
  const find = (vm: string): SimGuest => {
    const guest = guests.get(vm);
    if (guest === undefined) throw new XenopsError('Domain_not_built', []);
    return guest;
  };
  return {
    all: guests,
    losePower: () => {
      guests.clear();
      changed();
    },
    of: (life) => {
      const alive = async (make: () => void): Promise<void> => {
        if (life.state === 'ended') return unanswered();
        make();
        changed();
      };
      return {
        find,
        get: (vm) => guests.get(vm),
        load: async () => [...guests.values()].map((guest) => shownGuest(guest, [])),
        add: async (guest) => {
          await alive(() => guests.set(guest.vm, guest));
          return shownGuest(guest, []);
        },
        change: (vm, changes) => alive(() => Object.assign(find(vm), changes)),
        remove: (vm) => alive(() => guests.delete(vm)),
        close: async () => {},
      };
    },
  };
};

const unanswered = (): Promise<never> => new Promise(() => {});

/**
 * What breaks the rule that a guest runs, and a disk is written to, on one machine at most and by one guest.
 */
export const violationIn = (
  machines: readonly { readonly machine: string; readonly guests: ReadonlyMap<string, SimGuest> }[],
): string | undefined => {
  const at = new Map<string, string>();
  for (const { machine, guests } of machines) {
    for (const { vm, state, writes } of guests.values()) {
      if (state !== 'running') continue;
      for (const thing of [`VM ${vm}`, ...Object.values(writes ?? {}).map((path) => `disk ${path}`)]) {
        const other = at.get(thing);
        if (other !== undefined) return `${thing} is in use on ${other} and on ${machine} by ${vm}`;
        at.set(thing, `${machine} (VM ${vm})`);
      }
    }
  }
  return undefined;
};
