import { X509Certificate } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { HttpAnswer, HttpHandler } from '../drivers/http/http.ts';
import { NetworkFailure, type Serving } from '../drivers/network.ts';
import { tlsServer } from '../drivers/node/tls.ts';
import type { Edge } from '../edge/edge.ts';
import { admitNbd, type NbdDoor } from '../edge/nbd.ts';
import type { NbdServer } from '../objects/services.ts';
import type { HostCertificate } from './certificate.ts';
import type { Machine } from './machine.ts';
import { openFiles } from './open-files.ts';
import { StartFailure } from './start-failure.ts';

/**
 * HTTP and HTTPS of this host. Listens at once, so that a busy port is known early, and serves once opened.
 */
export interface Door extends Serving {
  readonly http: string;
  readonly https: string;
  readonly httpsPort: number;
  readonly nbd: NbdServer;
  /** Lets clients in. Until then they are told that the host is starting. */
  open(): void;
}

/** The flags that say where to listen. */
export type DoorFlags = Readonly<
  Record<'listen' | 'http-port' | 'https-port' | 'nbd-port', string | undefined>
>;

/** Files that are kept for disks, guests and the database where few may be open. */
const otherFilesMin = 256;
const connectionsMax = Math.max(
  otherFilesMin,
  Math.min(20_000, ((openFiles() ?? Number.POSITIVE_INFINITY) - otherFilesMin) / 2),
);
export const doorLimits = {
  connectionsMax,
  connectionsOfOneMax: Math.min(4_096, connectionsMax),
  pipelinedMax: 32,
  headMs: 15_000,
  bodyIdleMs: 120_000,
  headBytesMax: 32_768,
} as const;

interface DoorGiven {
  readonly machine: Pick<Machine, 'http' | 'network' | 'clock'>;
  readonly tls: HostCertificate;
}

/** Clients of NBD at once: each holds a disk open. */
const nbdClientsMax = 256;

/** Disks over NBD, by the certificate and the rules of HTTPS. */
const nbdTo = (
  edge: Edge,
  flags: DoorFlags,
  { machine, tls }: DoorGiven,
  isOpen: () => boolean,
): Promise<Serving> => {
  const door: NbdDoor = { edge, clock: machine.clock, secure: (stream) => tlsServer(stream, tls) };
  const on = { host: flags.listen ?? '127.0.0.1', port: Number(flags['nbd-port'] ?? 0) };
  return machine.network.listen(
    on,
    (stream) => (isOpen() ? void admitNbd(door, stream, remoteAddressOf(stream)) : void stream.destroy()),
    { connectionsMax: nbdClientsMax },
  );
};

const remoteAddressOf = (stream: Duplex): string =>
  'remoteAddress' in stream ? `${stream.remoteAddress}` : '';

/** The name that the certificate is for, as clients compare it. */
const subjectOf = ({ cert }: HostCertificate): string =>
  /(?:^|\n)CN=(.*)/.exec(new X509Certificate(cert).subject)?.[1] ?? '';

export const doorsTo = async (edge: Edge, flags: DoorFlags, given: DoorGiven): Promise<Door> => {
  const { machine, tls } = given;
  const gate = gated(edge);
  const host = flags.listen ?? '127.0.0.1';
  const listen = (flag: 'http-port' | 'https-port', secure: boolean): Promise<Serving> =>
    machine.http
      .listen({ host, port: Number(flags[flag]), limits: doorLimits, ...(secure ? { tls } : {}) }, gate)
      .catch((error: unknown) => {
        throw busy(error, flag, host, flags[flag]);
      });
  const http = await listen('http-port', false);
  const https = await listen('https-port', true).catch(async (error: unknown) => {
    await http.close();
    throw error;
  });
  const nbd = await nbdTo(edge, flags, given, gate.isOpen).catch(async (error: unknown) => {
    await Promise.all([http.close(), https.close()]);
    throw busy(error, 'nbd-port', host, flags['nbd-port']);
  });
  const port = portOf(https);
  return {
    nbd: { port: portOf(nbd), cert: tls.cert, subject: subjectOf(tls) },
    endpoint: https.endpoint,
    http: `http://${inUrl(host)}:${portOf(http)}`,
    https: `https://${inUrl(host)}:${port}`,
    httpsPort: port,
    open: gate.open,
    close: async () => {
      edge.stop();
      await Promise.all([http.close(), https.close(), nbd.close()]);
    },
  };
};

const inUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host);

const portOf = ({ endpoint }: Serving): number => ('port' in endpoint ? endpoint.port : 0);

const busy = (error: unknown, flag: string, host: string, port: string | undefined): unknown => {
  if (error instanceof NetworkFailure && error.reason === 'in-use') {
    return new StartFailure(
      `Port ${port} of ${host} is taken. Give another with --${flag}, or 0 for any free one.`,
    );
  }
  return error instanceof NetworkFailure
    ? new StartFailure(`${error.message}. Give another address with --listen or another port with --${flag}.`)
    : error;
};

/** Says that the host is starting until it is open. */
const gated = (edge: HttpHandler): HttpHandler & { open(): void; isOpen(): boolean } => {
  let isOpen = false;
  const headers = { 'Content-Type': 'text/plain', 'Retry-After': '1' };
  const starting = 'The host is starting; try again in a moment.\n';
  const refuse = async (answer: HttpAnswer): Promise<void> => answer.send(503, headers, [starting]);
  return {
    open: () => {
      isOpen = true;
    },
    isOpen: () => isOpen,
    // Every call passes here, so its promise is handed on as it is.
    request: (request, answer) => (isOpen ? edge.request(request, answer) : refuse(answer)),
    takes: (method, target) => edge.takes?.(method, target) === true,
    connect: async (request, socket) => {
      if (isOpen) await edge.connect(request, socket);
      else socket.end('HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n');
    },
    upgrade: async (request, accept, refuse) => {
      if (isOpen) await edge.upgrade(request, accept, refuse);
      else refuse(503, headers, starting);
    },
  };
};
