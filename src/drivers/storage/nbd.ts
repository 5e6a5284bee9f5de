import { lesser } from '../../std/bigints.ts';
import type { Clock } from '../../std/clock.ts';
import type { Endpoint, Network } from '../network.ts';
import { type AwaitedReplies, readReply } from './nbd-replies.ts';
import { CONNECT_MS_MAX, type NbdWire, protocolError, wireOf } from './nbd-wire.ts';
import type { Extent, OpenVolume } from './storage.ts';
import { turns } from './turns.ts';

// A client of NBD, the protocol that disks are served by between processes: fixed newstyle handshake, several
// requests at a time, replies in parts where the server tells which parts are zeros. Numbers are big-endian.

/** A server that does not answer one request for this long is given up. */
const REQUEST_MS_MAX = 120_000;
/** Requests on their way at once; qemu-nbd works on as many of one client. */
const IN_FLIGHT_MAX = 16;
const WAITING_MAX = 1_024;
/** Larger reads and writes are cut; every server must take this much at once. */
const PAYLOAD_BYTES_MAX = 1024 * 1024;
const OPTION_REPLY_BYTES_MAX = 64 * 1024;
const OPTION_REPLIES_MAX = 64;

const NEWSTYLE = 0x4e42444d41474943n;
const OPTION = 0x49484156454f5054n;
const OPTION_REPLY = 0x3e889045565a9n;
const REQUEST = 0x25609513;
const NOTHING = new Uint8Array(0);

const option = { go: 7, structuredReply: 8, setMetaContext: 10 } as const;
const optionReply = { ack: 1, info: 3, metaContext: 4, error: 0x80000000 } as const;
const ALLOCATION = 'base:allocation';
const info = { export: 0, blockSize: 3 } as const;
const command = { read: 0, write: 1, disconnect: 2, flush: 3, blockStatus: 7 } as const;
/** One question is about at most this much. */
const QUESTION_BYTES_MAX = 1n << 30n;
const ZERO = 1 << 1;
const exportFlag = { readOnly: 1 << 1, flush: 1 << 2 } as const;
export interface NbdDisk extends OpenVolume {
  readonly readOnly: boolean;
  /** Says goodbye; does not flush. */
  close(): Promise<void>;
}

/**
 * `telling`: the server is asked to say where there are zeros. Rejects with an `Error` whose `code` is the
 * server's (`EIO`, `ENOSPC`, ...) or `EPROTO`.
 */
export const connectNbd = async (
  given: { readonly network: Network; readonly clock: Clock },
  to: Endpoint,
  exportName: string,
  telling = false,
): Promise<NbdDisk> => {
  const socket = await given.network.connect(to, { timeoutMs: CONNECT_MS_MAX });
  const wire = wireOf(socket, given.clock);
  try {
    const found = await wire.within(CONNECT_MS_MAX, () => handshake(wire, exportName, telling));
    return diskOf(wire, found);
  } catch (error) {
    socket.destroy();
    throw error;
  }
};

interface Export {
  readonly sizeBytes: bigint;
  readonly flags: number;
  /** Replies come in parts. */
  readonly inParts?: boolean;
  /** By which the server tells what is allocated. */
  readonly context?: number | undefined;
}

const handshake = async (wire: NbdWire, exportName: string, telling: boolean): Promise<Export> => {
  const greeting = await wire.take(18);
  const fixed = (greeting.readUInt16BE(16) & 1) === 1;
  if (greeting.readBigUInt64BE(0) !== NEWSTYLE || greeting.readBigUInt64BE(8) !== OPTION || !fixed) {
    throw protocolError('it is not an NBD server of the fixed newstyle');
  }
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(1);
  wire.send(flags);
  const name = named(exportName);
  const tells = telling && (await negotiate(wire, name));
  wire.send(...asked(option.go, name, Buffer.from([0, 1, 0, info.blockSize])));
  let found: Export | undefined;
  for (let replies = 0; replies < OPTION_REPLIES_MAX; replies += 1) {
    const { type, body } = await optionAnswer(wire);
    if (type >= optionReply.error) {
      throw protocolError(`the export "${exportName}" was refused: ${body.toString('utf8')}`, 'ENOENT');
    }
    if (type === optionReply.ack && found !== undefined) return { ...found, ...tells };
    if (type === optionReply.info) found = readInfo(body) ?? found;
  }
  throw protocolError('the server did not describe the export');
};

/** A length and the text. */
const named = (text: string): Buffer => {
  const bytes = Buffer.from(`    ${text}`, 'utf8');
  bytes.writeUInt32BE(bytes.length - 4, 0);
  return bytes;
};

const asked = (what: number, ...payload: readonly Buffer[]): readonly Buffer[] => {
  const head = Buffer.alloc(16);
  head.writeBigUInt64BE(OPTION, 0);
  head.writeUInt32BE(what, 8);
  head.writeUInt32BE(
    payload.reduce((sum, { length }) => sum + length, 0),
    12,
  );
  return [head, ...payload];
};

