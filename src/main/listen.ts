import type { HttpAnswer, HttpHandler } from '../drivers/http/http.ts';
import { NetworkFailure, type Serving } from '../drivers/network.ts';
import { makeCertificate } from '../drivers/node/certificate.ts';
import { auditOf } from '../edge/audit.ts';
import { auditLogRoute } from '../edge/audit-log.ts';
import { consoleRoutes } from '../edge/console.ts';
import { edgeOf } from '../edge/edge.ts';
import { imageRoutes } from '../edge/images.ts';
import { inspectRoute } from '../edge/inspect.ts';
import { joinRoute } from '../edge/join.ts';
import type { Log } from '../std/log.ts';
import { hostCertificate } from './certificate.ts';
import type { Machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import type { Paths } from './paths.ts';
import type { Runtime } from './runtime.ts';
import { StartFailure } from './start-failure.ts';

/** HTTP and HTTPS of this host. Listens at once, so that a busy port is known early, and serves once opened. */
export interface Door extends Serving {
  readonly http: string;
  readonly https: string;
  readonly httpsPort: number;
  /** Lets clients in. Until then they are told that the host is starting. */
  open(): void;
}

const limits = { connectionsMax: 20_000, headMs: 15_000, bodyIdleMs: 120_000, headBytesMax: 32_768 } as const;
const certificateDays = 3_650;

export interface DoorOptions {
  readonly machine: Machine;
  readonly paths: Paths;
  readonly log: Log;
  readonly runtime: Runtime;
}

export const openDoors = async (options: UpOptions, given: DoorOptions): Promise<Door> => {
  const { machine, paths, log, runtime } = given;
  const edge = edgeOf({
    ...runtime,
    log,
    audit: auditOf({ catalog: runtime.catalog, trail: runtime.audit, clock: machine.clock }),
    routes: [
      auditLogRoute(runtime.audit),
      joinRoute(runtime.hostPool.membership),
      inspectRoute(runtime.inspector),
      ...imageRoutes(runtime),
      ...consoleRoutes({ ...machine, store: runtime.store, hypervisor: runtime.services.hypervisor, log }),
    ],
  });
  const gate = gated(edge);
  const host = options.listen ?? '127.0.0.1';
  const tls = await hostCertificate(machine.disk, paths.certificate, () =>
    makeCertificate({ names: [host], days: certificateDays }),
  );
  const listen = (flag: 'http-port' | 'https-port', secure: boolean): Promise<Serving> =>
    machine.http
      .listen({ host, port: Number(options[flag]), limits, ...(secure ? { tls } : {}) }, gate)
      .catch((error: unknown) => {
        throw busy(error, flag, host, options[flag]);
      });
  const http = await listen('http-port', false);
  const https = await listen('https-port', true).catch(async (error: unknown) => {
    await http.close();
    throw error;
  });
  const port = portOf(https);
  runtime.servedOn(port);
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
