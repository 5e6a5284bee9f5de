import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import type { DialOptions, ListenOptions, MeshAddress, MeshListening, MeshNetwork } from '../mesh-wire.ts';
import { NetworkFailure } from '../network.ts';
import { bind, place } from './bind.ts';
import { socketWire } from './mesh-socket.ts';

const PATH = '/mesh';
const HEAD_BYTES_MAX = 8_192;

/**
 * WebSockets over TLS 1.3. Each side checks the other's certificate before it sends or reads a byte of the
 * mesh.
 */
export const nodeMeshNetwork: MeshNetwork = {
  dial: async (to, options) => {
    const failure = new AbortController();
    const give = (error: NetworkFailure): void => failure.abort(error);
    const timer = setTimeout(() => give(late(to, options.timeoutMs)), options.timeoutMs);
    const abort = (): void => give(new NetworkFailure('aborted', `The dial to ${place(to)} was given up`));
    options.signal?.addEventListener('abort', abort, { once: true });
    if (options.signal?.aborted) abort();
    try {
      const [socket, fingerprint] = await secured(to, options, failure.signal);
      const webSocket = await upgraded(socket, to, options, failure.signal);
      return socketWire(webSocket, socket, fingerprint);
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
    }
  },

  listen: async (on, options, onWire) => {
    const server = createServer({
      ...options.certificate,
      minVersion: 'TLSv1.3',
      requestCert: true,
      // Nobody signs these certificates: they are known, or they are not.
      rejectUnauthorized: false,
      maxHeaderSize: HEAD_BYTES_MAX,
    });
    const sockets = hurried(server, options);
    const upgrade = upgrading(options);
    server.on('request', (_, response) => response.writeHead(426, { connection: 'close' }).end());
    server.on('upgrade', (incoming, stream, head) => {
      const socket = stream as TLSSocket;
      socket.on('error', () => {});
      const fingerprint = fingerprintOf(socket);
      if (fingerprint === undefined) return refuse(socket, 'it presents no certificate');
      if (!options.accepts(fingerprint))
        return refuse(socket, `no host is known by its certificate ${fingerprint}`);
      if (incoming.url !== PATH) return refuse(socket, `there is nothing at ${incoming.url}`);
      upgrade.handleUpgrade(incoming, socket, head, (webSocket) => {
        sockets.done(socket);
        onWire(socketWire(webSocket, socket, fingerprint));
      });
    });
    const endpoint = await bind(server, on);
    return listening(server, endpoint as MeshAddress, sockets.endAll);
  },
};

const listening = (server: Server, address: MeshAddress, endAll: () => void): MeshListening => {
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  return {
    address,
    setCertificate: ({ cert, key }) => server.setSecureContext({ cert, key, minVersion: 'TLSv1.3' }),
    close: () => {
      server.close();
      endAll();
      return closed;
    },
  };
};

