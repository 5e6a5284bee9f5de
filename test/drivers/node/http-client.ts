import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import type {
  HttpAnswer,
  HttpHandler,
  HttpLimits,
  HttpListen,
  HttpRequest,
} from '../../../src/drivers/http/http.ts';
import type { Serving } from '../../../src/drivers/network.ts';
import { nodeHttpServer } from '../../../src/drivers/node/http-server.ts';

export const limits: HttpLimits = {
  connectionsMax: 100,
  connectionsOfOneMax: 100,
  pipelinedMax: 32,
  headMs: 10_000,
  bodyIdleMs: 10_000,
  headBytesMax: 16_384,
};

export interface Running extends Serving {
  readonly port: number;
  readonly url: string;
}

type Handlers = Partial<HttpHandler> & {
  readonly limits?: Partial<HttpLimits>;
  readonly tls?: NonNullable<HttpListen['tls']>;
};

/** A server on a free port of the loopback. */
export const startServer = async (handlers: Handlers): Promise<Running> => {
  const unexpected = async (): Promise<void> => {
    throw new Error('This test expects no such request');
  };
  const { limits: own, tls, ...given } = handlers;
  const serving = await nodeHttpServer.listen(
    { host: '127.0.0.1', port: 0, limits: { ...limits, ...own }, ...(tls ? { tls } : {}) },
    { request: unexpected, connect: unexpected, upgrade: unexpected, ...given },
  );
  const port = 'port' in serving.endpoint ? serving.endpoint.port : 0;
  return { ...serving, port, url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}` };
};

/** Answers what it was sent. */
export const echo = async (request: HttpRequest, answer: HttpAnswer): Promise<void> => {
  const body = String(await request.bytes({ bytesMax: 10_000_000, withinMs: 60_000 }));
  answer.send(200, { 'content-type': 'text/plain' }, [`${request.method} ${request.path} ${body}`]);
};

/** A client that writes bytes as it likes and keeps all that it reads. */
export interface RawClient {
  readonly socket: Socket;
  send(text: string | Uint8Array): void;
  /** Resolves when what was read contains the text. */
  sees(text: string): Promise<string>;
  /** Everything that was read until the server closed. */
  ended(): Promise<string>;
}

export const rawClient = async (port: number): Promise<RawClient> => {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let got = '';
  let over = false;
  socket.setEncoding('latin1');
  socket.on('data', (chunk) => {
    got += chunk;
  });
  socket.on('error', () => {});
  for (const event of ['end', 'close']) socket.on(event, () => (over = true));
  await once(socket, 'connect');
  const until = (done: () => boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (done()) resolve(got);
        else if (over) reject(new Error(`The connection ended after ${JSON.stringify(got)}`));
      };
      for (const event of ['data', 'end', 'close']) socket.on(event, look);
      look();
    });
  return {
    socket,
    send: (text) => void socket.write(text),
    sees: (text) => until(() => got.includes(text)),
    ended: () => until(() => over),
  };
};

/** A promise to be kept from elsewhere. */
export const promised = <T>(): { promise: Promise<T>; resolve: (value: T) => void } => {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((keep) => {
    resolve = keep;
  });
  return { promise, resolve };
};

/** Servers and clients that end with their test; `ends` takes what else is to end with it. */
export const ending = () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  return {
    ends,
    async start(handlers: Handlers): Promise<Running> {
      const server = await startServer(handlers);
      ends.push(() => server.close());
      return server;
    },
    async raw({ port }: Running): Promise<RawClient> {
      const client = await rawClient(port);
      ends.push(() => client.socket.destroy());
      return client;
    },
  };
};
