// Meshes for tests: over real TLS on the loopback, each with a certificate of its own.
import { createHash, X509Certificate } from 'node:crypto';
import type { MeshAddress, MeshCertificate } from '../../src/drivers/mesh-wire.ts';
import { makeCertificate } from '../../src/drivers/node/certificate.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeMeshNetwork } from '../../src/drivers/node/mesh-wire.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { type Mesh, type MeshOptions, meshOf } from '../../src/mesh/mesh.ts';
import type { PeerState } from '../../src/mesh/peer.ts';
import { silentLog } from '../../src/std/log.ts';

export interface Identity {
  readonly certificate: MeshCertificate;
  readonly pin: string;
}

export const makeIdentity = async (): Promise<Identity> => {
  const certificate = await makeCertificate({ names: [], days: 2 });
  return { certificate, pin: pinOf(certificate) };
};

export const pinOf = ({ cert }: MeshCertificate): string =>
  createHash('sha256').update(new X509Certificate(cert).raw).digest('hex');

export interface Node {
  readonly host: string;
  readonly mesh: Mesh;
  readonly address: MeshAddress;
  readonly identity: Identity;
  /** What the mesh says in its frames, and what it was told. */
  epoch: number;
  readonly epochsHeard: [epoch: number, from: string][];
}

/** One mesh that listens; peers are for the test to set. */
export const startNode = async (host: string, options: Partial<MeshOptions> = {}): Promise<Node> => {
  const identity = await makeIdentity();
  const epochsHeard: [number, string][] = [];
  const mesh = meshOf({
    clock: nodeClock,
    random: nodeRandom,
    log: silentLog,
    network: nodeMeshNetwork,
    self: host,
    software: 'xenact test',
    certificate: identity.certificate,
    epoch: () => node.epoch,
    onEpoch: async (epoch, from) => {
      epochsHeard.push([epoch, from]);
      node.epoch = epoch;
    },
    ...options,
  });
  const node: Node = {
    host,
    mesh,
    identity,
    epoch: 1,
    epochsHeard,
    address: await mesh.listen({ host: '127.0.0.1', port: 0 }),
  };
  return node;
};

/** Makes the nodes peers of each other and waits until all are linked. */
export const join = async (nodes: readonly Node[]): Promise<void> => {
  const rows = nodes.map(({ host, address, identity }) => ({ host, address, pins: [identity.pin] }));
  for (const { mesh } of nodes) mesh.setPeers(rows);
  await Promise.all(
    nodes.flatMap(({ mesh, host }) =>
      rows.filter((row) => row.host !== host).map((row) => linked(mesh, row.host)),
    ),
  );
};

/** Resolves once a peer is in a state of which `isMet` is true. */
export const peerState = (
  mesh: Mesh,
  host: string,
  isMet: (state: PeerState) => boolean,
): Promise<PeerState> =>
  new Promise((resolve) => {
    const look = (state: PeerState | undefined): void => {
      if (state?.host !== host || !isMet(state)) return;
      off();
      resolve(state);
    };
    const off = mesh.onPeer(look);
    look(mesh.peers().find((state) => state.host === host));
  });

export const linked = (mesh: Mesh, host: string): Promise<PeerState> =>
  peerState(mesh, host, ({ state }) => state === 'up');
