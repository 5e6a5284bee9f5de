import type { HttpAnswer, HttpHandler } from '../drivers/http/http.ts';
import { NetworkFailure, type Serving } from '../drivers/network.ts';
import type { Edge } from '../edge/edge.ts';
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
  /** Lets clients in. Until then they are told that the host is starting. */
  open(): void;
}

/** The flags that say where to listen. */
export type DoorFlags = Readonly<Record<'listen' | 'http-port' | 'https-port', string | undefined>>;

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

export const doorsTo = async (
  edge: Edge,
  flags: DoorFlags,
  { machine, tls }: { readonly machine: Pick<Machine, 'http'>; readonly tls: HostCertificate },
): Promise<Door> => {
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
  const port = portOf(https);
  return {
    endpoint: https.endpoint,
    http: `http://${inUrl(host)}:${portOf(http)}`,
    https: `https://${inUrl(host)}:${port}`,
    httpsPort: port,
    open: gate.open,
    close: async () => {
      edge.stop();
      await Promise.all([http.close(), https.close()]);
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
const gated = (edge: HttpHandler): HttpHandler & { open(): void } => {
  let isOpen = false;
  const headers = { 'Content-Type': 'text/plain', 'Retry-After': '1' };
  const starting = 'The host is starting; try again in a moment.\n';
  const refuse = async (answer: HttpAnswer): Promise<void> => answer.send(503, headers, [starting]);
  return {
    open: () => {
      isOpen = true;
    },
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