const optionAnswer = async (wire: NbdWire): Promise<{ readonly type: number; readonly body: Buffer }> => {
  const head = await wire.take(20);
  const [type, length] = [head.readUInt32BE(12), head.readUInt32BE(16)];
  if (head.readBigUInt64BE(0) !== OPTION_REPLY || length > OPTION_REPLY_BYTES_MAX) {
    throw protocolError('the answer to the handshake makes no sense');
  }
  return { type, body: await wire.take(length) };
};

/** Asks for replies in parts, and to be told what is allocated; a server that does neither is as good. */
const negotiate = async (wire: NbdWire, name: Buffer): Promise<Pick<Export, 'inParts' | 'context'>> => {
  wire.send(...asked(option.structuredReply));
  const inParts = (await optionAnswer(wire)).type === optionReply.ack;
  if (!inParts) return { inParts };
  const one = Buffer.from([0, 0, 0, 1]);
  wire.send(...asked(option.setMetaContext, name, one, named(ALLOCATION)));
  let context: number | undefined;
  for (let replies = 0; replies < OPTION_REPLIES_MAX; replies += 1) {
    const { type, body } = await optionAnswer(wire);
    if (type === optionReply.metaContext && body.toString('utf8', 4) === ALLOCATION) {
      context = body.readUInt32BE(0);
    } else return { inParts, context };
  }
  throw protocolError('the server named too many contexts');
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

/** Several requests are on their way at once, of them one write; whoever finds as many before it waits. */
const requester = (wire: NbdWire, inParts: boolean) => {
  const line = turns(WAITING_MAX);
  const awaited: AwaitedReplies = new Map();
  let [requests, lane] = [0n, 0];
  let reading = false;

  const readReplies = async (): Promise<void> => {
    reading = true;
    try {
      while (awaited.size > 0) await readReply(wire, awaited, inParts);
    } catch (error) {
      for (const { failed } of awaited.values()) failed(error as Error);
      awaited.clear();
    } finally {
      reading = false;
    }
  };

  const sent = (type: number, position: bigint, length: number, into: Uint8Array, payload?: Uint8Array) =>
    new Promise<Buffer>((done, failed) => {
      requests += 1n;
      const head = headOf(type, requests, position, length);
      if (payload === undefined) wire.send(head);
      else wire.send(head, payload);
      const nothing = { parts: 0, got: 0, words: Buffer.alloc(0), error: undefined };
      awaited.set(requests, { position, into, done, failed, ...nothing });
      if (!reading) void readReplies();
    });

  /** Sends one request; what it reads comes to `into`, and what the server says of extents is the answer. */
  const request = (
    type: number,
    position: bigint,
    length: number,
    { into = NOTHING, payload }: { readonly into?: Uint8Array; readonly payload?: Uint8Array } = {},
  ): Promise<Buffer> =>
    line.shared('wire', () => {
      lane = (lane + 1) % IN_FLIGHT_MAX;
      return line.alone(type === command.write ? 'writes' : `lane ${lane}`, () =>
        wire.within(REQUEST_MS_MAX, () => sent(type, position, length, into, payload)),
      );
    });

  const goodbye = (): Promise<void> =>
    line.alone('wire', async () => {
      try {
        wire.send(headOf(command.disconnect, requests + 1n, 0n, 0));
      } catch {
        // The server is gone already, which is what this asks for.
      }
      await wire.end();
    });
  return { request, goodbye };
};

/** Resolves when all have ended, so that none of them still uses what it was given. */
const allEnded = async (works: readonly Promise<unknown>[]): Promise<void> => {
  await Promise.allSettled(works);
  await Promise.all(works);
};

const diskOf = (wire: NbdWire, { sizeBytes, flags, inParts = false, context }: Export): NbdDisk => {
  const { request, goodbye } = requester(wire, inParts);

  const extents = async (position: bigint, lengthBytes: bigint): Promise<readonly Extent[]> => {
    const length = lesser(lengthBytes, QUESTION_BYTES_MAX);
    const said = await request(command.blockStatus, position, Number(length));
    return extentsIn(said, context);
  };

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
      await allEnded(
        Array.from(pieces(length), ([from, to]) =>
          request(command.read, position + BigInt(from), to - from, { into: into.subarray(from, to) }),
        ),
      );
      return length;
    },
    write: async (from, position) => {
      await allEnded(
        Array.from(pieces(from.length), ([start, end]) => {
          const payload = from.subarray(start, end);
          return request(command.write, position + BigInt(start), end - start, { payload });
        }),
      );
    },
    flush: async () => {
      if ((flags & exportFlag.flush) !== 0) await request(command.flush, 0n, 0);
    },
    close: goodbye,
    ...(context !== undefined && { extents }),
  };
};

/** A context, then a length and flags for each extent. */
const extentsIn = (said: Buffer, context: number | undefined): readonly Extent[] => {
  if (said.length < 12 || said.length % 8 !== 4 || said.readUInt32BE(0) !== context) {
    throw protocolError('the server did not tell what is allocated');
  }
  const extents: Extent[] = [];
  for (let at = 4; at < said.length; at += 8) {
    const lengthBytes = BigInt(said.readUInt32BE(at));
    if (lengthBytes === 0n) throw protocolError('an extent has no length');
    extents.push({ lengthBytes, zero: (said.readUInt32BE(at + 4) & ZERO) !== 0 });
  }
  return extents;
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
