// Guests on their way between two hosts: a line that says what emulator the guest needs, then what QEMU
// streams while the guest runs on. QEMU itself lets go of the disk images when it stops the guest, and the
// other one takes them only with the command that makes it run: its locks and ours change hands together.

import type { Duplex } from 'node:stream';
import { jsonIn, membersOf } from '../../../std/reader.ts';
import type { BackendWork, GuestSpec } from '../backend.ts';
import { stillHeld } from './devices.ts';
import { END_MS_MAX, waitForEnd } from './folder.ts';
import { note, type QemuGuest, type QemuHost } from './live.ts';
import { type Origin, originOf, originSaid } from './origin.ts';
import { QmpFailure } from './qmp.ts';
import { migrateIn, migrateOut, written } from './transfer.ts';

/** A guest that writes faster than its memory travels is stopped by then, so that it arrives at all. */
const LIVE_MS_MAX = 10 * 60_000;
const FORMAT = 1;
const ORIGIN_BYTES_MAX = 64 * 1024;
const NEWLINE = 0x0a;

/** Leaves the guest stopped and without its disk images. On failure it runs on. */
export const send = async (
  host: QemuHost,
  guest: QemuGuest,
  write: (piece: Uint8Array) => Promise<void>,
  work: BackendWork,
): Promise<void> => {
  const qmp = guest.link.qmp();
  const dead = guest.record.devices.find((device) => device.isDead);
  if (dead) throw stillHeld(dead);
  const copy = async (stream: Duplex): Promise<void> => {
    for await (const chunk of stream as AsyncIterable<Buffer>) await write(chunk);
  };
  const stop = (): void => void qmp.execute('stop').catch(() => {});
  const cancelStop = host.clock.after(LIVE_MS_MAX, stop);
  try {
    await write(Buffer.from(`${JSON.stringify({ format: FORMAT, ...originSaid(guest.record) })}\n`));
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
  host: QemuHost,
  spec: GuestSpec,
  pieces: AsyncIterable<Uint8Array>,
  work: BackendWork,
): Promise<QemuGuest> => {
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
export const arrive = async (host: QemuHost, guest: QemuGuest): Promise<void> => {
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
    if (end >= 0)
      return { origin: originOf(parsed(head.toString('utf8', 0, end))), rest: head.subarray(end + 1) };
    if (head.length > ORIGIN_BYTES_MAX) throw new Error('what came is no guest of this program');
    const { done, value } = await incoming.next();
    if (done === true) throw new Error('what came is no guest of this program: it ends at once');
    head = Buffer.concat([head, value]);
  }
};

const parsed = (text: string): Readonly<Record<string, unknown>> => {
  const said = membersOf(jsonIn(text));
  if (said['format'] === FORMAT) return said;
  throw new Error('the guest comes from another version of this program');
};
