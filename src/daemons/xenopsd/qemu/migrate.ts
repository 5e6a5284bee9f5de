// Guests on their way between two hosts: a line that says what emulator the guest needs, then what QEMU
// streams while the guest runs on. QEMU itself lets go of the disk images when it stops the guest, and the
// other one takes them only with the command that makes it run: its locks and ours change hands together.
import type { Duplex } from 'node:stream';
import type { BackendWork, GuestSpec } from '../backend.ts';
import { bridge, controller, type Device, stillHeld } from './devices.ts';
import { END_MS_MAX, waitForEnd } from './folder.ts';
import { type Host, type LiveGuest, note } from './live.ts';
import { asObject, QmpFailure } from './qmp.ts';
import { migrateIn, migrateOut, type Origin, written } from './transfer.ts';

/** A guest that writes faster than its memory travels is stopped by then, so that it arrives at all. */
const LIVE_MS_MAX = 10 * 60_000;
const FORMAT = 1;
const ORIGIN_BYTES_MAX = 64 * 1024;
const DEVICES_MAX = 300;
const NEWLINE = 0x0a;

/** Leaves the guest stopped and without its disk images. On failure it runs on. */
export const send = async (
  host: Host,
  guest: LiveGuest,
  write: (piece: Uint8Array) => Promise<void>,
  work: BackendWork,
): Promise<void> => {
  const qmp = guest.link.qmp();
  const { machine, accelerator, devices } = guest.record;
  const dead = devices.find((device) => device.isDead);
  if (dead) throw stillHeld(dead);
  const copy = async (stream: Duplex): Promise<void> => {
    for await (const chunk of stream as AsyncIterable<Buffer>) await write(chunk);
  };
  const stop = (): void => void qmp.execute('stop').catch(() => {});
  const cancelStop = host.clock.after(LIVE_MS_MAX, stop);
  try {
    await write(Buffer.from(`${JSON.stringify({ format: FORMAT, machine, accelerator, devices })}\n`));
    await migrateOut(host, guest, qmp, copy, work, ['auto-converge']);
    // Noted while only this side may run it: the next daemon must not decide that by itself.
    await note(host, guest, { wanted: 'paused' });
  } catch (error) {
    host.log.info({ error, vm: guest.record.vm }, 'the guest did not leave and goes on');
    await qmp.execute('cont').catch((failure: unknown) => {
      host.log.warn({ error: failure, vm: guest.record.vm }, 'a guest that did not leave cannot go on');
    });
    throw error;
  } finally {
    cancelStop();
  }
};

/** Leaves the guest complete, stopped, and without its disk images. */
export const receive = async (
  host: Host,
  spec: GuestSpec,
  pieces: AsyncIterable<Uint8Array>,
  work: BackendWork,
): Promise<LiveGuest> => {
  const incoming = pieces[Symbol.asyncIterator]();
  const { origin, rest } = await readOrigin(incoming);
  const feed = async (stream: Duplex): Promise<void> => {
    await written(stream, rest);
    for (;;) {
      work.signal.throwIfAborted();
      const { done, value } = await incoming.next();
      if (done === true) return;
      await written(stream, value);
    }
  };
  return migrateIn(host, spec, origin, feed, work, ['late-block-activate']);
};

/** Lets a received guest take its disk images and run. Rejects only when it has not run. */
export const arrive = async (host: Host, guest: LiveGuest): Promise<void> => {
  const qmp = guest.link.qmp();
  await note(host, guest, { wanted: 'running' });
  try {
    await qmp.execute('cont');
  } catch (error) {
    // Only a refusal says that it did not: any other guest may have run, and must not run elsewhere.
    if (error instanceof QmpFailure && error.reason === 'refused') {
      await note(host, guest, { wanted: 'paused' });
      throw error;
    }
    host.log.error({ error, vm: guest.record.vm }, 'whether a guest that came goes on is not known');
    const { pid, name } = guest.record;
    await waitForEnd(host.disk, host.clock, pid, name, END_MS_MAX);
  }
};

const readOrigin = async (
  incoming: AsyncIterator<Uint8Array>,
): Promise<{ readonly origin: Origin; readonly rest: Uint8Array }> => {
  let head = Buffer.alloc(0);
  for (;;) {
    const end = head.indexOf(NEWLINE);
    if (end >= 0) return { origin: originOf(head.toString('utf8', 0, end)), rest: head.subarray(end + 1) };
    if (head.length > ORIGIN_BYTES_MAX) throw new Error('what came is no guest of this program');
    const { done, value } = await incoming.next();
    if (done === true) throw new Error('what came is no guest of this program: it ends at once');
    head = Buffer.concat([head, value]);
  }
};

/** Checked value by value: it comes from elsewhere, and becomes part of a command line. */
const originOf = (text: string): Origin => {
  const { format, machine, accelerator, devices } = parsed(text);
  if (format !== FORMAT) throw new Error('the guest comes from another version of this program');
  const isMachine = typeof machine === 'string' && /^[a-z0-9.-]{1,64}$/.test(machine);
  const isAccelerator = accelerator === 'kvm' || accelerator === 'tcg';
  const listed =
    Array.isArray(devices) && devices.length <= DEVICES_MAX ? devices.map(deviceOf) : [undefined];
  const known = listed.filter((device) => device !== undefined);
  if (!isMachine || !isAccelerator || known.length < listed.length) {
    throw new Error('what came does not say what the guest needs');
  }
  if (new Set(known.map(({ id }) => id)).size < known.length) throw new Error('two devices have one name');
  return { machine, accelerator, devices: known };
};

const parsed = (text: string): Readonly<Record<string, unknown>> => {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return {};
  }
};

const PLACES_MAX = 256;

const deviceOf = (value: unknown): Device | undefined => {
  const { key, id, kind, bus: on, place } = asObject(value);
  const bus = [bridge, controller].find((one) => one.id === id);
  if (bus !== undefined) return bus;
  const isNamed = typeof key === 'string' && typeof id === 'string' && /^v(bd|if)[0-9]{1,4}$/.test(id);
  const isKind = kind === 'disk' || kind === 'cd' || kind === 'vif';
  const isPlaced = Number.isInteger(place) && Number(place) >= 0 && Number(place) < PLACES_MAX;
  const known = (['pci', 'bridge', 'ide', 'scsi'] as const).find((one) => one === on);
  if (!isNamed || !isKind || !isPlaced || known === undefined) return undefined;
  return { key, id, kind, bus: known, place: Number(place) };
};
