import {
  Agent,
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import { connect, createServer as createRawServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type Endpoint,
  type Network,
  NetworkFailure,
  type PostHandler,
  type PostOptions,
  type Serving,
} from '../network.ts';
import { assertSocketPath, bind, place } from './bind.ts';
import { wholeBody } from './whole-body.ts';

/** Calls to one place beyond this many at once wait for a connection, within their time. */
const CONNECTIONS_TO_ONE_MAX = 128;
/** Connections that a server of this host holds at once; more are closed as they come. */
const CONNECTIONS_SERVED_MAX = 1_024;
/** Idle connections end here well before the server's own end of patience, so that the two do not cross. */
const CLIENT_IDLE_MS_MAX = 4_000;
const SERVER_IDLE_MS_MAX = 60_000;

const agent = new Agent({
  keepAlive: true,
  maxSockets: CONNECTIONS_TO_ONE_MAX,
  timeout: CLIENT_IDLE_MS_MAX,
  scheduling: 'lifo',
});

/** HTTP among the programs of this machine. */
export const nodeNetwork: Network = {
  post: (to, path, body, options) =>
    new Promise((resolve, reject) => {
      if (options.signal?.aborted) return reject(aborted(to));
      if ('socketPath' in to) assertSocketPath(to.socketPath);
      const bytes = Buffer.from(body, 'utf8');
      const sent = request({
        ...to,
        agent,
        method: 'POST',
        path,
        headers: { 'content-type': options.contentType, 'content-length': bytes.length },
      });
      const done = limited(sent, to, options);
      sent.once('error', (error) => {
        done();
        reject(networkFailure(error, to));
      });
      sent.once('response', (response) => {
        wholeBody(response, options.responseMax).then(
          (whole) => {
            done();
            resolve({ status: response.statusCode as number, body: whole.toString('utf8') });
          },
          (error: Error) => {
            done();
            sent.destroy();
            reject(networkFailure(error, to));
          },
        );
      });
      sent.end(bytes);
    }),

  async serve(on, handle, limits) {
    const server = createServer({ keepAliveTimeout: SERVER_IDLE_MS_MAX }, (incoming, response) => {
      void serveOne(incoming, response, handle, limits.bodyMax);
    });
    server.maxConnections = CONNECTIONS_SERVED_MAX;
    const { onStream } = limits;
    const streams = new Set<Duplex>();
    if (onStream !== undefined) server.on('upgrade', handOver(streams, onStream));
    return serving(server, await bind(server, on), () => {
      server.closeAllConnections();
      for (const stream of streams) stream.destroy();
    });
  },

  openStream: (to, path, { timeoutMs }) =>
    new Promise((resolve, reject) => {
      if ('socketPath' in to) assertSocketPath(to.socketPath);
      // A connection of its own: what becomes a stream never goes back among those that are reused.
      const sent = request({
        ...to,
        agent: false,
        path,
        headers: { connection: 'Upgrade', upgrade: STREAM },
      });
      const timer = setTimeout(() => sent.destroy(late(to, timeoutMs)), timeoutMs);
      sent.once('error', (error) => {
        clearTimeout(timer);
        reject(networkFailure(error, to));
      });
      sent.once('response', (response) => {
        sent.destroy(new NetworkFailure('refused', `${place(to)} has no stream (${response.statusCode})`));
      });
      sent.once('upgrade', (_response, stream: Duplex, first: Buffer) => {
        clearTimeout(timer);
        stream.on('error', () => {});
        if (first.length > 0) stream.unshift(first);
        resolve(stream);
      });
      sent.end();
    }),

  async listen(on, handle, limits) {
    const open = new Set<Socket>();
    const server = createRawServer((socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      // Whoever was given the stream may not listen yet; without a listener an error would end the process.
      socket.on('error', () => {});
      socket.setNoDelay(true);
      handle(socket);
    });
    server.maxConnections = limits.connectionsMax;
    return serving(server, await bind(server, on), () => {
      for (const socket of open) socket.destroy();
    });
  },

  connect: (to, options) =>
    new Promise((resolve, reject) => {
      if ('socketPath' in to) assertSocketPath(to.socketPath);
      const socket = 'socketPath' in to ? connect(to.socketPath) : connect(to.port, to.host);
      const timer = setTimeout(() => socket.destroy(late(to, options.timeoutMs)), options.timeoutMs);
      const refuse = (error: Error): void => {
        clearTimeout(timer);
        reject(networkFailure(error, to));
      };
      socket.once('error', refuse);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', refuse);
        socket.setNoDelay(true);
        resolve(socket);
      });
    }),
};

