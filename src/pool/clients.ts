import { Duplex, Readable, Writable } from 'node:stream';
import { BodyBroken } from '../drivers/http/http.ts';
import type { Ref } from '../model/types.ts';
import type { AnswerHead, Client } from '../objects/client.ts';
import type { Invocation, Invoker } from '../objects/invoke.ts';
import { carried } from '../objects/route.ts';
import { asFault, Fault } from '../std/fault.ts';
import { type ByteReader, byteReader } from './byte-reader.ts';
import type { PoolContext } from './context.ts';
import { carriedOf, countOf, fieldsOf, listOf, ProtocolError, saidOf, sayable, textOf } from './protocol.ts';
import { sent } from './sent.ts';

// What a client asked of one host and another does, over a stream of the mesh: the host that does it says
// what it wants of the client and what the client is answered; the host of the client passes bytes on, both
// ways, as pieces.

const streamName = 'client';
const openMs = 60_000;
/** One piece of a stream. */
export const pieceBytesMax = 1024 * 1024;
/** Clients of other hosts that this one serves at once. */
export const clientsMax = 1_000;

const headBytes = 5;
const codes = {
  /** The host that does it wants the body; lets the client in; begins the answer; is done; was refused. */
  body: 1,
  open: 2,
  answer: 3,
  done: 4,
  fault: 5,
  /** Either: bytes, their end, and that they broke off. */
  data: 6,
  end: 7,
  broken: 8,
} as const;
type Code = (typeof codes)[keyof typeof codes];
const known: ReadonlySet<number> = new Set(Object.values(codes));

interface Piece {
  readonly code: Code;
  readonly bytes: Buffer;
}

interface Line {
  send(code: Code, bytes?: Uint8Array): Promise<void>;
  next(): Promise<Piece>;
}

const none = Buffer.alloc(0);

const lineOf = (stream: Duplex): Line => {
  const reader: ByteReader = byteReader(stream);
  const sendPiece = async (code: Code, bytes: Uint8Array): Promise<void> => {
    const head = Buffer.alloc(headBytes);
    head.writeUInt8(code, 0);
    head.writeUInt32BE(bytes.length, 1);
    await sent(stream, Buffer.concat([head, bytes]));
  };
  return {
    send: async (code, bytes = none) => {
      if (bytes.length === 0) return sendPiece(code, none);
      for (let at = 0; at < bytes.length; at += pieceBytesMax)
        await sendPiece(code, bytes.subarray(at, at + pieceBytesMax));
    },
    next: async () => {
      const head = await reader.exactly(headBytes);
      const [code, length] = [head.readUInt8(0), head.readUInt32BE(1)];
      if (!known.has(code) || length > pieceBytesMax) throw new ProtocolError('a piece that is none');
      return { code: code as Code, bytes: await reader.exactly(length) };
    },
  };
};

/** Has another host do an action for a client of this one. */
export const sendClient = async (
  { mesh, isUp, store }: PoolContext,
  host: Ref<'host'>,
  invocation: Invocation,
): Promise<void> => {
  if (!isUp(host)) throw new Fault('HOST_OFFLINE', [host]);
  const { client: clientOf, until } = invocation;
  if (clientOf === undefined) throw new Error('There is no client to send on');
  const ended = new AbortController();
  const client = clientOf(until === undefined ? ended.signal : AbortSignal.any([ended.signal, until]));
  const sizeBytes = client.sizeBytes?.toString();
  const payload = { call: carried(invocation, false), generation: store.generation, sizeBytes };
  let far: Duplex | undefined;
  const cut = (): void => void far?.destroy();
  try {
    far = await mesh.open(host, streamName, payload, { timeoutMs: openMs });
    until?.addEventListener('abort', cut, { once: true });
    until?.throwIfAborted();
    await passOn(lineOf(far), client);
  } catch (error) {
    ended.abort(asFault(error));
    if (until?.aborted) throw until.reason;
    throw error instanceof Fault ? error : new Fault('CANNOT_CONTACT_HOST', [host]);
  } finally {
    until?.removeEventListener('abort', cut);
    cut();
  }
};

/** Does what the far side says, until that is done. Throws the fault that it was refused with. */
const passOn = async (line: Line, client: Client): Promise<void> => {
  let to: { write(chunk: Uint8Array): Promise<void>; end(): void } | undefined;
  for (;;) {
    const { code, bytes } = await line.next();
    if (code === codes.done) return;
    if (code === codes.fault) {
      const [fault = 'INTERNAL_ERROR', ...params] = listOf(saidOf(bytes)).map(textOf);
      throw Fault.foreign(fault, params);
    }
    if (code === codes.body) void pump(line, client.body());
    else if (code === codes.answer) to = { ...client.answer(headOf(bytes)), end: () => {} };
    else if (code === codes.open) {
      const stream = await client.open();
      to = { write: (chunk) => written(stream, chunk), end: () => void stream.end() };
      void pump(line, stream);
    } else if (code === codes.data && to !== undefined) await to.write(bytes);
    else if (code === codes.end) to?.end();
    else throw new ProtocolError(`a piece ${code} at a wrong time`);
  }
};

