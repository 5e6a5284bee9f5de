// A guest leaves for another host. Who has it is decided in one place: the destination's file of handovers.
//
//   source                                       destination
//   here ── prepare ───────────────────────────► arriving: no guest yet, token given out
//   departing: memory is sent ── stream ───────► arriving: memory comes in
//   asked: the guest stands still ── commit ───► taken: the token is in its file; the guest is its own
//   gone: what is left of it is removed ◄─────── answer
//
//   departing, cut before it was asked  ───────► abandoned: both forget, the guest goes on here
//   asked, cut before the answer: in doubt ── abandon ──► `committed`: gone; `abandoned`: here again

// Guests that go to another host. The guest stops here before it may run there: its disks are let go of,
// and only then is the destination asked to take it over, which is for the destination to decide. Until
// then every failure brings the guest back; after that whose it is can only be learnt from there.
import { XenopsError } from '../../../drivers/hypervisor/hypervisor.ts';
import { metadataText } from '../../../rpc/xenops/types.ts';
import { sleep } from '../../../std/clock.ts';
import { announceGone, announceVm, badPowerState, type Core, ownWork } from '../core.ts';
import { deactivateDisks, releaseAll, reopenDisks } from '../disks.ts';
import { dealWithExit } from '../lifecycle.ts';
import { failureOf, type Work } from '../tasks.ts';
import { type Departing, metadataOfEntry, migratingNote, type VmEntry } from '../vm-entries.ts';
import { answerOn, memoryWriter } from './memory-stream.ts';
import { type MigrationOutcome, type MigrationPeer, peerAt } from './peer.ts';

export interface Journey {
  readonly url: string;
  /** Disks that have another name there: `<SR uuid>/<VDI location>` by the same. */
  readonly vdiMap: ReadonlyMap<string, string>;
  /** Bridges there, by the key of the network card. */
  readonly vifMap: ReadonlyMap<string, string>;
}

/**
 * How long a task asks a destination that was cut off whose the guest is; after that the daemon asks alone.
 */
const ASKING_MS_MAX = 10_000;
const ASK_AGAIN_MS = 250;
/** What part of the progress is the memory's. */
const MEMORY_SHARE = 0.95;

/**
 * Leaves `entry.departing` set when it could not be found out, or not be seen to, where the guest belongs.
 */
export const migrate = async (core: Core, entry: VmEntry, journey: Journey, work: Work): Promise<void> => {
  work.check();
  const peer = peerAt(core.network, journey.url);
  if ((await resolveDoubt(core, entry, work.debugInfo, peer)) === 'gone') return;
  if (entry.guest?.state !== 'running' || entry.exited !== undefined) {
    throw badPowerState(entry, 'Running');
  }
  const token = await peer.begin(entry.id, work.debugInfo);
  const cut = new AbortController();
  entry.cut = cut;
  const signal = AbortSignal.any([work.signal, cut.signal]);
  try {
    await leave(core, entry, { peer, token, journey }, { ...work, signal });
  } catch (error) {
    throw failureOf(error, signal);
  } finally {
    entry.cut = undefined;
    if (entry.departing !== undefined) standStill(core, entry);
  }
};

interface Trip {
  readonly peer: MigrationPeer;
  readonly token: string;
  readonly journey: Journey;
}

const leave = async (
  core: Core,
  entry: VmEntry,
  { peer, token, journey }: Trip,
  work: Work,
): Promise<void> => {
  const { debugInfo } = work;
  const departing: Departing = { token, url: journey.url, asked: false };
  entry.departing = departing;
  let stopped = false;
  let close = (): void => {};
  try {
    await core.entries.save(entry);
    await peer.importMetadata(metadataText(travelling(entry, journey, token)), debugInfo);
    work.signal.throwIfAborted();
    close = await sendMemory(core, entry, peer, token, work, () => {
      stopped = true;
    });
    if (entry.exited !== undefined) throw badPowerState(entry, 'Running');
    await deactivateDisks(core, entry, debugInfo);
    work.check();
    work.signal.throwIfAborted();
    await core.entries.save(Object.assign(entry, { departing: { ...departing, asked: true } }));
    work.signal.throwIfAborted();
  } catch (error) {
    close();
    entry.departing = departing;
    await stay(core, entry, stopped, debugInfo);
    await peer.abandon(entry.id, token, debugInfo).catch((failure: unknown) => {
      core.log.info({ vm: entry.id, error: failure }, 'the destination will find out by itself');
    });
    throw error;
  }
  entry.cut = undefined;
  work.setCancellable(false);
  try {
    await handOver(core, entry, peer, work);
  } finally {
    close();
  }
};

/** The VM as the destination gets to know it. */
const travelling = (entry: VmEntry, { vdiMap, vifMap }: Journey, token: string) => {
  const { vm, vbds, vifs } = metadataOfEntry(entry);
  return {
    vm,
    vbds: vbds.map((vbd) => {
      const there = vbd.backend?.[0] === 'VDI' ? vdiMap.get(vbd.backend[1]) : undefined;
      return there === undefined ? vbd : { ...vbd, backend: ['VDI', there] as const };
    }),
    vifs: vifs.map((vif) => ({ ...vif, backend: vifMap.get(vif.id[1]) ?? vif.backend })),
    domains: migratingNote(token),
  };
};