/** What the raw streams of this network are called when they are asked for. */
const STREAM = 'xenact-stream';

const handOver =
  (streams: Set<Duplex>, onStream: (path: string, stream: Duplex) => void) =>
  (incoming: IncomingMessage, stream: Duplex, first: Buffer): void => {
    // Whoever was given the stream may not listen yet; without a listener an error would end the process.
    stream.on('error', () => {});
    if (incoming.headers.upgrade !== STREAM) {
      stream.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
      return;
    }
    streams.add(stream);
    stream.once('close', () => streams.delete(stream));
    stream.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${STREAM}\r\n\r\n`);
    if (first.length > 0) stream.unshift(first);
    onStream(incoming.url ?? '', stream);
  };

const serving = (server: Server, endpoint: Endpoint, endAll: () => void): Serving => {
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  return {
    endpoint,
    close() {
      server.close();
      endAll();
      return closed;
    },
  };
};

/** Ends a call at its time limit or with its signal; the returned function takes both away. */
const limited = (sent: ClientRequest, to: Endpoint, options: PostOptions): (() => void) => {
  const timer = setTimeout(() => sent.destroy(late(to, options.timeoutMs)), options.timeoutMs);
  const abort = (): void => void sent.destroy(aborted(to));
  options.signal?.addEventListener('abort', abort, { once: true });
  return () => {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', abort);
  };
};

const serveOne = async (
  incoming: IncomingMessage,
  response: ServerResponse,
  handle: PostHandler,
  bodyMax: number,
): Promise<void> => {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new NetworkFailure('closed', 'The caller went away'));
  });
  const { method = '', url: path = '' } = incoming;
  const answer = await wholeBody(incoming, bodyMax)
    .then((body) => handle({ method, path, body: body.toString('utf8'), signal: gone.signal }))
    .catch((error: unknown) => failed(error));
  if (response.destroyed) return;
  const bytes = Buffer.from(answer.body, 'utf8');
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': bytes.length,
    // What is left of a body that was not read cannot be told from a next request.
    ...(incoming.complete ? {} : { connection: 'close' }),
  });
  response.end(bytes);
};

const failed = (error: unknown): { status: number; contentType: string; body: string } => {
  const tooLarge = error instanceof NetworkFailure && error.reason === 'too-large';
  const message = error instanceof Error ? error.message : String(error);
  return { status: tooLarge ? 413 : 500, contentType: 'text/plain; charset=utf-8', body: `${message}\n` };
};

const late = (to: Endpoint, timeoutMs: number): NetworkFailure =>
  new NetworkFailure('timeout', `${place(to)} did not answer within ${timeoutMs} ms`);

const aborted = (to: Endpoint): NetworkFailure =>
  new NetworkFailure('aborted', `The call to ${place(to)} was aborted`);

const networkFailure = (error: NodeJS.ErrnoException, to: Endpoint): NetworkFailure => {
  if (error instanceof NetworkFailure) return error;
  const neverThere = error.syscall === 'connect' || error.syscall === 'getaddrinfo';
  const what = neverThere ? `Nobody answers at ${place(to)}` : `${place(to)} closed the connection`;
  return new NetworkFailure(neverThere ? 'refused' : 'closed', `${what} (${error.message})`);
};
