import type { Duplex } from 'node:stream';
import type { Clock } from '../../std/clock.ts';
import type { Endpoint, Network } from '../network.ts';
import type { OpenVolume } from './storage.ts';
import { turns } from './turns.ts';

// A client of NBD, the protocol that disks are served by between processes: fixed newstyle
// handshake, simple replies, one request at a time. Numbers are big-endian.

const CONNECT_MS_MAX = 10_000;
/** A server that does not answer one request for this long is given up. */
const REQUEST_MS_MAX = 120_000;
const WAITING_MAX = 1_024;
/** Larger reads and writes are cut; every server must take this much at once. */
const PAYLOAD_BYTES_MAX = 1024 * 1024;
const OPTION_REPLY_BYTES_MAX = 64 * 1024;
const OPTION_REPLIES_MAX = 64;

const NEWSTYLE = 0x4e42444d41474943n;
const OPTION = 0x49484156454f5054n;
const OPTION_REPLY = 0x3e889045565a9n;
const REQUEST = 0x25609513;
const SIMPLE_REPLY = 0x67446698;

const option = { go: 7 } as const;
const optionReply = { ack: 1, info: 3, error: 0x80000000 } as const;
const info = { export: 0, blockSize: 3 } as const;
const command = { read: 0, write: 1, disconnect: 2, flush: 3 } as const;
const exportFlag = { readOnly: 1 << 1, flush: 1 << 2 } as const;
const errorCodes: Readonly<Record<number, string>> = {
  1: 'EPERM',
  5: 'EIO',
  12: 'ENOMEM',
  22: 'EINVAL',
  28: 'ENOSPC',
  75: 'EOVERFLOW',
  95: 'ENOTSUP',
  108: 'ESHUTDOWN',
};

export interface NbdDisk extends OpenVolume {
  readonly readOnly: boolean;
  /** Says goodbye; does not flush. */
  close(): Promise<void>;
}

/** Rejects with an `Error` whose `code` is the server's (`EIO`, `ENOSPC`, ...) or `EPROTO`. */
export const connectNbd = async (
  given: { readonly network: Network; readonly clock: Clock },
  to: Endpoint,
  exportName: string,
): Promise<NbdDisk> => {
  const socket = await given.network.connect(to, { timeoutMs: CONNECT_MS_MAX });
  const wire = wireOf(socket, given.clock);
  try {
    const found = await wire.within(CONNECT_MS_MAX, () => handshake(wire, exportName));
    return diskOf(wire, found);
  } catch (error) {
    socket.destroy();
    throw error;
  }
};

interface Wire {
  take(count: number): Promise<Buffer>;
  send(...parts: readonly Uint8Array[]): void;
  /** Ends the connection when the work takes longer: its answer could not be told from the next one's. */
  within<T>(timeoutMs: number, work: () => Promise<T>): Promise<T>;
  end(): Promise<void>;
}

