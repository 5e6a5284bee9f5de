import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HttpAnswer, HttpHandler, HttpListen, HttpServer, Refuse } from '../http/http.ts';
import type { Serving } from '../network.ts';
import { bind } from './bind.ts';
import { type AnswerRules, httpAnswer } from './http-answer.ts';
import { type Connections, connectionsOf, REFUSED_MAX } from './http-connections.ts';
import {
  cut,
  type Exchange,
  incomingOf,
  isWebSocket,
  linger,
  parsedExchange,
  rawExchange,
  type Takes,
} from './http-exchange.ts';
import { httpHead, httpRequest } from './http-request.ts';
import { KEPT_MS_MAX } from './http-short-answer.ts';
import { webSockets } from './web-socket.ts';

/** What is being answered when the server closes has this long to end. */
const CLOSE_MS_MAX = 2_000;

/** What is known of a connection that HTTP is spoken on. */
interface Connection {
  readonly refused: boolean;
  /** Those that are not answered to their end, in the order of their requests. */
  readonly exchanges: Exchange[];
  readonly open: Connections;
  /** What the connection is counted by: below TLS where it has TLS. */
  readonly raw: Socket;
}

/** HTTP and HTTPS on a TCP port. */
export const nodeHttpServer: HttpServer = {
  async listen(on, handler) {
    const takes: Takes = handler.takes ?? (() => false);
    const server = makeServer(on, takes);
    const open = connectionsOf(on.limits);
    const refused = new WeakSet<Socket>();
    const connections = new WeakMap<Duplex, Connection>();
    let closing = false;
    server.maxConnections = on.limits.connectionsMax + REFUSED_MAX;
    server.on('connection', (socket) => {
      if (!open.enter(socket)) refused.add(socket);
    });
    server.on(on.tls ? 'secureConnection' : 'connection', (socket: Socket) => {
      const raw = rawSocketOf(socket);
      connections.set(socket, follow(socket, { refused: refused.has(raw), open, raw }));
    });
    const idleMs = on.limits.bodyIdleMs;
    const context = { on, handler, takes, connections, idleMs, closing: () => closing };
    serveRequests(server, context);
    serveStreams(server, context);
    server.on('clientError', (error, socket) => failClient(error, socket, connections.get(socket)));

    const endpoint = await bind(server, on);
    const closed = new Promise<void>((resolve) => server.once('close', resolve));
    return {
      endpoint,
      async close() {
        closing = true;
        server.close();
        server.closeIdleConnections();
        const grace = setTimeout(() => {
          for (const socket of open.all()) socket.destroy();
        }, CLOSE_MS_MAX);
        await closed;
        clearTimeout(grace);
      },
    } satisfies Serving;
  },
};

interface Context extends AnswerRules {
  readonly on: HttpListen;
  readonly handler: HttpHandler;
  readonly takes: Takes;
  readonly connections: WeakMap<Duplex, Connection>;
}

const makeServer = ({ tls, limits }: HttpListen, takes: Takes): Server => {
  const options = {
    IncomingMessage: incomingOf(takes),
    keepAliveTimeout: KEPT_MS_MAX,
    headersTimeout: limits.headMs,
    // A disk image may take hours; `bodyIdleMs` is what ends a silent one.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(Math.max(limits.headMs / 4, 10), 2_000),
    maxHeaderSize: limits.headBytesMax,
    // Clients of the XenAPI that write their HTTP by hand leave it out.
    requireHostHeader: false,
  };
  const server = tls
    ? createSecureServer({ ...options, ...tls, minVersion: 'TLSv1.2', handshakeTimeout: limits.headMs })
    : createServer(options);
  // A client may close its side after its request and still read the answer.
  return Object.assign(server, { httpAllowHalfOpen: true });
};

/**
 * Connections are counted before their TLS is there, for one that never finishes its handshake counts too.
 */
const rawSocketOf = (socket: Socket): Socket =>
  (socket as Socket & { readonly _parent?: Socket })._parent ?? socket;

const follow = (socket: Socket, known: Omit<Connection, 'exchanges'>): Connection => {
  const exchanges: Exchange[] = [];
  socket.once('end', () => {
    for (const exchange of exchanges) {
      // After a PUT it may be the end of the body; after anything else it means that nobody waits.
      if (exchange.incoming.method !== 'PUT') exchange.leave();
      exchange.wake();
    }
  });
  socket.once('close', () => {
    for (const exchange of exchanges) {
      exchange.leave();
      exchange.wake();
    }
  });
  return { ...known, exchanges };
};

const serveRequests = (server: Server, context: Context): void => {
  const serve = (incoming: IncomingMessage, response: ServerResponse, awaited: boolean): void =>
    void respond(parsedExchange(incoming, response), context, awaited);
  server.on('request', (incoming, response) => serve(incoming, response, false));
  server.on('checkContinue', (incoming, response) => serve(incoming, response, true));
};

