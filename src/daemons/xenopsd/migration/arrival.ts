// Guests that come from other hosts. Until one is handed over it is not a VM of this daemon: nobody is told
// of it, and whatever goes wrong, a daemon that dies included, removes it without a trace. Handing over is
// one durable note of its token, after which it is ours whatever happens.
import type { Duplex } from 'node:stream';
import { XenopsError, type XenopsMetadata } from '../../../drivers/hypervisor/hypervisor.ts';
import { lost } from '../../../rpc/xenops/call.ts';
import type { Guest } from '../backend.ts';
import { announceAll, badPowerState, type Core, ownWork } from '../core.ts';
import { activateDisks, attachDisk, noteDisks, releaseAll } from '../disks.ts';
import { dealWithExit, openDisks } from '../lifecycle.ts';
import { takeTurn } from '../queues.ts';
import { failureOf, type Work } from '../tasks.ts';
import { goneGuest, liveGuest, newArrival, type VmEntry } from '../vm-entries.ts';
import { answerFailed, answerLoaded, memoryPieces } from './memory-stream.ts';
import type { MigrationOutcome } from './peer.ts';

/** Guests on their way to here at once; one more is refused. */
const ARRIVING_MAX = 100;
/** How long a source may be silent before its memory comes, and again before it hands the guest over. */
const SILENT_MS_MAX = 10 * 60_000;
const DEBUG_INFO = 'migration';

/** Answers the token of a migration to here, unless the VM is here or too many are coming. */
export const begin = (core: Core, vm: string): string => {
  refuseKnown(core.entries.getAny(vm));
  const arriving = core.entries.allAny().filter((entry) => entry.arriving !== undefined);
  if (arriving.length < ARRIVING_MAX) return core.handovers.newToken();
  throw new XenopsError('Internal_error', [`${ARRIVING_MAX} VMs are on their way to this host; try later`]);
};

const refuseKnown = (entry: VmEntry | undefined): void => {
  if (entry === undefined || entry.arriving !== undefined) return;
  if (entry.guest !== undefined || entry.domid !== undefined) throw badPowerState(entry, 'Halted');
};

/**
 * Takes the description of a VM whose memory will follow. A later migration of it takes an earlier's place.
 */
export const expectArrival = async (
  core: Core,
  metadata: XenopsMetadata,
  token: string,
  debugInfo: string,
  signal: AbortSignal,
): Promise<void> => {
  core.handovers.check(token);
  const { id } = metadata.vm;
  const earlier = core.entries.getAny(id);
  if (earlier?.arriving !== undefined) earlier.cut?.abort(lost('the VM is migrated to here once more'));
  await takeTurn(core.queues, id, signal, async () => {
    const known = core.entries.getAny(id);
    refuseKnown(known);
    if (core.handovers.has(token)) throw new XenopsError('Already_exists', ['migration', token]);
    if (known !== undefined) await releaseAll(core, known, debugInfo);
    const entry = core.entries.put(metadata);
    entry.arriving = newArrival(token);
    entry.cut = endable(core, entry, token);
    await core.entries.save(entry);
    hurry(core, entry.cut);
  });
};

const endable = (core: Core, entry: VmEntry, token: string): AbortController => {
  const cut = new AbortController();
  const end = (): void => {
    core.log.info({ vm: entry.id, reason: cut.signal.reason }, 'a VM does not come after all');
    abandon(core, entry.id, token, DEBUG_INFO).catch((error: unknown) =>
      core.log.error({ vm: entry.id, error }, 'what came of a VM could not be removed'),
    );
  };
  cut.signal.addEventListener('abort', end, { once: true });
  return cut;
};

/** Gives the migration up unless the returned function is called in time. */
const hurry = (core: Core, cut: AbortController): (() => void) => {
  const cancel = core.clock.after(SILENT_MS_MAX, () => cut.abort(lost('the source is silent')));
  cut.signal.addEventListener('abort', cancel, { once: true });
  return cancel;
};

const arrivingWith = (core: Core, vm: string, token: string): VmEntry | undefined => {
  const entry = core.entries.getAny(vm);
  return entry?.arriving?.token === token ? entry : undefined;
};

/**
 * Takes the memory and answers on the stream, which stays open: once it is cut nobody waits for the guest.
 */
export const receiveMemory = async (core: Core, vm: string, token: string, stream: Duplex): Promise<void> => {
  const entry = arrivingWith(core, vm, token);
  const { arriving, cut } = entry ?? {};
  if (entry === undefined || arriving === undefined || cut === undefined || arriving.begun) {
    answerFailed(stream, core.clock, lost(`no VM ${vm} is awaited here by this migration`));
    return;
  }
  arriving.begun = true;
  stream.once('close', () => cut.abort(lost('the way from the source was cut')));
  const work = { ...ownWork(DEBUG_INFO), signal: cut.signal, check: () => cut.signal.throwIfAborted() };
  try {
    await takeTurn(core.queues, vm, cut.signal, async () => {
      arriving.guest = await load(core, entry, stream, work).catch(async (error) => {
        await dismiss(core, entry, DEBUG_INFO);
        throw error;
      });
    });
  } catch (error) {
    core.log.warn({ vm, error }, 'a VM could not be received');
    answerFailed(stream, core.clock, failureOf(error, cut.signal));
    return;
  }
  // Read on, because a stream that nobody reads does not tell that it ended.
  stream.once('end', () => stream.destroy());
  stream.resume();
  hurry(core, cut);
  answerLoaded(stream);
};

