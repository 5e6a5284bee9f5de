import type { Guest, Report } from './backend.ts';
import { announceAll, announceVm, type Core, ownWork } from './core.ts';
import { releaseAll } from './disks.ts';
import { dealWithExit } from './lifecycle.ts';
import { type Exit, goneGuest, liveGuest, type Machine } from './machines.ts';
import { recoverArrival } from './migration/arrival.ts';
import type { Doubts } from './migration/doubts.ts';
import { takeTurn } from './queues.ts';

/** What guests do by themselves, while the daemon is there and while it is not. */
export interface Guests {
  /** Finds the guests again that outlived the last daemon, and cleans up after those that did not. */
  recover(): Promise<void>;
  /** Resolves once nothing is under way any more. */
  close(): Promise<void>;
}

export const followGuests = (core: Core, doubts: Doubts): Guests => {
  const running = new Set<Promise<void>>();
  const timers = new Set<() => void>();

  const inQueue = (machine: Machine, job: () => Promise<void>): void => {
    const done = takeTurn(core.queues, machine.id, undefined, job)
      .catch((error: unknown) =>
        core.log.error({ vm: machine.id, error }, 'what a guest did by itself could not be followed'),
      )
      .finally(() => running.delete(done));
    running.add(done);
  };
  const dealNow = (machine: Machine): void =>
    inQueue(machine, () => dealWithExit(core, machine, ownWork(`${machine.vm.name} ended by itself`)));
  /** The wait is outside the queue, so that whoever wants to end the VM need not wait as well. */
  const deal = (machine: Machine): void => {
    const delayMs = restartDelayMs(core, machine);
    if (delayMs > 0) {
      core.log.warn({ vm: machine.id, delayMs }, 'a guest restarts again and again: it has to wait');
      const cancel = core.clock.after(delayMs, () => {
        timers.delete(cancel);
        dealNow(machine);
      });
      timers.add(cancel);
    } else dealNow(machine);
  };
  const report: Report = (vm, what) => {
    const machine = core.machines.getAny(vm);
    if (machine === undefined || machine.domid === undefined) return;
    if (typeof what === 'object') {
      machine.guestAgent = new Map([...(core.backend.guestFeatures ?? []), ...what.guestAgent]);
      if (machine.arriving === undefined) announceVm(core, machine);
    } else if (machine.arriving !== undefined) {
      // Whoever lets it in looks at this.
      machine.exited ??= what;
    } else if (machine.exited === undefined) {
      machine.exited = what;
      core.log.info({ vm, what }, 'a guest ended by itself');
      for (const watcher of [...machine.exitWatchers]) watcher();
      deal(machine);
    }
  };
  const recoverOne = (machine: Machine, guest: Guest | undefined): void => {
    if (machine.arriving !== undefined) {
      const { token } = machine.arriving;
      inQueue(machine, () => recoverArrival(core, machine, token, guest));
      return;
    }
    if (machine.domid === undefined) {
      // Its start was cut short: that it failed is what its client was told.
      if (guest !== undefined || machine.datapaths.size > 0) {
        inQueue(machine, async () => {
          if (machine.guest !== undefined) return;
          if (guest !== undefined) await core.backend.destroy(machine.id);
          await releaseAll(core, machine, 'recovery');
          await core.machines.save(machine);
        });
      }
      return;
    }
    machine.guest = guest === undefined ? goneGuest() : liveGuest(guest);
    machine.guestAgent = new Map(core.backend.guestFeatures);
    // Whatever ended it, nobody was there to see it.
    if (guest === undefined) machine.exited ??= 'poweroff';
    if (machine.exited !== undefined) deal(machine);
    doubts.watch(machine);
  };

  return {
    recover: async () => {
      const machines = core.machines.allAny();
      const guests = await core.backend.recover(
        machines.map(({ vm }) => vm),
        report,
      );
      const found = new Map(guests.map((guest) => [guest.vm, guest]));
      for (const machine of machines) {
        recoverOne(machine, found.get(machine.id));
        if (machine.arriving === undefined) announceAll(core, machine);
      }
    },
    close: async () => {
      for (const cancel of timers) cancel();
      await Promise.all(running);
    },
  };
};

const restarting: readonly Exit[] = ['reboot', 'crash'];

/** The first quick restart is let through: people do that. A second one in a row is a loop. */
const restartDelayMs = (core: Core, machine: Machine): number => {
  if (machine.guest === undefined || machine.exited === undefined) return 0;
  const ranMs = core.clock.now() - 1000 * machine.guest.startTime;
  const quick = restarting.includes(machine.exited) && ranMs < core.restarts.ranMsMin;
  machine.quickRestarts = quick ? machine.quickRestarts + 1 : 0;
  return machine.quickRestarts > 1 ? core.restarts.delayMs : 0;
};
