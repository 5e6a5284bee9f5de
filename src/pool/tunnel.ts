import { join } from 'node:path';
import type { Network } from '../drivers/network.ts';
import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { PoolContext } from './context.ts';
import { joined } from './joined.ts';

/**
 * Daemons of two hosts speak to each other through the mesh: neither listens to anybody but its own machine.
 */
const streamName = 'xenopsd';
const connectMs = 5_000;
const openMs = 10_000;
/** Connections of one migration at the same time. */
export const connectionsMax = 16;

export interface TunnelOptions {
  readonly network: Network;
  /** Socket of this host's xenopsd. */
  readonly xenopsdSocket: string;
  /** Where sockets of tunnels are made. */
  readonly runFolder: string;
}

export interface Tunnel {
  /** Path of a Unix socket of this host that leads to the daemon of the other. */
  readonly socketPath: string;
  close(): Promise<void>;
}

/** Opens a socket on this host behind which the daemon of another host answers. */
export const openTunnel = async (
  { mesh, random, log, isUp }: PoolContext,
  { network, runFolder }: TunnelOptions,
  host: Ref<'host'>,
): Promise<Tunnel> => {
  if (!isUp(host)) throw new Fault('HOST_OFFLINE', [host]);
  const socketPath = join(runFolder, `to-${random.uuid().slice(0, 8)}`);
  const serving = await network.listen(
    { socketPath },
    (near) => {
      mesh
        .open(host, streamName, {}, { timeoutMs: openMs })
        .then((far) => joined(near, far))
        .catch((error: unknown) => {
          log.info({ error: String(error), host }, 'The hypervisor of another host cannot be reached');
          near.destroy();
        });
    },
    { connectionsMax },
  );
  return { socketPath, close: () => serving.close() };
};

/** Lets the daemons of other hosts speak to this host's. */
export const serveTunnels = (
  { mesh }: PoolContext,
  { network, xenopsdSocket }: TunnelOptions,
): (() => void) =>
  mesh.serveStream(streamName, async () => {
    const near = await network.connect({ socketPath: xenopsdSocket }, { timeoutMs: connectMs });
    return (far) => void joined(near, far);
  });