/**
 * Resolves once the destination has all of it, with what closes the stream. Closing it gives the guest up.
 */
const sendMemory = async (
  core: Core,
  entry: VmEntry,
  peer: MigrationPeer,
  token: string,
  work: Work,
  onStopped: () => void,
): Promise<() => void> => {
  const stream = await peer.openMemory(entry.id, token);
  const refused = new AbortController();
  const answered = answerOn(stream);
  answered.catch((error: unknown) => refused.abort(error));
  const signal = AbortSignal.any([work.signal, refused.signal]);
  const abort = (): void => void stream.destroy();
  work.signal.addEventListener('abort', abort, { once: true });
  const writer = memoryWriter(stream, core.clock);
  try {
    await core.backend.send(entry.id, writer.write, {
      signal,
      progress: (fraction) => work.progress(MEMORY_SHARE * fraction),
    });
    onStopped();
    await writer.end();
    await answered;
  } catch (error) {
    stream.destroy();
    // What broke first is the reason; the rest only follows from it.
    work.signal.throwIfAborted();
    refused.signal.throwIfAborted();
    throw error;
  } finally {
    work.signal.removeEventListener('abort', abort);
  }
  return abort;
};

/** The destination decides. What it refuses comes back; when it cannot be asked, the guest stands still. */
const handOver = async (core: Core, entry: VmEntry, peer: MigrationPeer, work: Work): Promise<void> => {
  const { token = '' } = entry.departing ?? {};
  let failure: unknown = new XenopsError('Internal_error', ['the destination gave the migration up']);
  const outcome = await peer.commit(entry.id, token, work.debugInfo).catch((error: unknown) => {
    failure = error;
    return undefined;
  });
  if (outcome === 'committed') {
    await removeLeft(core, entry, peer, work.debugInfo).catch((error: unknown) => {
      core.log.error({ vm: entry.id, error }, 'what is left of a VM that moved could not be removed yet');
    });
    return;
  }
  const deadlineMs = core.clock.monotonicMs() + ASKING_MS_MAX;
  for (;;) {
    const place = await resolveDoubt(core, entry, work.debugInfo, peer).catch((error: unknown) => {
      failure = error;
      return undefined;
    });
    if (place === 'gone') return;
    if (place === 'here') throw failure;
    if (core.clock.monotonicMs() >= deadlineMs) throw inDoubt(entry, failure);
    await sleep(core.clock, ASK_AGAIN_MS);
  }
};

const inDoubt = (entry: VmEntry, error: unknown): XenopsError =>
  new XenopsError('Failed_to_contact_remote_service', [
    `whether the destination has VM ${entry.id} is not known, so it stands still here ` +
      `(${error instanceof Error ? error.message : error})`,
  ]);

const standStill = (core: Core, entry: VmEntry): void => {
  if (entry.guest === undefined || entry.guest.state === 'paused') return;
  entry.guest.state = 'paused';
  announceVm(core, entry);
};

const removeLeft = async (
  core: Core,
  entry: VmEntry,
  peer: MigrationPeer,
  debugInfo: string,
): Promise<void> => {
  const { token = '' } = entry.departing ?? {};
  await core.backend.destroy(entry.id);
  await releaseAll(core, entry, debugInfo);
  await core.entries.remove(entry.id).finally(() => {
    entry.guest = undefined;
    entry.domid = undefined;
    entry.departing = undefined;
    announceGone(core, entry);
  });
  // Only now: as long as this daemon knows of the migration it may have to ask again.
  await peer.forget(entry.id, token, debugInfo).catch((error: unknown) => {
    core.log.info({ vm: entry.id, error }, 'the destination remembers a migration that is over');
  });
};

/** Brings a guest back that nobody else was asked to take. */
const stay = async (core: Core, entry: VmEntry, stopped: boolean, debugInfo: string): Promise<void> => {
  try {
    if (stopped) await comeBack(core, entry, debugInfo);
    entry.departing = undefined;
    await core.entries.save(entry);
  } catch (error) {
    core.log.error({ vm: entry.id, error }, 'a VM that did not leave cannot go on yet');
  }
};

const comeBack = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  if (entry.guest === undefined || entry.exited !== undefined) return;
  await reopenDisks(core, entry, debugInfo);
  await core.backend.unpause(entry.id);
  if (entry.guest.state === 'running') return;
  entry.guest.state = 'running';
  announceVm(core, entry);
};

/**
 * Finds out where a guest belongs whose migration was cut short, and sees to it. In its queue. Rejects, with
 * nothing changed, when that cannot be known or done yet.
 */
export const resolveDoubt = async (
  core: Core,
  entry: VmEntry,
  debugInfo: string,
  other?: MigrationPeer,
): Promise<'here' | 'gone'> => {
  const { departing } = entry;
  if (departing === undefined) return 'here';
  const peer = other ?? peerAt(core.network, departing.url);
  const outcome: MigrationOutcome = departing.asked
    ? await peer.abandon(entry.id, departing.token, debugInfo)
    : 'abandoned';
  if (outcome === 'committed') {
    await removeLeft(core, entry, peer, debugInfo);
    return 'gone';
  }
  await comeBack(core, entry, debugInfo);
  entry.departing = undefined;
  await core.entries.save(entry);
  if (entry.exited !== undefined) await dealWithExit(core, entry, ownWork(debugInfo));
  return 'here';
};
