// A guest's memory and state on their way out of an emulator or into one: QEMU's own migration. The
// emulator talks to a Unix socket of the daemon, so that no program and no file descriptor has to be handed
// over, and the daemon takes the bytes to storage or to another host.

import type { Duplex } from 'node:stream';
import type { Serving } from '../../../drivers/network.ts';
import { said } from '../../../std/allowed.ts';
import { sleep } from '../../../std/clock.ts';
import { isSubset } from '../../../std/cpu-features.ts';
import { membersOf } from '../../../std/reader.ts';
import type { BackendWork, GuestSpec } from '../backend.ts';
import type { Emulator } from './emulator.ts';
import { fileNames, isEmulator, removeFile } from './folder.ts';
import { sealFolder } from './guest-users.ts';
import { lastWords, launch } from './launch.ts';
import { type QemuGuest, type QemuHost, release, removeRemains } from './live.ts';
import type { Origin } from './origin.ts';
import type { Qmp } from './qmp.ts';

const POLL_MS = 50;
/** How long an emulator that closed its socket may take to end. */
const ENDING_MS_MAX = 1_000;
const CONNECT_MS_MAX = 10_000;
/** What is on the other side sets the pace; this is as good as no limit. */
const BANDWIDTH_BYTES_MAX = 2 ** 50;

export type Capability = 'auto-converge' | 'late-block-activate';

const capable = (qmp: Qmp, names: readonly Capability[]): Promise<unknown> =>
  qmp.execute(
    'migrate-set-capabilities',
    said({ capabilities: names.map((capability) => ({ capability, state: true })) }),
  );

/** Sends the guest into `copy`. Its emulator is left stopped, or on failure as it was before. */
export const migrateOut = async (
  host: QemuHost,
  guest: QemuGuest,
  qmp: Qmp,
  copy: (stream: Duplex) => Promise<void>,
  work: BackendWork,
  capabilities: readonly Capability[] = [],
): Promise<void> => {
  const inbox = await listenOnce(host, guest, copy);
  const failed = inbox.copied.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  try {
    await qmp.execute('migrate-set-parameters', said({ 'max-bandwidth': BANDWIDTH_BYTES_MAX }));
    if (capabilities.length > 0) await capable(qmp, capabilities);
    await qmp.execute('migrate', said({ uri: `unix:${fileNames.outgoing}` }));
    const taker = new AbortController();
    failed.then((failure) => failure && taker.abort(failure.error));
    const signal = AbortSignal.any([work.signal, taker.signal]);
    await migrated(host, qmp, signal, work.progress).catch(async (error) => {
      await cancelMigration(host, qmp);
      throw error;
    });
    // The stream ends with the migration; whoever takes it may still be behind.
    const failure = await failed;
    if (failure) throw failure.error;
  } finally {
    await inbox.serving.close();
    await removeFile(host.disk, guest.folder.file('outgoing'));
  }
};

/** Takes the one connection that the emulator makes. */
const listenOnce = async (
  host: QemuHost,
  guest: QemuGuest,
  copy: (stream: Duplex) => Promise<void>,
): Promise<{ serving: Serving; copied: Promise<void> }> => {
  const on = { socketPath: guest.folder.file('outgoing') };
  await removeFile(host.disk, on.socketPath);
  let accept = (_: Duplex): void => {};
  const connected = new Promise<Duplex>((resolve) => {
    accept = resolve;
  });
  const serving = await host.network.listen(on, (stream) => accept(stream), { connectionsMax: 1 });
  if (guest.record.user) await host.disk.give(on.socketPath, guest.record.user, 0o600);
  return { serving, copied: connected.then(copy) };
};

/** Follows a migration, of either direction, to its end. */
const migrated = async (
  { clock }: QemuHost,
  qmp: Qmp,
  signal: AbortSignal,
  progress: (fraction: number) => void,
): Promise<void> => {
  for (;;) {
    signal.throwIfAborted();
    const answer = membersOf(await qmp.execute('query-migrate'));
    const { status, ram, 'error-desc': why } = answer;
    if (status === 'completed') return;
    if (status === 'failed' || status === 'cancelled') {
      throw new Error(`the emulator gave up: ${why ?? status}`);
    }
    const { total, remaining } = membersOf(ram);
    if (Number(total) > 0) progress(1 - Number(remaining) / Number(total));
    await sleep(clock, POLL_MS, signal);
  }
};

/** Waits until the emulator has let go, because before that the guest cannot run. */
const cancelMigration = async (host: QemuHost, qmp: Qmp): Promise<void> => {
  await qmp.execute('migrate_cancel');
  const forever = new AbortController().signal;
  await migrated(host, qmp, forever, () => {}).catch(() => {});
};

/** Starts an emulator and fills it with what `feed` writes. On failure nothing of it is left. */
export const migrateIn = async (
  host: QemuHost,
  spec: GuestSpec,
  origin: Origin,
  feed: (stream: Duplex) => Promise<void>,
  work: BackendWork,
  capabilities: readonly Capability[] = [],
): Promise<QemuGuest> => {
  const emulator = fitting(await host.emulator(), origin);
  const guest = await launch(host, spec, work, emulator, origin);
  try {
    const qmp = guest.link.qmp();
    if (capabilities.length > 0) await capable(qmp, capabilities);
    await qmp.execute('migrate-incoming', said({ uri: `unix:${fileNames.incoming}` }));
    const to = { socketPath: guest.folder.file('incoming') };
    const stream = await host.network.connect(to, { timeoutMs: CONNECT_MS_MAX });
    // Before the first byte of what another host, or a disk, says of the guest.
    if (guest.record.user) await sealFolder(host.disk, guest.folder.path);
    stream.on('error', (error) => host.log.debug({ error }, 'the emulator did not take a guest'));
    await feed(stream);
    stream.end();
    await migrated(host, qmp, work.signal, () => {});
    return guest;
  } catch (error) {
    // An emulator that cannot read the state ends, and only its log says what was wrong.
    const gone = !work.signal.aborted && (await endsSoon(host, guest));
    await release(guest);
    const reason = gone ? await lastWords(host, guest.folder) : error;
    await removeRemains(host, guest.folder);
    throw reason;
  }
};

/** A guest goes on only with all that it has seen. */
const fitting = (emulator: Emulator, { machine, accelerator, features = [] }: Origin): Emulator => {
  const processor = emulator.processors[accelerator];
  if (processor === undefined) {
    throw new Error('the guest ran under KVM, which does not work here: make /dev/kvm accessible');
  }
  if (!isSubset(features, processor.features)) {
    throw new Error('the guest has seen features of a processor that the one here lacks');
  }
  return { ...emulator, machine, accelerator };
};

/** Whether the emulator is gone, or goes within a moment: its socket closes before its process ends. */
const endsSoon = async ({ disk, clock }: QemuHost, { record }: QemuGuest): Promise<boolean> => {
  for (let waitedMs = 0; await isEmulator(disk, record.pid, record.name); waitedMs += POLL_MS) {
    if (waitedMs >= ENDING_MS_MAX) return false;
    await sleep(clock, POLL_MS);
  }
  return true;
};

/** Resolves once the other side has taken the chunk: one chunk at a time is in memory. */
export const written = (stream: Duplex, chunk: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    stream.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
