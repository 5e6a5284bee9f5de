// Suspend and resume: QEMU's own migration, with storage in place of the other host. It talks to a Unix
// socket of the daemon, so that no program and no file descriptor has to be handed over.
import type { Duplex } from 'node:stream';
import type { Serving } from '../../../drivers/network.ts';
import { sleep } from '../../../std/clock.ts';
import type { BackendWork, GuestSpec } from '../backend.ts';
import type { Emulator } from './emulator.ts';
import { fileNames, isEmulator, removeFile } from './folder.ts';
import { lastWords, launch } from './launch.ts';
import { type Host, type LiveGuest, release, removeRemains } from './live.ts';
import { readImage, writeImage } from './memory-image.ts';
import { asObject, type Qmp } from './qmp.ts';

const POLL_MS = 50;
/** How long an emulator that closed its socket may take to end. */
const ENDING_MS_MAX = 1_000;
const CONNECT_MS_MAX = 10_000;
/** Of a guest that stands still there is nobody to leave bandwidth to; this is as good as no limit. */
const BANDWIDTH_BYTES_MAX = 2 ** 50;

/** Saves the guest and leaves its emulator stopped. On failure the guest goes on as before. */
export const save = async (host: Host, guest: LiveGuest, path: string, work: BackendWork): Promise<void> => {
  const qmp = guest.link.qmp();
  const { machine, accelerator, devices } = guest.record;
  const dead = devices.find((device) => device.isDead);
  if (dead)
    throw new Error(`the guest cannot be suspended before it releases ${dead.key}, which was taken from it`);
  const image = await writeImage(host.disk, path);
  try {
    await qmp.execute('stop');
    await migrateOut(host, guest, qmp, image.copy, work);
    await image.finish({ machine, accelerator, devices });
  } catch (error) {
    host.log.info({ error, vm: guest.record.vm }, 'the guest was not suspended and goes on');
    if (guest.record.wanted === 'running') await qmp.execute('cont');
    throw error;
  } finally {
    await image.close();
  }
};

const migrateOut = async (
  host: Host,
  guest: LiveGuest,
  qmp: Qmp,
  copy: (stream: Duplex) => Promise<void>,
  work: BackendWork,
): Promise<void> => {
  const inbox = await listenOnce(host, guest, copy);
  try {
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': BANDWIDTH_BYTES_MAX });
    await qmp.execute('migrate', { uri: `unix:${fileNames.outgoing}` });
    const failed = inbox.copied.then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    const storage = new AbortController();
    failed.then((failure) => failure && storage.abort(failure.error));
    const signal = AbortSignal.any([work.signal, storage.signal]);
    await migrated(host, qmp, signal, work.progress).catch(async (error) => {
      await cancelMigration(host, qmp);
      throw error;
    });
    // The stream ends with the migration; storage may still be behind.
    const failure = await failed;
    if (failure) throw failure.error;
  } finally {
    await inbox.serving.close();
    await removeFile(host.disk, guest.folder.file('outgoing'));
  }
};

/** Takes the one connection that the emulator makes. */
const listenOnce = async (
  host: Host,
  guest: LiveGuest,
  copy: (stream: Duplex) => Promise<void>,
): Promise<{ serving: Serving; copied: Promise<void> }> => {
  const on = { socketPath: guest.folder.file('outgoing') };
  await removeFile(host.disk, on.socketPath);
  let accept = (_: Duplex): void => {};
  const connected = new Promise<Duplex>((resolve) => {
    accept = resolve;
  });
  const serving = await host.network.listen(on, (stream) => accept(stream), { connectionsMax: 1 });
  return { serving, copied: connected.then(copy) };
};

/** Follows a migration, of either direction, to its end. */
const migrated = async (
  { clock }: Host,
  qmp: Qmp,
  signal: AbortSignal,
  progress: (fraction: number) => void,
): Promise<void> => {
  for (;;) {
    signal.throwIfAborted();
    const answer = asObject(await qmp.execute('query-migrate'));
    const { status, ram, 'error-desc': why } = answer;
    if (status === 'completed') return;
    if (status === 'failed' || status === 'cancelled') {
      throw new Error(`the emulator gave up: ${why ?? status}`);
    }
    const { total, remaining } = asObject(ram);
    if (Number(total) > 0) progress(1 - Number(remaining) / Number(total));
    await sleep(clock, POLL_MS, signal);
  }
};

/** Waits until the emulator has let go, because before that the guest cannot run. */
const cancelMigration = async (host: Host, qmp: Qmp): Promise<void> => {
  await qmp.execute('migrate_cancel');
  const forever = new AbortController().signal;
  await migrated(host, qmp, forever, () => {}).catch(() => {});
};

/** Whether the emulator is gone, or goes within a moment: its socket closes before its process ends. */
const endsSoon = async ({ disk, clock }: Host, { record }: LiveGuest): Promise<boolean> => {
  for (let waitedMs = 0; await isEmulator(disk, record.pid, record.name); waitedMs += POLL_MS) {
    if (waitedMs >= ENDING_MS_MAX) return false;
    await sleep(clock, POLL_MS);
  }
  return true;
};

/** Starts an emulator with the memory that `save` wrote. */
export const restore = async (
  host: Host,
  spec: GuestSpec,
  path: string,
  work: BackendWork,
): Promise<LiveGuest> => {
  const image = await readImage(host.disk, path);
  try {
    const { machine, accelerator, devices } = image.header;
    const emulator: Emulator = { ...(await host.emulator()), machine };
    if (accelerator === 'kvm' && emulator.accelerator !== 'kvm') {
      throw new Error(
        'the guest was suspended under KVM, which does not work here: make /dev/kvm accessible',
      );
    }
    const fitting: Emulator = { ...emulator, accelerator: accelerator === 'kvm' ? 'kvm' : 'tcg' };
    const guest = await launch(host, spec, work, fitting, devices);
    try {
      const to = { socketPath: guest.folder.file('incoming') };
      const stream = await host.network.connect(to, { timeoutMs: CONNECT_MS_MAX });
      stream.on('error', (error) => host.log.debug({ error }, 'the emulator did not take the saved guest'));
      await image.send(stream, work.signal, work.progress);
      await migrated(host, guest.link.qmp(), work.signal, () => {});
      return guest;
    } catch (error) {
      // An emulator that cannot read the state ends, and only its log says what was wrong.
      const gone = !work.signal.aborted && (await endsSoon(host, guest));
      await release(guest);
      const reason = gone ? await lastWords(host, guest.folder) : error;
      await removeRemains(host, guest.folder);
      throw reason;
    }
  } finally {
    await image.close();
  }
};
