import { type Vbd, type XenopsDisk, XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { undoStack } from '../../std/undo.ts';
import type { Guest, GuestDisk, GuestSpec } from './backend.ts';
import { announceAll, announceVm, badPowerState, type Core, noted } from './core.ts';
import { beginEpochs, endEpochs, noteDisks, openDisk, releaseAll, withHostDisk } from './disks.ts';
import type { Work } from './tasks.ts';
import { type LiveGuest, liveGuest, type VmEntry } from './vm-entries.ts';

// The power operations of one VM. Its queue has let them in, so nothing else works on it meanwhile,
// except the guest itself.

/** What part of a start's progress is storage's. */
const DISKS_SHARE = 0.4;

export const start = async (core: Core, entry: VmEntry, work: Work): Promise<void> => {
  if (entry.guest !== undefined || entry.suspended) throw badPowerState(entry, 'Halted');
  entry.quickRestarts = 0;
  await create(core, entry, work);
};

/** A power cycle begins, which for disks that are reset at boot is an epoch. */
const create = async (core: Core, entry: VmEntry, work: Work): Promise<void> => {
  work.check();
  try {
    await beginEpochs(core, entry, work.debugInfo);
    await build(core, entry, work, (spec) => core.backend.create(spec, work));
  } catch (error) {
    await endEpochs(core, entry, work.debugInfo);
    throw error;
  }
};

/** Disks, then the guest, which is left paused. A failure or a cancellation takes everything back. */
const build = async (
  core: Core,
  entry: VmEntry,
  work: Work,
  make: (spec: GuestSpec) => Promise<Guest>,
): Promise<void> => {
  work.check();
  await releaseAll(core, entry, work.debugInfo);
  const domid = core.entries.nextDomid();
  entry.domid = domid;
  entry.exited = undefined;
  entry.guestAgent = new Map(core.backend.guestFeatures);
  const undo = undoStack();
  undo.add(async () => {
    entry.domid = undefined;
    entry.guest = undefined;
    await releaseAll(core, entry, work.debugInfo);
    await core.entries.save(entry);
  });
  try {
    await noteDisks(core, entry, domid);
    const disks = await openDisks(entry, work, (vbd) => openDisk(core, entry, vbd, domid, work.debugInfo));
    work.check();
    const vifs = [...entry.vifs.values()];
    const guest = await make({ domid, vm: entry.vm, disks, vifs, kept: entry.kept });
    undo.add(() => core.backend.destroy(entry.id));
    work.check();
    entry.guest = liveGuest(guest);
    // From here on it is the guest's own, and no journal grows by what guests keep while they run.
    entry.kept = new Map();
    await core.entries.save(entry);
  } catch (error) {
    await undo.run((failure) => core.log.error({ vm: entry.id, error: failure }, 'a start was not undone'));
    throw error;
  } finally {
    announceAll(core, entry);
  }
};

/** Writable disks first, as a guest's root disk is one; drives last. */
export const openDisks = async (
  entry: VmEntry,
  work: Work,
  open: (vbd: Vbd) => Promise<GuestDisk>,
): Promise<readonly GuestDisk[]> => {
  const vbds = [...entry.vbds.values()].sort(
    (a, b) => Number(a.mode === 'ReadOnly') - Number(b.mode === 'ReadOnly') || a.position - b.position,
  );
  const disks: GuestDisk[] = [];
  for (const vbd of vbds) {
    work.check();
    disks.push(await open(vbd));
    work.progress((DISKS_SHARE * disks.length) / vbds.length);
  }
  return disks;
};

const runningGuest = (entry: VmEntry): LiveGuest => {
  if (entry.guest === undefined || entry.guest.state !== 'running') throw badPowerState(entry, 'Running');
  return entry.guest;
};

export const unpause = async (core: Core, entry: VmEntry, work: Work): Promise<void> => {
  work.check();
  const { guest } = entry;
  // One that ended by itself and is kept for a look at it has nothing left to run.
  if (guest === undefined || entry.exited !== undefined) throw badPowerState(entry, 'Paused');
  if (guest.state === 'running') return;
  await core.backend.unpause(entry.id);
  guest.state = 'running';
  announceVm(core, entry);
};

export const pause = async (core: Core, entry: VmEntry, work: Work): Promise<void> => {
  work.check();
  const { guest } = entry;
  if (guest === undefined) throw badPowerState(entry, 'Running');
  if (guest.state === 'paused') return;
  await core.backend.pause(entry.id);
  guest.state = 'paused';
  announceVm(core, entry);
};

/** Without `delayS` power is cut, which succeeds whatever state the VM is in. */
export const shutdown = async (
  core: Core,
  entry: VmEntry,
  delayS: number | undefined,
  work: Work,
): Promise<void> => {
  work.check();
  if (delayS !== undefined) await askToEnd(core, entry, 'poweroff', delayS, work);
  work.setCancellable(false);
  entry.suspended = false;
  await tearDown(core, entry, work);
};

export const reboot = async (
  core: Core,
  entry: VmEntry,
  delayS: number | undefined,
  work: Work,
): Promise<void> => {
  work.check();
  if (entry.guest === undefined) throw badPowerState(entry, 'Running');
  if (delayS !== undefined) await askToEnd(core, entry, 'reboot', delayS, work);
  await rebuild(core, entry, work);
};

/** A new domain in place of the one that is there; to watchers the VM runs all the while. */
const rebuild = async (core: Core, entry: VmEntry, work: Work): Promise<void> => {
  entry.rebooting = true;
  try {
    await tearDown(core, entry, work);
    await create(core, entry, work);
    await unpause(core, entry, work);
  } finally {
    entry.rebooting = false;
    announceAll(core, entry);
  }
};

export const suspend = async (core: Core, entry: VmEntry, disk: XenopsDisk, work: Work): Promise<void> => {
  work.check();
  // One that stands still can sleep too.
  if (entry.guest === undefined || entry.exited !== undefined) throw badPowerState(entry, 'Running');
  await withHostDisk(core, entry, disk, true, work.debugInfo, (path) =>
    core.backend.suspend(entry.id, path, { ...work, asleep: () => keep(core, entry) }),
  );
  entry.suspended = true;
  await tearDown(core, entry, work);
};

/** Leaves the VM paused. A failure leaves it suspended. */
export const resume = async (core: Core, entry: VmEntry, disk: XenopsDisk, work: Work): Promise<void> => {
  if (entry.guest !== undefined) throw badPowerState(entry, 'Suspended');
  await build(core, entry, work, (spec) =>
    withHostDisk(core, entry, disk, false, work.debugInfo, (path) => core.backend.resume(spec, path, work)),
  );
  entry.suspended = false;
  await noted(core, entry, () => announceVm(core, entry));
};

/** Notes what the guest's devices have kept, before what is left of it goes. */
export const keep = async (core: Core, entry: VmEntry): Promise<void> => {
  try {
    const kept = await core.backend.kept(entry.id);
    if (kept.size === 0) return;
    entry.kept = kept;
    await core.entries.save(entry);
  } catch (error) {
    // The next guest would begin without it. Whoever ends this one for good is not kept from that.
    if (entry.rebooting) throw error;
    core.log.error({ vm: entry.id, error }, 'what the devices of a guest keep could not be noted');
  }
};

/** Ends what is left of the guest, gives its disks back and only then calls the VM halted. */
const tearDown = async (core: Core, entry: VmEntry, work: Work): Promise<void> => {
  if (entry.guest !== undefined) {
    await keep(core, entry);
    await core.backend.destroy(entry.id);
  }
  await releaseAll(core, entry, work.debugInfo);
  // A VM whose memory was saved is still in its power cycle, and so is one that may run on another host.
  if (!entry.suspended && entry.departing?.asked !== true) await endEpochs(core, entry, work.debugInfo);
  entry.guest = undefined;
  entry.domid = undefined;
  entry.exited = undefined;
  entry.departing = undefined;
  await noted(core, entry, () => announceAll(core, entry));
};

/** Asks the guest and waits for its end. In time it ends, or the caller gets `Failed_to_shutdown`. */
const askToEnd = async (
  core: Core,
  entry: VmEntry,
  what: 'poweroff' | 'reboot',
  delayS: number,
  work: Work,
): Promise<void> => {
  if (entry.exited !== undefined) return;
  runningGuest(entry);
  await core.backend.ask(entry.id, what);
  await untilExit(core, entry, delayS * 1000, work.signal);
  work.check();
  if (entry.exited === undefined) throw new XenopsError('Failed_to_shutdown', [entry.id, delayS]);
};

/** Resolves when the guest ended, when the time is over or when the signal is aborted. */
const untilExit = (core: Core, entry: VmEntry, delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      cancel();
      entry.exitWatchers.delete(done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = core.clock.after(delayMs, done);
    entry.exitWatchers.add(done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted || entry.exited !== undefined) done();
  });

/** Does with a guest that ended by itself what its VM says: `on_shutdown`, `on_reboot`, `on_crash`. */
export const dealWithExit = async (core: Core, entry: VmEntry, work: Work): Promise<void> => {
  const { guest, exited, vm } = entry;
  // Whoever was in the queue before has dealt with it already.
  if (guest === undefined || exited === undefined) return;
  // It may run on another host: first that has to be known.
  if (entry.departing !== undefined) return;
  // One that was lost with its machine may run on another by now: whoever knows that starts it.
  if (exited === 'lost') return tearDown(core, entry, work);
  const actions = { poweroff: vm.on_shutdown, reboot: vm.on_reboot, crash: vm.on_crash }[exited];
  if (actions.includes('Start') || actions.includes('Softreboot')) return rebuild(core, entry, work);
  if (!actions.includes('Pause')) return tearDown(core, entry, work);
  guest.state = 'paused';
  announceVm(core, entry);
};
