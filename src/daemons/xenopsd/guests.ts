import type { Guest, Report } from './backend.ts';
import { announceAll, announceVm, type Core, ownWork } from './core.ts';
import { isUnsettled, releaseAll, settleDisks } from './disks.ts';
import { dealWithExit } from './lifecycle.ts';
import { recoverArrival } from './migration/arrival.ts';
import type { Doubts } from './migration/doubts.ts';
import { takeTurn } from './queues.ts';
import { type Exit, goneGuest, liveGuest, type VmEntry } from './vm-entries.ts';

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

  const inQueue = (entry: VmEntry, job: () => Promise<void>): void => {
    const done = takeTurn(core.queues, entry.id, undefined, job)
      .catch((error: unknown) =>
        core.log.error({ vm: entry.id, error }, 'what a guest did by itself could not be followed'),
      )
      .finally(() => running.delete(done));
    running.add(done);
  };
  const dealNow = (entry: VmEntry): void =>
    inQueue(entry, () => dealWithExit(core, entry, ownWork(`${entry.vm.name} ended by itself`)));
  /** The wait is outside the queue, so that whoever wants to end the VM need not wait as well. */
  const deal = (entry: VmEntry): void => {
    const delayMs = restartDelayMs(core, entry);
    if (delayMs > 0) {
      core.log.warn({ vm: entry.id, delayMs }, 'a guest restarts again and again: it has to wait');
      const cancel = core.clock.after(delayMs, () => {
        timers.delete(cancel);
        dealNow(entry);
      });
      timers.add(cancel);
    } else dealNow(entry);
  };
  const report: Report = (vm, what) => {
    const entry = core.entries.getAny(vm);
    if (entry === undefined || entry.domid === undefined) return;
    if (typeof what === 'object') {
      entry.guestAgent = new Map([...(core.backend.guestFeatures ?? []), ...what.guestAgent]);
      if (entry.arriving === undefined) announceVm(core, entry);
    } else if (entry.arriving !== undefined) {
      // Whoever lets it in looks at this.
      entry.exited ??= what;
    } else if (entry.exited === undefined) {
      entry.exited = what;
      core.log.info({ vm, what }, 'a guest ended by itself');
      for (const watcher of [...entry.exitWatchers]) watcher();
      deal(entry);
    }
  };
  const recoverOne = (entry: VmEntry, guest: Guest | undefined): void => {
    if (entry.arriving !== undefined) {
      const { token } = entry.arriving;
      inQueue(entry, () => recoverArrival(core, entry, token, guest));
      return;
    }
    if (entry.domid === undefined) {
      // Its start was cut short: that it failed is what its client was told.
      if (guest !== undefined || entry.datapaths.size > 0) {
        inQueue(entry, async () => {
          if (entry.guest !== undefined) return;
          if (guest !== undefined) await core.backend.destroy(entry.id);
          await releaseAll(core, entry, 'recovery');
          await core.entries.save(entry);
        });
      }
      return;
    }
    entry.guest = guest === undefined ? goneGuest() : liveGuest(guest);
    entry.guestAgent = new Map(core.backend.guestFeatures);
    // Whatever ended it, nobody was there to see it.
    if (guest === undefined) entry.exited ??= 'poweroff';
    if (entry.exited !== undefined) deal(entry);
    else if (entry.departing === undefined && isUnsettled(entry)) {
      inQueue(entry, () => settleDisks(core, entry, 'recovery'));
    }
    doubts.watch(entry);
  };

  return {
    recover: async () => {
      const entries = core.entries.allAny();
      const guests = await core.backend.recover(
        entries.map(({ vm }) => vm),
        report,
      );
      const found = new Map(guests.map((guest) => [guest.vm, guest]));
      for (const entry of entries) {
        recoverOne(entry, found.get(entry.id));
        if (entry.arriving === undefined) announceAll(core, entry);
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
const restartDelayMs = (core: Core, entry: VmEntry): number => {
  if (entry.guest === undefined || entry.exited === undefined) return 0;
  const ranMs = core.clock.now() - 1000 * entry.guest.startTime;
  const quick = restarting.includes(entry.exited) && ranMs < core.restarts.ranMsMin;
  entry.quickRestarts = quick ? entry.quickRestarts + 1 : 0;
  return entry.quickRestarts > 1 ? core.restarts.delayMs : 0;
};
