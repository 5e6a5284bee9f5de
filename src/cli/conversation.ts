import type { Duplex } from 'node:stream';
import { type Clock, within } from '../std/clock.ts';
import {
  checkGreeting,
  decodeReply,
  encodeOrder,
  FrameFailure,
  greeting,
  type Order,
  type Reply,
} from './frames.ts';

/** The other side of a command: whoever runs `xe`. */
export interface Conversation {
  /** Resolves once the client has taken it or there is room for it. Rejects when the client is gone. */
  tell(order: Order): Promise<void>;
  /** The next answer that is more than a sign of life. Rejects as `tell`, and when none comes for long. */
  reply(): Promise<Reply>;
  /** Bytes that the client sends outside of frames, until its end of the blob. */
  blob(bytesMax: number): Promise<Buffer>;
  /** Aborted once the client is gone. */
  readonly gone: AbortSignal;
}

/** Bytes of the client that wait to be read; beyond them it is not listened to. */
const waitingBytesMax = 262_144;
/** Replies are small: what they carry comes outside of them. */
const replyBytesMax = 64;
/** A client that does not take or answer anything for so long is left. Its signs of life come each 300 s. */
export const silentMsMax = 900_000;

export class ClientGone extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'ClientGone';
  }
}

export interface ByteSource {
  /** Rejects with `ClientGone` when the client has gone before, or says nothing for `silentMs`. */
  exactly(count: number, silentMs: number): Promise<Buffer>;
  readonly gone: AbortSignal;
}

/**
 * Listens all the time, so that it is known at once when a client goes, also while nothing is asked of it.
 */
export const byteSource = (from: Duplex, clock: Clock): ByteSource => {
  const gone = new AbortController();
  let waiting: Buffer[] = [];
  let length = 0;
  let wanted = 0;
  let wake = (): void => {};
  const end = (): void => {
    gone.abort(new ClientGone('The client went away'));
    wake();
  };
  from.on('error', end);
  from.once('end', end);
  from.once('close', end);
  from.on('data', (chunk: Buffer) => {
    waiting.push(chunk);
    length += chunk.length;
    if (length >= Math.max(wanted, waitingBytesMax)) from.pause();
    if (length >= wanted) wake();
  });
  const take = (count: number): Buffer => {
    const all = waiting.length === 1 ? (waiting[0] as Buffer) : Buffer.concat(waiting);
    waiting = all.length > count ? [all.subarray(count)] : [];
    length -= count;
    wanted = 0;
    if (length < waitingBytesMax) from.resume();
    return all.subarray(0, count);
  };
  return {
    gone: gone.signal,
    exactly: async (count, silentMs) => {
      wanted = count;
      while (length < count) {
        gone.signal.throwIfAborted();
        const before = length;
        from.resume();
        const arrived = new Promise<void>((resolve) => {
          wake = resolve;
        });
        const inTime = await within(clock, silentMs, arrived);
        if (!inTime && length === before) throw new ClientGone('The client says nothing');
      }
      return take(count);
    },
  };
};

/** Greets, and hears the greeting of the client. Rejects where it speaks something else. */
export const converse = async (
  stream: Duplex,
  source: ByteSource,
  given: { readonly clock: Clock; readonly greetMs: number },
): Promise<Conversation> => {
  const { clock } = given;
  const write = async (bytes: Buffer): Promise<void> => {
    source.gone.throwIfAborted();
    if (stream.write(bytes)) return;
    const drained = new Promise<void>((resolve) => {
      stream.once('drain', resolve);
      source.gone.addEventListener('abort', () => resolve(), { once: true });
    });
    if (!(await within(clock, silentMsMax, drained))) throw new ClientGone('The client takes nothing');
    source.gone.throwIfAborted();
  };
  const next = async (): Promise<Reply> => {
    const sizeBytes = (await source.exactly(4, silentMsMax)).readInt32LE();
    if (sizeBytes < 0 || sizeBytes > replyBytesMax)
      throw new FrameFailure('A frame of the client is too long');
    return decodeReply(await source.exactly(sizeBytes, silentMsMax));
  };
  await write(greeting);
  checkGreeting(await source.exactly(greeting.length, given.greetMs));
  return {
    gone: source.gone,
    tell: (order) => write(encodeOrder(order)),
    reply: async () => {
      let reply = await next();
      while (reply.kind === 'wait') reply = await next();
      return reply;
    },
    blob: async (bytesMax) => {
      const parts: Buffer[] = [];
      let sizeBytes = 0;
      for (let reply = await next(); reply.kind !== 'end'; reply = await next()) {
        if (reply.kind !== 'chunk') throw new FrameFailure('There is an answer in the middle of a blob');
        sizeBytes += reply.sizeBytes;
        if (sizeBytes > bytesMax) throw new FrameFailure(`More than ${bytesMax} bytes were sent`);
        parts.push(await source.exactly(reply.sizeBytes, silentMsMax));
      }
      return Buffer.concat(parts);
    },
  };
};