/** Cuts connections that take too long to become a wire, whatever part of it they are silent in. */
const hurried = (server: Server, { handshakeMsMax, connectionsMax }: ListenOptions) => {
  const open = new Map<string, { readonly socket: Socket; readonly timer: NodeJS.Timeout }>();
  const name = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`;
  server.maxConnections = connectionsMax;
  server.on('connection', (socket: Socket) => {
    const key = name(socket);
    const timer = setTimeout(() => socket.destroy(), handshakeMsMax);
    open.set(key, { socket, timer });
    socket.setNoDelay(true);
    socket.once('close', () => {
      clearTimeout(timer);
      open.delete(key);
    });
  });
  return {
    /** TLS is a socket of its own upon the one that was accepted; both have the same other end. */
    done: (socket: Socket): void => clearTimeout(open.get(name(socket))?.timer),
    endAll: (): void => {
      for (const { socket } of open.values()) socket.destroy();
    },
  };
};

const upgrading = ({ messageBytesMax }: ListenOptions): WebSocketServer =>
  new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
  });

const refuse = (socket: TLSSocket, why: string): void => {
  const body = `The mesh refuses this connection: ${why}.\n`;
  const first = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain';
  const head = `${first}\r\nContent-Length: ${body.length}`;
  socket.end(`${head}\r\n\r\n${body}`);
};

const fingerprintOf = (socket: TLSSocket): string | undefined => {
  const { raw } = socket.getPeerCertificate();
  return raw === undefined ? undefined : createHash('sha256').update(raw).digest('hex');
};

/** A TLS connection to whoever presents one of the pinned certificates. */
const secured = (
  to: MeshAddress,
  { certificate, pins }: DialOptions,
  failure: AbortSignal,
): Promise<[TLSSocket, string]> =>
  new Promise((resolve, reject) => {
    if (failure.aborted) return reject(failure.reason);
    const { cert, key } = certificate;
    const socket = connect({ ...to, cert, key, minVersion: 'TLSv1.3', rejectUnauthorized: false });
    const fail = (error: Error): void => {
      failure.removeEventListener('abort', abort);
      socket.on('error', () => {});
      socket.destroy();
      reject(dialFailure(error, to));
    };
    const abort = (): void => fail(failure.reason);
    failure.addEventListener('abort', abort, { once: true });
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      const fingerprint = fingerprintOf(socket);
      if (fingerprint === undefined || !pins.includes(fingerprint)) {
        const presented = `${place(to)} presents the certificate ${fingerprint ?? '(none)'}`;
        return fail(new NetworkFailure('refused', `${presented}, which is not pinned for that host`));
      }
      failure.removeEventListener('abort', abort);
      socket.off('error', fail);
      socket.setNoDelay(true);
      resolve([socket, fingerprint]);
    });
  });

/** The WebSocket upon a connection. Where the other side refuses, its own words are passed on. */
const upgraded = (
  socket: TLSSocket,
  to: MeshAddress,
  { messageBytesMax }: DialOptions,
  failure: AbortSignal,
): Promise<WebSocket> =>
  new Promise((resolve, reject) => {
    const host = to.host.includes(':') ? `[${to.host}]` : to.host;
    const webSocket = new WebSocket(`ws://${host}:${to.port}${PATH}`, {
      createConnection: () => socket,
      perMessageDeflate: false,
      // A mask hides bytes from proxies that look for HTTP in them; inside TLS it would only cost.
      generateMask: (mask) => mask.fill(0),
      maxPayload: messageBytesMax,
    });
    const fail = (error: Error): void => {
      failure.removeEventListener('abort', abort);
      webSocket.on('error', () => {});
      socket.destroy();
      reject(dialFailure(error, to));
    };
    const abort = (): void => fail(failure.reason);
    failure.addEventListener('abort', abort, { once: true });
    if (failure.aborted) return abort();
    webSocket.once('error', fail);
    webSocket.once('unexpected-response', (_, response) => {
      let said = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        if (said.length < HEAD_BYTES_MAX) said += text;
      });
      response.once('close', () => {
        const words = said.trim() || `HTTP ${response.statusCode}`;
        fail(new NetworkFailure('refused', `${place(to)} refuses: ${words}`));
      });
    });
    webSocket.once('open', () => {
      failure.removeEventListener('abort', abort);
      webSocket.off('error', fail);
      webSocket.pause();
      resolve(webSocket);
    });
  });

const late = (to: MeshAddress, timeoutMs: number): NetworkFailure =>
  new NetworkFailure('timeout', `${place(to)} did not answer within ${timeoutMs} ms`);

const dialFailure = (error: NodeJS.ErrnoException, to: MeshAddress): NetworkFailure => {
  if (error instanceof NetworkFailure) return error;
  const neverThere = error.syscall === 'connect' || error.syscall === 'getaddrinfo';
  const what = neverThere ? `Nobody answers at ${place(to)}` : `${place(to)} closed the connection`;
  return new NetworkFailure(neverThere ? 'refused' : 'closed', `${what} (${error.message})`);
};