const load = async (core: Core, entry: VmEntry, stream: Duplex, work: Work): Promise<Guest> => {
  work.check();
  const domid = core.entries.nextDomid();
  entry.domid = domid;
  entry.exited = undefined;
  entry.guestAgent = new Map(core.backend.guestFeatures);
  await noteDisks(core, entry, domid);
  const disks = await openDisks(entry, work, (vbd) => attachDisk(core, vbd, domid, work.debugInfo));
  const vifs = [...entry.vifs.values()];
  const pieces = memoryPieces(stream, core.clock);
  const guest = await core.backend.receive({ domid, vm: entry.vm, disks, vifs }, pieces, work);
  work.check();
  return guest;
};

/** Removes what came. A disk that storage does not take back keeps it known, and hidden, for another try. */
export const dismiss = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  entry.cut = undefined;
  await core.backend.destroy(entry.id);
  await releaseAll(core, entry, debugInfo);
  entry.domid = undefined;
  if (entry.arriving !== undefined) entry.arriving.guest = undefined;
  if (entry.datapaths.size > 0) await core.entries.save(entry);
  else await core.entries.remove(entry.id);
};

/**
 * The source has let go of the guest. From the token's note on it is ours; a rejection says that it is not.
 */
export const commit = (
  core: Core,
  vm: string,
  token: string,
  debugInfo: string,
): Promise<MigrationOutcome> => {
  core.handovers.check(token);
  return takeTurn(core.queues, vm, undefined, async () => {
    if (core.handovers.has(token)) return 'committed';
    const entry = arrivingWith(core, vm, token);
    const guest = entry?.arriving?.guest;
    if (entry === undefined || guest === undefined) return 'abandoned';
    try {
      await activateDisks(core, entry, debugInfo);
      entry.cut?.signal.throwIfAborted();
      await core.handovers.add(token);
      await core.backend.arrive(vm).catch(async (error) => {
        // It has not run, and in this turn of the queue nobody was told that it is ours.
        await core.handovers.remove(token);
        throw error;
      });
    } catch (error) {
      await dismiss(core, entry, debugInfo);
      throw error;
    }
    await takeIn(core, entry, { ...liveGuest(guest), state: 'running' });
    return 'committed';
  });
};

const takeIn = async (core: Core, entry: VmEntry, guest: VmEntry['guest']): Promise<void> => {
  entry.guest = guest;
  entry.arriving = undefined;
  entry.cut = undefined;
  await core.entries.save(entry).catch((error: unknown) => {
    // The note of its token says the same to the next daemon.
    core.log.error({ vm: entry.id, error }, 'a VM that came is not in the journal');
  });
  announceAll(core, entry);
  await dealWithExit(core, entry, ownWork(`${entry.vm.name} ended when it came`));
};

/** Ends a migration to here, unless it was handed over. Tokens that nobody knows were not. */
export const abandon = (
  core: Core,
  vm: string,
  token: string,
  debugInfo: string,
): Promise<MigrationOutcome> => {
  core.handovers.check(token);
  if (!core.handovers.has(token)) arrivingWith(core, vm, token)?.cut?.abort(lost('the source gave up'));
  return takeTurn(core.queues, vm, undefined, async () => {
    if (core.handovers.has(token)) return 'committed';
    const entry = arrivingWith(core, vm, token);
    if (entry !== undefined) await dismiss(core, entry, debugInfo);
    return 'abandoned';
  });
};

/** In the queue of the VM, whose arrival the daemon before did not live to see the end of. */
export const recoverArrival = async (
  core: Core,
  entry: VmEntry,
  token: string,
  guest: Guest | undefined,
): Promise<void> => {
  if (entry.arriving?.token !== token) return;
  if (!core.handovers.has(token)) return dismiss(core, entry, 'recovery');
  if (guest === undefined) entry.exited ??= 'poweroff';
  const runs = guest !== undefined && (await letRun(core, entry));
  const found = guest === undefined ? goneGuest() : liveGuest(guest);
  await takeIn(core, entry, { ...found, state: runs ? 'running' : found.state });
};

/** The source may know already that the guest is ours: one that cannot run stays, paused. */
const letRun = async (core: Core, entry: VmEntry): Promise<boolean> => {
  try {
    await core.backend.arrive(entry.id);
    return true;
  } catch (error) {
    core.log.error({ vm: entry.id, error }, 'a VM that came cannot go on; unpause tries again');
    return false;
  }
};
