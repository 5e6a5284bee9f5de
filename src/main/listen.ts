import type { Host } from '../assembly/parts.ts';
import { type Audit, type AuditTrail, auditOf } from '../edge/audit.ts';
import { edgeOf } from '../edge/edge.ts';
import { inspectRoute } from '../edge/inspect.ts';
import { joinRoutes } from '../edge/join.ts';
import { listOf } from '../edge/sites.ts';
import { sendClient } from '../pool/clients.ts';
import type { Log } from '../std/log.ts';
import type { HostCertificate } from './certificate.ts';
import { type Door, doorsTo } from './doors.ts';
import type { Machine } from './machine.ts';
import type { UpOptions } from './options.ts';

/** Where clients come in, and what is noted of them. */
export interface ClientDoor extends Door {
  readonly audit: Audit;
}

export interface DoorOptions {
  readonly machine: Machine;
  /** What clients of HTTPS see. */
  readonly tls: HostCertificate;
  readonly log: Log;
  /** Who changed what, as it is kept. */
  readonly trail: AuditTrail;
  readonly host: Host;
}

export const openDoors = async (options: UpOptions, given: DoorOptions): Promise<ClientDoor> => {
  const { machine, tls, log, trail, host } = given;
  const audit = auditOf({ catalog: host.catalog, trail, clock: machine.clock, rows: host.store.tables });
  const edge = edgeOf({
    ...host,
    ...{ log, audit },
    sites: {
      allowedOrigins: listOf(options['allowed-origins']),
      hostNames: [...listOf(options['host-names']), ...listOf(options.listen)],
    },
    others: {
      // A client that is served by any host may reach no other.
      authorityOf: options['edge-members'] === 'serve' ? () => undefined : host.authorityOf,
      send: (other, invocation) => sendClient(host.context, other, invocation),
    },
    routes: [...joinRoutes(host.takingIn), inspectRoute(host.inspector)],
  });
  return { ...(await doorsTo(edge, options, { machine, tls })), audit };
};
