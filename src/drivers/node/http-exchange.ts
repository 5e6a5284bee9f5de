import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

/**
 * How long a connection that is ended with data unread stays open, so that the client can read its answer.
 */
const LINGER_MS_MAX = 2_000;

/** One request and its response, and what is known about the end of its body. */
export interface Exchange {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: Socket;
  /**
   * Where the body comes from: the request, or the socket itself when the body lasts until the client closes.
   */
  readonly source: Readable;
  /** Why no more of the body comes although it is not whole. */
  broken: string | undefined;
  /** Set by whoever waits for the body: something about it has changed. */
  wake: () => void;
  /** Set by whoever wants to know that the client went away. */
  leave: () => void;
}

/** Whether a handler takes the connection of a request as it is once its head is there. */
export type Takes = (method: string, target: string) => boolean;

/**
 * An HTTP/1.0 PUT may send a body without a length, until it closes its side; Node's parser takes the
 * body for empty and the data for a next request. Calling such a request an upgrade makes the parser
 * stop after the head and hand over the socket, as it does for what `takes` names. An `Upgrade` to anything
 * but a WebSocket (some Java clients offer h2c with every request) is no upgrade for us, and the request is
 * served as usual.
 */
export const incomingOf = (takes: Takes): typeof IncomingMessage => {
  function Incoming(this: IncomingMessage, socket: Socket): void {
    // As a constructor of Node's older kind does it; Reflect.construct made every request four times as dear.
    (IncomingMessage as unknown as (this: IncomingMessage, socket: Socket) => void).call(this, socket);
  }
  Incoming.prototype = Object.create(IncomingMessage.prototype, {
    upgrade: {
      get(this: IncomingMessage) {
        return (
          this.method === 'CONNECT' ||
          isWebSocket(this) ||
          lastsUntilClosed(this) ||
          takes(this.method ?? '', this.url ?? '')
        );
      },
      set() {},
    },
  });
  return Incoming as unknown as typeof IncomingMessage;
};

export const isWebSocket = (incoming: IncomingMessage): boolean =>
  incoming.method === 'GET' && incoming.headers.upgrade?.toLowerCase() === 'websocket';

const lastsUntilClosed = (incoming: IncomingMessage): boolean =>
  incoming.method === 'PUT' && incoming.httpVersionMinor === 0 && !announcesBody(incoming);

const announcesBody = ({ headers }: IncomingMessage): boolean =>
  headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;

/** The exchange of a request whose body the parser follows. */
export const parsedExchange = (incoming: IncomingMessage, response: ServerResponse): Exchange =>
  exchange(incoming, response, incoming.socket, incoming);

/** The exchange of a request whose body is all that the socket still brings. */
export const rawExchange = (incoming: IncomingMessage, socket: Socket, head: Buffer): Exchange => {
  const response = new ServerResponse(incoming);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  // What the server does for the sockets that it keeps.
  socket.on('error', () => {});
  socket.on('drain', () => response.emit('drain'));
  socket.on('timeout', () => socket.destroy());
  response.once('finish', () => {
    response.detachSocket(socket);
    response.emit('close');
    linger(socket);
  });
  if (head.length > 0) socket.unshift(head);
  return exchange(incoming, response, socket, socket);
};

const exchange = (
  incoming: IncomingMessage,
  response: ServerResponse,
  socket: Socket,
  source: Readable,
): Exchange => ({
  incoming,
  response,
  socket,
  source,
  broken: undefined,
  wake() {},
  leave() {},
});

/** True when all of the body has been received, read or not. */
export const isWhole = ({ incoming, source }: Exchange): boolean => {
  if (source !== incoming) return source.readableEnded;
  return incoming.complete || !announcesBody(incoming) || incoming.headers['content-length'] === '0';
};

/** True while more of the body may come. */
export const isArriving = (exchange: Exchange): boolean =>
  exchange.broken === undefined && !exchange.source.destroyed && !isWhole(exchange);

/**
 * Makes the response the last of its connection. Node would close at once, and closing with unread
 * data resets the connection, which can take the answer away from a client that still sends.
 */
export const closeAfterwards = ({ incoming, response, socket }: Exchange): void => {
  response.shouldKeepAlive = false;
  socket.destroySoon = () => {
    incoming.resume();
    linger(socket);
  };
};

/** Ends our side, lets go of what still comes, and closes soon. */
export const linger = (socket: Socket): void => {
  socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS_MAX);
  socket.once('close', () => clearTimeout(timer));
};

/** A reset where it can be had: an ordinary end would look like the end of a body without a length. */
export const cut = ({ socket }: Exchange): void => {
  // The ends of TLS are announced; one that is not shows that something is missing.
  if ('encrypted' in socket) socket.destroy();
  else socket.resetAndDestroy();
};
