// Guests that go to another host. The guest stops here before it may run there: its disks are let go of,
// and only then is the destination asked to take it over, which is for the destination to decide. Until
// then every failure brings the guest back; after that whose it is can only be learnt from there.
import { XenopsError } from '../../../drivers/hypervisor/hypervisor.ts';
import { metadataText } from '../../../rpc/xenops/types.ts';
import { sleep } from '../../../std/clock.ts';
import { announceGone, announceVm, badPowerState, type Core, ownWork } from '../core.ts';
import { deactivateDisks, releaseAll, reopenDisks } from '../disks.ts';
import { dealWithExit } from '../lifecycle.ts';
import { type Departing, type Machine, metadataOfMachine, migratingNote } from '../machines.ts';
import { failureOf, type Work } from '../tasks.ts';
import { answerOn, memoryWriter } from './memory-stream.ts';
import { type Outcome, type Peer, peerAt } from './peer.ts';

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
 * Leaves `machine.departing` set when it could not be found out, or not be seen to, where the guest belongs.
 */
export const migrate = async (core: Core, machine: Machine, journey: Journey, work: Work): Promise<void> => {
  work.check();
  const peer = peerAt(core.network, journey.url);
  if ((await settle(core, machine, work.debugInfo, peer)) === 'gone') return;
  if (machine.guest?.state !== 'running' || machine.exited !== undefined) {
    throw badPowerState(machine, 'Running');
  }
  const token = await peer.begin(machine.id, work.debugInfo);
  const cut = new AbortController();
  machine.cut = cut;
  const signal = AbortSignal.any([work.signal, cut.signal]);
  try {
    await leave(core, machine, { peer, token, journey }, { ...work, signal });
  } catch (error) {
    throw failureOf(error, signal);
  } finally {
    machine.cut = undefined;
    if (machine.departing !== undefined) standStill(core, machine);
  }
};

interface Trip {
  readonly peer: Peer;
  readonly token: string;
  readonly journey: Journey;
}

const leave = async (
  core: Core,
  machine: Machine,
  { peer, token, journey }: Trip,
  work: Work,
): Promise<void> => {
  const { debugInfo } = work;
  const departing: Departing = { token, url: journey.url, asked: false };
  machine.departing = departing;
  let stopped = false;
  let close = (): void => {};
  try {
    await core.machines.save(machine);
    await peer.importMetadata(metadataText(travelling(machine, journey, token)), debugInfo);
    work.signal.throwIfAborted();
    close = await sendMemory(core, machine, peer, token, work, () => {
      stopped = true;
    });
    if (machine.exited !== undefined) throw badPowerState(machine, 'Running');
    await deactivateDisks(core, machine, debugInfo);
    work.check();
    work.signal.throwIfAborted();
    await core.machines.save(Object.assign(machine, { departing: { ...departing, asked: true } }));
    work.signal.throwIfAborted();
  } catch (error) {
    close();
    machine.departing = departing;
    await stay(core, machine, stopped, debugInfo);
    await peer.abandon(machine.id, token, debugInfo).catch((failure: unknown) => {
      core.log.info({ vm: machine.id, error: failure }, 'the destination will find out by itself');
    });
    throw error;
  }
  machine.cut = undefined;
  work.setCancellable(false);
  try {
    await handOver(core, machine, peer, work);
  } finally {
    close();
  }
};

