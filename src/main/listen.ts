import { auditLogRoute } from '../edge/audit-log.ts';
import { consoleRoutes } from '../edge/console.ts';
import { edgeOf } from '../edge/edge.ts';
import { imageRoutes } from '../edge/images.ts';
import { inspectRoute } from '../edge/inspect.ts';
import { joinRoutes } from '../edge/join.ts';
import { listOf } from '../edge/sites.ts';
import { openConsole } from '../pool/consoles.ts';
import type { Log } from '../std/log.ts';
import type { HostCertificate } from './certificate.ts';
import { type Door, doorsTo } from './doors.ts';
import type { Machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import type { Runtime } from './runtime.ts';

export type { Door };

export interface DoorOptions {
  readonly machine: Machine;
  /** What clients of HTTPS see. */
  readonly tls: HostCertificate;
  readonly log: Log;
  readonly runtime: Runtime;
}

export const openDoors = async (options: UpOptions, given: DoorOptions): Promise<Door> => {
  const { machine, tls, log, runtime } = given;
  const edge = edgeOf({
    ...runtime,
    log,
    sites: {
      allowedOrigins: listOf(options['allowed-origins']),
      hostNames: [...listOf(options['host-names']), ...listOf(options.listen)],
    },
    routes: [
      auditLogRoute(runtime.trail),
      ...joinRoutes(runtime.hostPool.takingIn),
      inspectRoute(runtime.inspector),
      ...imageRoutes({
        ...runtime,
        others: {
          catalog: runtime.catalog,
          places: runtime.hostPool.pool.places,
          reach: runtime.authorityOf,
        },
      }),
      ...consoleRoutes({
        ...{ ...machine, store: runtime.store, hypervisor: runtime.services.hypervisor, log },
        others: {
          self: runtime.services.host,
          open: (host, name) => openConsole(runtime.hostPool.ground, host, name),
        },
      }),
    ],
  });
  const door = await doorsTo(edge, options, { machine, tls });
  runtime.servedOn(door.httpsPort);
  return door;
};
