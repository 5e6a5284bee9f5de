import type { Host } from '../assembly/parts.ts';
import { NetworkFailure, type Serving } from '../drivers/network.ts';
import type { Others } from '../edge/actions.ts';
import type { Audit } from '../edge/audit.ts';
import { edgeOf } from '../edge/edge.ts';
import { sendClient } from '../pool/clients.ts';
import type { Log } from '../std/log.ts';
import { doorLimits } from './doors.ts';
import type { Machine } from './machine.ts';
import { StartFailure } from './start-failure.ts';

/**
 * The XenAPI on a Unix socket of this host, for its storage drivers and plugins. Served from the beginning,
 * as drivers are called while rows are brought in line, and on every host: what a member does not decide it
 * passes on.
 */
export const openLocalDoor = async (
  socketPath: string,
  given: {
    readonly machine: Pick<Machine, 'http'>;
    readonly log: Log;
    readonly audit: Audit;
    readonly host: Host;
  },
): Promise<Serving> => {
  const { machine, log, audit, host } = given;
  const services = { ...host.services, availability: () => ({ serves: true }) as const };
  // A session that the socket itself opened is known to no other host: what is there is brought here.
  const others: Others = {
    authorityOf: () => undefined,
    send: (other, invocation) => sendClient(host.context, other, invocation),
  };
  const edge = edgeOf({ ...host, services, log, audit, others, local: true });
  try {
    const serving = await machine.http.listen({ socketPath, limits: doorLimits }, edge);
    return {
      ...serving,
      close: async () => {
        edge.stop();
        await serving.close();
      },
    };
  } catch (error) {
    if (!(error instanceof NetworkFailure)) throw error;
    throw new StartFailure(
      `${error.message}. Give another path with --xapi-socket, in a folder that is there.`,
    );
  }
};
