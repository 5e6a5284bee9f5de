import { makeCertificate } from '../drivers/node/certificate.ts';
import { auditOf } from '../edge/audit.ts';
import { auditLogRoute } from '../edge/audit-log.ts';
import { consoleRoutes } from '../edge/console.ts';
import { edgeOf } from '../edge/edge.ts';
import { imageRoutes } from '../edge/images.ts';
import { inspectRoute } from '../edge/inspect.ts';
import { joinRoute } from '../edge/join.ts';
import { openConsole } from '../pool/consoles.ts';
import type { Log } from '../std/log.ts';
import { hostCertificate } from './certificate.ts';
import { type Door, doorsTo } from './doors.ts';
import type { Machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import type { Paths } from './paths.ts';
import type { Runtime } from './runtime.ts';

export type { Door };

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
    audit: auditOf({
      catalog: runtime.catalog,
      trail: runtime.audit,
      clock: machine.clock,
      rows: runtime.store.tables,
    }),
    routes: [
      auditLogRoute(runtime.audit),
      joinRoute(runtime.hostPool.membership),
      inspectRoute(runtime.inspector),
      ...imageRoutes(runtime),
      ...consoleRoutes({
        ...{ ...machine, store: runtime.store, hypervisor: runtime.services.hypervisor, log },
        others: {
          self: runtime.services.host,
          open: (host, name) => openConsole(runtime.hostPool.ground, host, name),
        },
      }),
    ],
  });
  const make = () => makeCertificate({ names: [options.listen ?? '127.0.0.1'], days: certificateDays });
  const instead =
    'Put it back from a backup; or remove it, and a new one is made that clients have to be told of.';
  const tls = await hostCertificate(machine.disk, paths.certificate, make, instead);
  const door = await doorsTo(edge, options, { machine, tls });
  runtime.servedOn(door.httpsPort);
  return door;
};
