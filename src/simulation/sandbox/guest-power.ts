import { simKept } from '../../daemons/xenopsd/sim-kept.ts';
import { type VmState, XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { StorageError } from '../../drivers/storage/storage.ts';
import type { Clock } from '../../std/clock.ts';
import type { GuestReports } from '../guest-reports.ts';
import type { SimulatedGuest } from '../guest-state.ts';
import type { GuestDisks } from '../volumes.ts';

/** How guests of one host come to life and end: at once, and told to whoever watches. */
export interface GuestPower {
  /** Leaves it paused. Throws what storage refuses, and then nothing of it stays. */
  begin(guest: SimulatedGuest): void;
  end(guest: SimulatedGuest, power: 'Halted' | 'Suspended'): void;
  restart(guest: SimulatedGuest): void;
  become(guest: SimulatedGuest, power: 'Running' | 'Paused'): void;
  /** Goes on here with a guest that ran elsewhere. */
  takeOver(guest: SimulatedGuest): void;
  openDisks(guest: SimulatedGuest): void;
  closeDisks(guest: SimulatedGuest): void;
  announce(guest: SimulatedGuest): void;
}

export const live: readonly VmState['power_state'][] = ['Running', 'Paused'];

/** What a disk is held by. */
export const datapathOf = ({ domid }: SimulatedGuest, device: string): string => `vbd/${domid}/${device}`;

export const storageError = (error: unknown): unknown =>
  error instanceof StorageError
    ? new XenopsError('Storage_backend_error', [error.code, [...error.params]])
    : error;

export const guestPower = (given: {
  readonly clock: Clock;
  readonly disks: GuestDisks;
  readonly reports: Pick<GuestReports, 'announce'>;
}): GuestPower => {
  const { clock, disks, reports } = given;
  let domids = 0;

  const announce = ({ metadata: { vm }, vbds, vifs }: SimulatedGuest): void => {
    for (const device of vbds.keys()) reports.announce(['Vbd', [vm.id, device]]);
    for (const device of vifs.keys()) reports.announce(['Vif', [vm.id, device]]);
    reports.announce(['Vm', vm.id]);
  };
  const closeDisks = (guest: SimulatedGuest): void => {
    for (const device of guest.vbds.keys()) disks.release(datapathOf(guest, device));
  };
  const openDisks = (guest: SimulatedGuest): void => {
    try {
      for (const [device, { backend, mode }] of guest.vbds) {
        if (backend !== undefined) disks.hold(backend, datapathOf(guest, device), mode === 'ReadWrite');
      }
    } catch (error) {
      closeDisks(guest);
      throw storageError(error);
    }
  };
  const arrive = (guest: SimulatedGuest): void => {
    domids += 1;
    guest.domid = domids;
    openDisks(guest);
  };
  const become = (guest: SimulatedGuest, power: 'Running' | 'Paused'): void => {
    guest.power = power;
    announce(guest);
  };
  const begin = (guest: SimulatedGuest): void => {
    arrive(guest);
    const { vm } = guest.metadata;
    Object.assign(guest, { memory: vm.memory_dynamic_max, vcpus: vm.vcpus });
    guest.startTime = Math.floor(clock.now() / 1000);
    guest.kept = simKept(vm, guest.domid, guest.kept);
    for (const device of [...guest.vbds.keys(), ...guest.vifs.keys()]) guest.plugged.add(device);
    become(guest, 'Paused');
  };
  const end = (guest: SimulatedGuest, power: 'Halted' | 'Suspended'): void => {
    closeDisks(guest);
    guest.plugged.clear();
    guest.power = power;
    announce(guest);
  };
  return {
    begin,
    end,
    become,
    restart: (guest) => {
      end(guest, 'Halted');
      begin(guest);
      become(guest, 'Running');
    },
    takeOver: (guest) => {
      arrive(guest);
      announce(guest);
    },
    ...{ openDisks, closeDisks, announce },
  };
};
