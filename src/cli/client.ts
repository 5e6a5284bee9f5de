import type { Duplex } from 'node:stream';
import type { Clock } from '../std/clock.ts';
import { byteSource, ClientGone } from './conversation.ts';
import { checkGreeting, decodeOrder, encodeReply, FrameFailure, greeting, type Order } from './frames.ts';

/** What the client of a command has of its own. */
export interface CommandClient {
  out(text: string): void;
  error(text: string): void;
  /** A line that is typed; undefined at the end of what is typed. */
  line(): Promise<string | undefined>;
  /** The whole of a file, or undefined where it cannot be read. */
  read(file: string): Promise<Buffer | undefined>;
  /** Fetches a file from a URL of the server, or sends it there. False: it said why not. */
  transfer(kind: 'get' | 'put', file: string, url: string): Promise<boolean>;
  /** Joins the user's terminal with what a URL of the server leads to. False: it said why not. */
  connect(url: string): Promise<boolean>;
  /** Whether the user named this file, in full: no other is read or written, whatever the server says. */
  named(file: string): boolean;
  readonly debug: boolean;
}

/** A command may wait for something for as long as it likes. */
const silentMs = 0x7fff_ffff;
const orderBytesMax = 64 * 1_048_576;

const opening = (body: string): string =>
  [
    'POST /cli HTTP/1.0',
    'User-agent: xe-cli/Unix/0.2',
    'originator: cli',
    `content-length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');

/** Sends a command and does what the server says, until it says to exit. Answers the status. */
export const obey = async (
  stream: Duplex,
  words: readonly string[],
  client: CommandClient,
  clock: Clock,
): Promise<number> => {
  const source = byteSource(stream, clock);
  try {
    stream.write(opening(words.join('\n')));
    checkGreeting(await source.exactly(greeting.length, silentMs));
    stream.write(greeting);
    for (;;) {
      const sizeBytes = (await source.exactly(4, silentMs)).readInt32LE();
      if (sizeBytes < 0 || sizeBytes > orderBytesMax)
        throw new FrameFailure('A frame of the server is too long');
      const order = decodeOrder(await source.exactly(sizeBytes, silentMs));
      const status = order.kind === 'exit' ? order.status & 255 : await done(stream, order, client);
      if (status !== undefined) return status;
    }
  } catch (error) {
    if (!(error instanceof ClientGone) && !(error instanceof FrameFailure)) throw error;
    const lost = error instanceof ClientGone;
    client.error(lost ? 'Lost connection to the server.\n' : `${error.message}: is it a XenAPI server?\n`);
    return 1;
  } finally {
    stream.destroy();
  }
};

/** Undefined: the command goes on. */
const done = async (
  stream: Duplex,
  order: Exclude<Order, { kind: 'exit' }>,
  client: CommandClient,
): Promise<number | undefined> => {
  switch (order.kind) {
    case 'print':
      return client.out(`${order.text}\n`) as undefined;
    case 'print-error':
      return client.error(order.text) as undefined;
    case 'debug':
      return client.debug ? (client.error(`${order.text}\n`) as undefined) : undefined;
    case 'error':
      client.error(`Error code: ${order.code}\nError parameters: ${order.params.join(', ')}\n`);
      return undefined;
    case 'prompt': {
      const line = await client.line();
      if (line === undefined) return 1;
      return send(stream, blob(Buffer.from(line)));
    }
    case 'load': {
      if (!permitted(client, order.file)) return 1;
      const bytes = await client.read(order.file);
      if (bytes === undefined) return send(stream, [encodeReply({ kind: 'failed' })]);
      return send(stream, [encodeReply({ kind: 'ok' }), ...blob(bytes)]);
    }
    case 'get':
    case 'put': {
      if ((order.kind === 'put' || order.file !== '') && !permitted(client, order.file)) return 1;
      const isDone = await client.transfer(order.kind, order.file, order.url);
      return send(stream, [encodeReply({ kind: isDone ? 'ok' : 'failed' })]);
    }
    case 'connect': {
      const isDone = await client.connect(order.url);
      return send(stream, [encodeReply({ kind: isDone ? 'ok' : 'failed' })]);
    }
  }
};

const permitted = (client: CommandClient, file: string): boolean => {
  if (client.named(file)) return true;
  client.error(`File not permitted: ${file}\n`);
  return false;
};

const blob = (bytes: Buffer): readonly Buffer[] => [
  encodeReply({ kind: 'chunk', sizeBytes: bytes.length }),
  bytes,
  encodeReply({ kind: 'end' }),
];

const send = (stream: Duplex, parts: readonly Buffer[]): undefined => {
  for (const part of parts) stream.write(part);
};