const respond = async (exchange: Exchange, context: Context, awaited: boolean): Promise<void> => {
  const { incoming, response, socket } = exchange;
  const connection = context.connections.get(socket);
  // Nothing can be answered any more where our side has ended, so nothing may be done either.
  if (!connection || socket.writableEnded) return;
  const { exchanges, open, raw } = connection;
  exchanges.push(exchange);
  open.busy(raw);
  response.on('finish', () => {
    // A response also finishes, so to speak, when its connection is destroyed.
    if (socket.destroyed) return;
    exchanges.splice(exchanges.indexOf(exchange), 1);
    if (exchanges.length === 0) open.idle(raw);
  });
  const answer = httpAnswer(exchange, context);
  if (connection.refused) {
    response.shouldKeepAlive = false;
    return say(answer, 503, BUSY);
  }
  if (exchanges.length > context.on.limits.pipelinedMax) {
    response.shouldKeepAlive = false;
    return say(answer, 503, AHEAD);
  }
  const head = httpHead(incoming, context.on.tls !== undefined);
  if (!head) return say(answer, 400, UNDECODABLE);
  try {
    await context.handler.request(httpRequest(head, exchange, { idleMs: context.idleMs, awaited }), answer);
  } catch {
    // Who handles requests says why they fail; here it only must not stay without an end.
    if (answer.begun() && !response.writableEnded) cut(exchange);
  }
  if (!answer.begun() && !socket.destroyed) say(answer, 500, 'The request failed for an internal reason');
};

const serveStreams = (server: Server, context: Context): void => {
  const { handler, takes, connections, on, idleMs } = context;
  const accept = webSockets();
  const secure = on.tls !== undefined;
  /** From here on it is what its handler makes of it, and never one that does nothing. */
  const hold = (socket: Socket): void => {
    const connection = connections.get(socket);
    connection?.open.busy(connection.raw);
  };

  const handOver = (incoming: IncomingMessage, stream: Duplex, head: Buffer): void => {
    const socket = stream as Socket;
    const request = connections.get(socket)?.refused ? undefined : httpHead(incoming, secure);
    if (!request) return void respond(rawExchange(incoming, socket, head), context, false);
    socket.on('error', () => {});
    hold(socket);
    if (head.length > 0) socket.unshift(head);
    handler.connect(request, socket).catch(() => socket.destroy());
  };

  server.on('connect', handOver);
  server.on('upgrade', (incoming, stream, head) => {
    if (takes(incoming.method ?? '', incoming.url ?? '')) return handOver(incoming, stream, head);
    const socket = stream as Socket;
    const request = connections.get(socket)?.refused ? undefined : httpHead(incoming, secure);
    if (!request || !isWebSocket(incoming)) {
      return void respond(rawExchange(incoming, socket, head), context, false);
    }
    hold(socket);
    let answered = false;
    const once = (): void => {
      if (answered) throw new Error('The WebSocket handshake was answered already');
      answered = true;
    };
    const refuse: Refuse = (status, headers, body) => {
      once();
      const answer = httpAnswer(rawExchange(incoming, socket, head), { idleMs, closing: () => true });
      answer.send(status, headers, [body]);
    };
    const end = (): void => {
      if (!answered) refuse(500, PLAIN, 'The request failed for an internal reason.\n');
      else socket.destroy();
    };
    handler
      .upgrade(
        request,
        async (protocol) => {
          once();
          return accept({ incoming, socket, head }, protocol);
        },
        refuse,
      )
      .then(() => answered || end(), end);
  });
};

/** What the parser could not follow: told to the client, or to whoever still reads or answers a request. */
const failClient = (error: ClientError, socket: Duplex, connection: Connection | undefined): void => {
  // A reset, or more of what was answered already.
  if (socket.destroyed || socket.writableEnded) return;
  const latest = connection?.exchanges.at(-1);
  if (!latest) {
    const [status, sentence] = clientFailure(error);
    const body = `${sentence}.\n`;
    const lines = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'Connection: close',
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
    ];
    socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
    linger(socket as Socket);
    return;
  }
  latest.broken ??=
    error.code === 'HPE_INVALID_EOF_STATE'
      ? 'The client ended the connection before the end of its body'
      : `The body is not valid HTTP: ${error.reason ?? error.message}`;
  latest.response.shouldKeepAlive = false;
  latest.response.once('finish', () => linger(latest.socket));
  latest.wake();
};

type ClientError = Error & { readonly code?: string; readonly reason?: string };

const clientFailure = (error: ClientError): [status: number, sentence: string] => {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return [431, 'The head of the request is too large'];
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return [413, 'The chunk extensions of the request are too large'];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return [408, 'The head of the request did not arrive in time'];
    default:
      return [400, `The request is not valid HTTP: ${error.reason ?? error.message}`];
  }
};

const PLAIN = { 'Content-Type': 'text/plain; charset=utf-8' };
const BUSY = 'Too many connections are open: close some or try again later';
const AHEAD = 'Too many requests were sent ahead on one connection: wait for answers first';
const UNDECODABLE =
  'The path of the request is not valid percent-encoded UTF-8, or it is not HTTP/1.0 or HTTP/1.1';

const say = (answer: HttpAnswer, status: number, sentence: string): void =>
  answer.send(status, PLAIN, [`${sentence}.\n`]);
