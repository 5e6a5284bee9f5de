// The other side of the benchmark of the mesh: a mesh that answers calls, and a bare echo by `ws` over TLS.
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import type { MeshCertificate } from '../../src/drivers/mesh-wire.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeMeshNetwork } from '../../src/drivers/node/mesh-wire.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { type Mesh, meshOf } from '../../src/mesh/mesh.ts';
import { silentLog } from '../../src/std/log.ts';
import { answer } from './child.ts';

const loopback = { host: '127.0.0.1', port: 0 };

/** A mesh as the product makes one, without a pool around it. */
export const plainMesh = (self: string, certificate: MeshCertificate): Mesh =>
  meshOf({
    clock: nodeClock,
    random: nodeRandom,
    log: silentLog,
    network: nodeMeshNetwork,
    self,
    software: 'benchmark',
    certificate,
    epoch: () => 1,
    onEpoch: async () => {},
  });

const commands = {
  /** Answers calls of the other host; answers with the port. */
  mesh: async (given: { certificate: MeshCertificate; pin: string }): Promise<number> => {
    const mesh = plainMesh('there', given.certificate);
    const { port } = await mesh.listen(loopback);
    mesh.serve('echo', (payload: unknown) => payload);
    mesh.serveStream('sink', () => (stream) => {
      stream.resume();
      stream.on('end', () => stream.end());
    });
    mesh.setPeers([{ host: 'here', address: { host: '127.0.0.1', port: 1 }, pins: [given.pin] }]);
    return port;
  },

  /** Sends back every message; answers with the port. */
  echo: async (certificate: MeshCertificate): Promise<number> => {
    const server = createServer({ ...certificate, minVersion: 'TLSv1.3' });
    server.on('connection', (socket: Socket) => socket.setNoDelay(true));
    const sockets = new WebSocketServer({ server, perMessageDeflate: false });
    sockets.on('connection', (socket) => socket.on('message', (message) => socket.send(message as Buffer)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
};

export type MeshEcho = typeof commands;
if (process.send) answer(commands);
