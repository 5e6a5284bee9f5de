import type { Duplex } from 'node:stream';
import { MeshFailure } from '../mesh/failure.ts';
import type { Ref } from '../model/types.ts';
import { type ConsoleWays, connectConsole } from '../rules/consoles.ts';
import { Fault } from '../std/fault.ts';
import type { PoolContext } from './context.ts';
import { joined } from './joined.ts';
import { fieldsOf, textOf } from './protocol.ts';

/** Consoles of guests on other hosts, so that a client may ask any host for any of them. */
const streamName = 'console';
const openMs = 10_000;

export const openConsole = async (
  { mesh, isUp }: PoolContext,
  host: Ref<'host'>,
  name: string,
): Promise<Duplex> => {
  if (!isUp(host)) throw new Fault('HOST_OFFLINE', [host]);
  try {
    return await mesh.open(host, streamName, { name }, { timeoutMs: openMs });
  } catch (error) {
    throw error instanceof MeshFailure ? new Fault('CANNOT_CONTACT_HOST', [host]) : error;
  }
};

/** Shows other hosts the consoles of guests that are here. Who may look was decided where the client is. */
export const serveConsoles = ({ mesh }: PoolContext, ways: ConsoleWays): (() => void) =>
  mesh.serveStream(streamName, async (payload) => {
    const near = await connectConsole(ways, textOf(fieldsOf(payload)['name']));
    return (far) => void joined(near, far);
  });