const wireOf = (socket: Duplex, clock: Clock): Wire => {
  let failure: Error | undefined;
  let wake = (): void => {};
  socket.on('readable', () => wake());
  socket.on('end', () => wake());
  socket.on('error', (error) => {
    failure ??= error;
  });
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      failure ??= protocolError('the server closed the connection');
      wake();
      resolve();
    });
  });

  return {
    take: async (count) => {
      for (;;) {
        const chunk = count === 0 ? Buffer.alloc(0) : (socket.read(count) as Buffer | null);
        if (chunk?.length === count) return chunk;
        if (failure) throw failure;
        if (chunk !== null || socket.readableEnded) throw protocolError('the server ended in mid-answer');
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    send: (...parts) => {
      if (failure) throw failure;
      for (const part of parts) socket.write(part);
    },
    within: async (timeoutMs, work) => {
      const cancel = clock.after(timeoutMs, () =>
        socket.destroy(protocolError(`the server gave no answer within ${timeoutMs} ms`, 'ETIMEDOUT')),
      );
      try {
        return await work();
      } catch (error) {
        if (!isRefusal(error)) socket.destroy();
        throw error;
      } finally {
        cancel();
      }
    },
    end: async () => {
      const cancel = clock.after(CONNECT_MS_MAX, () => socket.destroy());
      socket.end();
      // The server's end of the stream is only seen by reading.
      socket.resume();
      await closed;
      cancel();
    },
  };
};

interface Export {
  readonly sizeBytes: bigint;
  readonly flags: number;
}

const handshake = async (wire: Wire, exportName: string): Promise<Export> => {
  const greeting = await wire.take(18);
  const fixed = (greeting.readUInt16BE(16) & 1) === 1;
  if (greeting.readBigUInt64BE(0) !== NEWSTYLE || greeting.readBigUInt64BE(8) !== OPTION || !fixed) {
    throw protocolError('it is not an NBD server of the fixed newstyle');
  }
  const name = Buffer.from(exportName, 'utf8');
  const ask = Buffer.alloc(4 + 16 + 4);
  ask.writeUInt32BE(1, 0);
  ask.writeBigUInt64BE(OPTION, 4);
  ask.writeUInt32BE(option.go, 12);
  ask.writeUInt32BE(4 + name.length + 4, 16);
  ask.writeUInt32BE(name.length, 20);
  wire.send(ask, name, Buffer.from([0, 1, 0, info.blockSize]));

  let found: Export | undefined;
  for (let replies = 0; replies < OPTION_REPLIES_MAX; replies += 1) {
    const head = await wire.take(20);
    const [type, length] = [head.readUInt32BE(12), head.readUInt32BE(16)];
    if (head.readBigUInt64BE(0) !== OPTION_REPLY || length > OPTION_REPLY_BYTES_MAX) {
      throw protocolError('the answer to the handshake makes no sense');
    }
    const body = await wire.take(length);
    if (type >= optionReply.error) {
      throw protocolError(`the export "${exportName}" was refused: ${body.toString('utf8')}`, 'ENOENT');
    }
    if (type === optionReply.ack && found !== undefined) return found;
    if (type === optionReply.info) found = readInfo(body) ?? found;
  }
  throw protocolError('the server did not describe the export');
};

const readInfo = (body: Buffer): Export | undefined => {
  const type = body.length >= 2 ? body.readUInt16BE(0) : undefined;
  if (type === info.export && body.length >= 12) {
    return { sizeBytes: body.readBigUInt64BE(2), flags: body.readUInt16BE(10) };
  }
  if (type === info.blockSize && body.length >= 6 && body.readUInt32BE(2) > 1) {
    throw protocolError(`the server only takes blocks of ${body.readUInt32BE(2)} bytes`, 'ENOTSUP');
  }
  return undefined;
};

const diskOf = (wire: Wire, { sizeBytes, flags }: Export): NbdDisk => {
  const line = turns(WAITING_MAX);
  let requests = 0n;

  /** Sends one request and answers the bytes that come back with it. */
  const request = (type: number, position: bigint, length: number, payload?: Uint8Array): Promise<Buffer> =>
    line.alone('wire', () =>
      wire.within(REQUEST_MS_MAX, async () => {
        requests += 1n;
        const head = headOf(type, requests, position, length);
        if (payload === undefined) wire.send(head);
        else wire.send(head, payload);
        const reply = await wire.take(16);
        if (reply.readUInt32BE(0) !== SIMPLE_REPLY || reply.readBigUInt64BE(8) !== requests) {
          throw protocolError('the answer is to another request');
        }
        const error = reply.readUInt32BE(4);
        if (error !== 0) throw refusal(error);
        return wire.take(type === command.read ? length : 0);
      }),
    );

  const pieces = function* (length: number): Generator<readonly [from: number, to: number]> {
    for (let from = 0; from < length; from += PAYLOAD_BYTES_MAX) {
      yield [from, Math.min(length, from + PAYLOAD_BYTES_MAX)];
    }
  };

  return {
    sizeBytes,
    readOnly: (flags & exportFlag.readOnly) !== 0,
    read: async (into, position) => {
      const left = sizeBytes - position;
      const length = left < BigInt(into.length) ? Number(left) : into.length;
      for (const [from, to] of pieces(length)) {
        into.set(await request(command.read, position + BigInt(from), to - from), from);
      }
      return length;
    },
    write: async (from, position) => {
      for (const [start, end] of pieces(from.length)) {
        await request(command.write, position + BigInt(start), end - start, from.subarray(start, end));
      }
    },
    flush: async () => {
      if ((flags & exportFlag.flush) !== 0) await request(command.flush, 0n, 0);
    },
    close: () =>
      line.alone('wire', async () => {
        try {
          wire.send(headOf(command.disconnect, requests + 1n, 0n, 0));
        } catch {
          // The server is gone already, which is what this asks for.
        }
        await wire.end();
      }),
  };
};

const headOf = (type: number, handle: bigint, position: bigint, length: number): Buffer => {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(REQUEST, 0);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(handle, 8);
  head.writeBigUInt64BE(position, 16);
  head.writeUInt32BE(length, 24);
  return head;
};

const protocolError = (why: string, code = 'EPROTO'): Error =>
  Object.assign(new Error(`nbd: ${why}`), { code });

/** The server answered that it will not; the connection is still good. */
const refusal = (error: number): Error => {
  const code = errorCodes[error] ?? 'EIO';
  return Object.assign(protocolError(`the server refused with ${code} (${error})`, code), { refusal: true });
};

const isRefusal = (error: unknown): boolean => error instanceof Error && 'refusal' in error;
