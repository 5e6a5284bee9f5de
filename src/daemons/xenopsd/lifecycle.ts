import { type XenopsDisk, XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { undoStack } from '../../std/undo.ts';
import type { Guest, GuestDisk, GuestSpec } from './backend.ts';
import { announceAll, announceVm, badPowerState, type Core } from './core.ts';
import { beginEpochs, endEpochs, noteDisks, openDisk, releaseAll, withHostDisk } from './disks.ts';
import { type LiveGuest, liveGuest, type Machine } from './machines.ts';
import type { Work } from './tasks.ts';

// The power operations of one VM. Its queue has let them in, so nothing else works on it meanwhile,
// except the guest itself.

/** What part of a start's progress is storage's. */
const DISKS_SHARE = 0.4;

export const start = async (core: Core, machine: Machine, work: Work): Promise<void> => {
  if (machine.guest !== undefined || machine.suspended) throw badPowerState(machine, 'Halted');
  machine.quickRestarts = 0;
  await create(core, machine, work);
};

/** A power cycle begins, which for disks that are reset at boot is an epoch. */
const create = async (core: Core, machine: Machine, work: Work): Promise<void> => {
  work.check();
  try {
    await beginEpochs(core, machine, work.debugInfo);
    await build(core, machine, work, (spec) => core.backend.create(spec, work));
  } catch (error) {
    await endEpochs(core, machine, work.debugInfo);
    throw error;
  }
};

/** Disks, then the guest, which is left paused. A failure or a cancellation takes everything back. */
const build = async (
  core: Core,
  machine: Machine,
  work: Work,
  make: (spec: GuestSpec) => Promise<Guest>,
): Promise<void> => {
  work.check();
  await releaseAll(core, machine, work.debugInfo);
  const domid = core.machines.nextDomid();
  machine.domid = domid;
  machine.exited = undefined;
  machine.guestAgent = new Map(core.backend.guestFeatures);
  const undo = undoStack();
  undo.add(async () => {
    machine.domid = undefined;
    machine.guest = undefined;
    await releaseAll(core, machine, work.debugInfo);
    await core.machines.save(machine);
  });
  try {
    await noteDisks(core, machine, domid);
    const disks = await openDisks(core, machine, domid, work);
    work.check();
    const vifs = [...machine.vifs.values()];
    const guest = await make({ domid, vm: machine.vm, disks, vifs });
    undo.add(() => core.backend.destroy(machine.id));
    work.check();
    machine.guest = liveGuest(guest);
    await core.machines.save(machine);
  } catch (error) {
    await undo.run((failure) => core.log.error({ vm: machine.id, error: failure }, 'a start was not undone'));
    throw error;
  } finally {
    announceAll(core, machine);
  }
};

/** Writable disks first, as a guest's root disk is one; drives last. */
export const openDisks = async (
  core: Core,
  machine: Machine,
  domid: number,
  work: Work,
  open = openDisk,
): Promise<readonly GuestDisk[]> => {
  const vbds = [...machine.vbds.values()].sort(
    (a, b) => Number(a.mode === 'ReadOnly') - Number(b.mode === 'ReadOnly') || a.position - b.position,
  );
  const disks: GuestDisk[] = [];
  for (const vbd of vbds) {
    work.check();
    disks.push(await open(core, machine, vbd, domid, work.debugInfo));
    work.progress((DISKS_SHARE * disks.length) / vbds.length);
  }
  return disks;
};

const runningGuest = (machine: Machine): LiveGuest => {
  if (machine.guest === undefined || machine.guest.state !== 'running')
    throw badPowerState(machine, 'Running');
  return machine.guest;
};

export const unpause = async (core: Core, machine: Machine, work: Work): Promise<void> => {
  work.check();
  const { guest } = machine;
  // One that ended by itself and is kept for a look at it has nothing left to run.
  if (guest === undefined || machine.exited !== undefined) throw badPowerState(machine, 'Paused');
  if (guest.state === 'running') return;
  await core.backend.unpause(machine.id);
  guest.state = 'running';
  announceVm(core, machine);
};

export const pause = async (core: Core, machine: Machine, work: Work): Promise<void> => {
  work.check();
  const { guest } = machine;
  if (guest === undefined) throw badPowerState(machine, 'Running');
  if (guest.state === 'paused') return;
  await core.backend.pause(machine.id);
  guest.state = 'paused';
  announceVm(core, machine);
};

/** Without `delayS` power is cut, which succeeds whatever state the VM is in. */
export const shutdown = async (
  core: Core,
  machine: Machine,
  delayS: number | undefined,
  work: Work,
): Promise<void> => {
  work.check();
  if (delayS !== undefined) await askToEnd(core, machine, 'poweroff', delayS, work);
  work.setCancellable(false);
  machine.suspended = false;
  await tearDown(core, machine, work);
};

export const reboot = async (
  core: Core,
  machine: Machine,
  delayS: number | undefined,
  work: Work,
): Promise<void> => {
  work.check();
  if (machine.guest === undefined) throw badPowerState(machine, 'Running');
  if (delayS !== undefined) await askToEnd(core, machine, 'reboot', delayS, work);
  await rebuild(core, machine, work);
};

/** A new domain in place of the one that is there; to watchers the VM runs all the while. */
const rebuild = async (core: Core, machine: Machine, work: Work): Promise<void> => {
  machine.rebooting = true;
  try {
    await tearDown(core, machine, work);
    await create(core, machine, work);
    await unpause(core, machine, work);
  } finally {
    machine.rebooting = false;
    announceAll(core, machine);
  }
};

export const suspend = async (core: Core, machine: Machine, disk: XenopsDisk, work: Work): Promise<void> => {
  work.check();
  runningGuest(machine);
  if (machine.exited !== undefined) throw badPowerState(machine, 'Running');
  await withHostDisk(core, machine, disk, true, work.debugInfo, (path) =>
    core.backend.suspend(machine.id, path, work),
  );
  machine.suspended = true;
  await tearDown(core, machine, work);
};

/** Leaves the VM paused. A failure leaves it suspended. */
export const resume = async (core: Core, machine: Machine, disk: XenopsDisk, work: Work): Promise<void> => {
  if (machine.guest !== undefined) throw badPowerState(machine, 'Suspended');
  await build(core, machine, work, (spec) =>
    withHostDisk(core, machine, disk, false, work.debugInfo, (path) => core.backend.resume(spec, path, work)),
  );
  machine.suspended = false;
  await core.machines.save(machine);
  announceVm(core, machine);
};

/** Ends what is left of the guest, gives its disks back and only then calls the VM halted. */
const tearDown = async (core: Core, machine: Machine, work: Work): Promise<void> => {
  if (machine.guest !== undefined) await core.backend.destroy(machine.id);
  await releaseAll(core, machine, work.debugInfo);
  // A VM whose memory was saved is still in its power cycle, and so is one that may run on another host.
  if (!machine.suspended && machine.departing?.asked !== true) await endEpochs(core, machine, work.debugInfo);
  machine.guest = undefined;
  machine.domid = undefined;
  machine.exited = undefined;
  machine.departing = undefined;
  await core.machines.save(machine);
  announceAll(core, machine);
};

/** Asks the guest and waits for its end. In time it ends, or the caller gets `Failed_to_shutdown`. */
const askToEnd = async (
  core: Core,
  machine: Machine,
  what: 'poweroff' | 'reboot',
  delayS: number,
  work: Work,
): Promise<void> => {
  if (machine.exited !== undefined) return;
  runningGuest(machine);
  await core.backend.ask(machine.id, what);
  await untilExit(core, machine, delayS * 1000, work.signal);
  work.check();
  if (machine.exited === undefined) throw new XenopsError('Failed_to_shutdown', [machine.id, delayS]);
};

/** Resolves when the guest ended, when the time is over or when the signal is aborted. */
const untilExit = (core: Core, machine: Machine, delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      cancel();
      machine.exitWatchers.delete(done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = core.clock.after(delayMs, done);
    machine.exitWatchers.add(done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted || machine.exited !== undefined) done();
  });

/** Does with a guest that ended by itself what its VM says: `on_shutdown`, `on_reboot`, `on_crash`. */
export const dealWithExit = async (core: Core, machine: Machine, work: Work): Promise<void> => {
  const { guest, exited, vm } = machine;
  // Whoever was in the queue before has dealt with it already.
  if (guest === undefined || exited === undefined) return;
  // It may run on another host: first that has to be known.
  if (machine.departing !== undefined) return;
  const actions = { poweroff: vm.on_shutdown, reboot: vm.on_reboot, crash: vm.on_crash }[exited];
  if (actions.includes('Start') || actions.includes('Softreboot')) return rebuild(core, machine, work);
  if (!actions.includes('Pause')) return tearDown(core, machine, work);
  guest.state = 'paused';
  announceVm(core, machine);
};