/** The VM as the destination gets to know it. */
const travelling = (machine: Machine, { vdiMap, vifMap }: Journey, token: string) => {
  const { vm, vbds, vifs } = metadataOfMachine(machine);
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
  machine: Machine,
  peer: Peer,
  token: string,
  work: Work,
  onStopped: () => void,
): Promise<() => void> => {
  const stream = await peer.openMemory(machine.id, token);
  const refused = new AbortController();
  const answered = answerOn(stream);
  answered.catch((error: unknown) => refused.abort(error));
  const signal = AbortSignal.any([work.signal, refused.signal]);
  const abort = (): void => void stream.destroy();
  work.signal.addEventListener('abort', abort, { once: true });
  const writer = memoryWriter(stream, core.clock);
  try {
    await core.backend.send(machine.id, writer.write, {
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
const handOver = async (core: Core, machine: Machine, peer: Peer, work: Work): Promise<void> => {
  const { token = '' } = machine.departing ?? {};
  let failure: unknown = new XenopsError('Internal_error', ['the destination gave the migration up']);
  const outcome = await peer.commit(machine.id, token, work.debugInfo).catch((error: unknown) => {
    failure = error;
    return undefined;
  });
  if (outcome === 'committed') {
    await removeLeft(core, machine, peer, work.debugInfo).catch((error: unknown) => {
      core.log.error({ vm: machine.id, error }, 'what is left of a VM that moved could not be removed yet');
    });
    return;
  }
  const deadlineMs = core.clock.monotonicMs() + ASKING_MS_MAX;
  for (;;) {
    const place = await settle(core, machine, work.debugInfo, peer).catch((error: unknown) => {
      failure = error;
      return undefined;
    });
    if (place === 'gone') return;
    if (place === 'here') throw failure;
    if (core.clock.monotonicMs() >= deadlineMs) throw inDoubt(machine, failure);
    await sleep(core.clock, ASK_AGAIN_MS);
  }
};

const inDoubt = (machine: Machine, error: unknown): XenopsError =>
  new XenopsError('Failed_to_contact_remote_service', [
    `whether the destination has VM ${machine.id} is not known, so it stands still here ` +
      `(${error instanceof Error ? error.message : error})`,
  ]);

const standStill = (core: Core, machine: Machine): void => {
  if (machine.guest === undefined || machine.guest.state === 'paused') return;
  machine.guest.state = 'paused';
  announceVm(core, machine);
};

const removeLeft = async (core: Core, machine: Machine, peer: Peer, debugInfo: string): Promise<void> => {
  const { token = '' } = machine.departing ?? {};
  await core.backend.destroy(machine.id);
  await releaseAll(core, machine, debugInfo);
  await core.machines.remove(machine.id);
  machine.guest = undefined;
  machine.domid = undefined;
  machine.departing = undefined;
  announceGone(core, machine);
  // Only now: as long as this daemon knows of the migration it may have to ask again.
  await peer.forget(machine.id, token, debugInfo).catch((error: unknown) => {
    core.log.info({ vm: machine.id, error }, 'the destination remembers a migration that is over');
  });
};

/** Brings a guest back that nobody else was asked to take. */
const stay = async (core: Core, machine: Machine, stopped: boolean, debugInfo: string): Promise<void> => {
  try {
    if (stopped) await comeBack(core, machine, debugInfo);
    machine.departing = undefined;
    await core.machines.save(machine);
  } catch (error) {
    core.log.error({ vm: machine.id, error }, 'a VM that did not leave cannot go on yet');
  }
};

const comeBack = async (core: Core, machine: Machine, debugInfo: string): Promise<void> => {
  if (machine.guest === undefined || machine.exited !== undefined) return;
  await reopenDisks(core, machine, debugInfo);
  await core.backend.unpause(machine.id);
  if (machine.guest.state === 'running') return;
  machine.guest.state = 'running';
  announceVm(core, machine);
};

/**
 * Finds out where a guest belongs whose migration was cut short, and sees to it. In its queue. Rejects, with
 * nothing changed, when that cannot be known or done yet.
 */
export const settle = async (
  core: Core,
  machine: Machine,
  debugInfo: string,
  other?: Peer,
): Promise<'here' | 'gone'> => {
  const { departing } = machine;
  if (departing === undefined) return 'here';
  const peer = other ?? peerAt(core.network, departing.url);
  const outcome: Outcome = departing.asked
    ? await peer.abandon(machine.id, departing.token, debugInfo)
    : 'abandoned';
  if (outcome === 'committed') {
    await removeLeft(core, machine, peer, debugInfo);
    return 'gone';
  }
  await comeBack(core, machine, debugInfo);
  machine.departing = undefined;
  await core.machines.save(machine);
  if (machine.exited !== undefined) await dealWithExit(core, machine, ownWork(debugInfo));
  return 'here';
};