/** Never rejects: a far side that does not listen any more has ended otherwise. */
const pump = async (line: Line, from: AsyncIterable<Uint8Array>): Promise<void> => {
  try {
    for await (const chunk of from) await line.send(codes.data, chunk);
    await line.send(codes.end);
  } catch {
    await line.send(codes.broken).catch(() => {});
  }
};

const written = (to: Writable, chunk: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => to.write(chunk, (error) => (error ? reject(error) : resolve())));

const headOf = (bytes: Buffer): AnswerHead => {
  const { type, sizeBytes, name } = fieldsOf(saidOf(bytes));
  return {
    type: textOf(type),
    ...(sizeBytes !== undefined && { sizeBytes: sizeOf(sizeBytes) }),
    ...(name !== undefined && { name: fileNameOf(name) }),
  };
};

/** It becomes a part of a header. */
const fileNameOf = (value: unknown): string => {
  const text = textOf(value);
  if (!/^[\w.-]{1,100}$/.test(text)) throw new ProtocolError('a name of a file that is none');
  return text;
};

const sizeOf = (value: unknown): bigint => {
  const text = textOf(value);
  if (!/^\d{1,20}$/.test(text)) throw new ProtocolError('a size that is none');
  return BigInt(text);
};

/** Does actions for clients of other hosts, once this host is prepared for it. */
export const serveClients = (
  { mesh, store, log }: PoolContext,
  invoker: Pick<Invoker, 'streamFor'>,
  prepared: Promise<void>,
): (() => void) => {
  let served = 0;
  return mesh.serveStream(streamName, async (payload, { signal }) => {
    const { call, generation, sizeBytes } = fieldsOf(payload);
    const asked = carriedOf(call);
    const size = sizeBytes === undefined ? undefined : sizeOf(sizeBytes);
    await prepared;
    // What the client has seen must be known here before this host decides whether it is the right one.
    await store.reached(countOf(generation), signal);
    if (served >= clientsMax) throw new Fault('TOO_MANY_PENDING_TASKS');
    return (near) => {
      served += 1;
      const line = lineOf(near);
      const gone = new AbortController();
      near.once('close', () => gone.abort(new Fault('TASK_CANCELLED', [asked.task])));
      invoker
        .streamFor(asked, { client: () => farClient(line, size), until: gone.signal })
        .then(() => line.send(codes.done))
        .catch(async (error: unknown) => {
          const { code, params } = asFault(error);
          await line.send(codes.fault, sayable([code, ...params]));
        })
        .catch((error: unknown) => log.debug({ error: String(error) }, 'A client of another host is gone'))
        .finally(() => {
          served -= 1;
          near.end();
        });
    };
  });
};

/** A client of another host. */
const farClient = (line: Line, sizeBytes: bigint | undefined): Client => ({
  sizeBytes,
  body: () => bytesFrom(line, codes.body),
  answer: ({ sizeBytes: size, ...head }) => {
    const said = { ...head, ...(size !== undefined && { sizeBytes: String(size) }) };
    const begun = line.send(codes.answer, sayable(said));
    begun.catch(() => {});
    return { write: (chunk) => begun.then(() => line.send(codes.data, chunk)) };
  },
  open: async () => {
    await line.send(codes.open);
    const readable = Readable.from(bytesFrom(line, undefined), { objectMode: false });
    const writable = new Writable({
      write: (chunk, _, done) => void line.send(codes.data, chunk).then(() => done(), done),
      final: (done) => void line.send(codes.end).then(() => done(), done),
    });
    const stream = Duplex.from({ readable, writable });
    // A client that breaks off closes it, of which whoever uses it is told anyway.
    stream.on('error', () => {});
    return stream;
  },
});

async function* bytesFrom(line: Line, asking: Code | undefined): AsyncGenerator<Uint8Array> {
  if (asking !== undefined) await line.send(asking);
  for (;;) {
    const { code, bytes } = await line.next();
    if (code === codes.end) return;
    if (code === codes.broken) throw new BodyBroken('The client went away');
    if (code !== codes.data) throw new ProtocolError(`a piece ${code} instead of bytes`);
    yield bytes;
  }
}
