import { X509Certificate } from 'node:crypto';
import { NetworkFailure } from '../drivers/network.ts';
import { makeCertificate } from '../drivers/node/certificate.ts';
import { nodeMeshNetwork } from '../drivers/node/mesh-wire.ts';
import { nodePoolDoor } from '../drivers/node/pool-door.ts';
import type { Storage } from '../drivers/storage/storage.ts';
import { type Mesh, meshOf } from '../mesh/mesh.ts';
import type { Ref } from '../model/types.ts';
import type { Membership, TakingIn } from '../objects/membership.ts';
import { serveConsoles } from '../pool/consoles.ts';
import { serveDisks } from '../pool/disks.ts';
import { type Ground, linkedHosts, poolLimits } from '../pool/ground.ts';
import { adoptUsers, membershipOf, type SharedCredentials } from '../pool/membership.ts';
import { announce, linkPeers, type OwnPeer, sayGoodbye } from '../pool/peers.ts';
import { type Pool, poolOf } from '../pool/pool.ts';
import type { StateFile } from '../pool/state.ts';
import { takingInOf } from '../pool/taking-in.ts';
import { openTunnel, serveTunnels } from '../pool/tunnel.ts';
import type { Log } from '../std/log.ts';
import type { Replica } from '../store/replica.ts';
import type { Store } from '../store/store.ts';
import { type HostCertificate, hostCertificate, meshCertificateLost } from './certificate.ts';
import type { Closing } from './closing.ts';
import type { HostHypervisor } from './hypervisor.ts';
import type { Machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import type { Paths } from './paths.ts';
import { StartFailure } from './start-failure.ts';
import { version } from './version.ts';

export interface PoolParts {
  readonly machine: Machine;
  readonly paths: Paths & { readonly run: string };
  readonly log: Log;
  readonly store: Store;
  readonly replica: Replica;
  readonly state: StateFile;
  readonly host: Ref<'host'>;
  readonly credentials: SharedCredentials;
  readonly chosen: HostHypervisor;
  /** What clients of HTTPS see. */
  readonly tls: HostCertificate;
  readonly storage: Storage;
  readonly addressOf: (host: Ref<'host'>) => string;
  readonly cancel: (task: Ref<'task'>) => boolean;
  readonly onLead: () => Promise<void>;
  readonly onDead: (host: Ref<'host'>) => Promise<unknown>;
  readonly restart: () => void;
}

/** This host among the others: its links, its part, and what it can do about it. */
export interface HostPool {
  readonly ground: Ground;
  readonly mesh: Mesh;
  readonly pool: Pool;
  readonly membership: Membership;
  readonly takingIn: TakingIn;
  readonly migrationTo: (host: Ref<'host'>) => Promise<{ readonly url: string; close(): Promise<void> }>;
  /** Tells the others how this host is reached, now that its ports are known. */
  announce(apiPort: number): Promise<void>;
}

const certificateDays = 3_650;
const goodbyeMs = 2_000;

export const openPool = async (options: UpOptions, parts: PoolParts, opened: Closing): Promise<HostPool> => {
  const { machine, paths, log, store, replica, state, host, credentials } = parts;
  const address = options.listen ?? '127.0.0.1';
  const make = (): Promise<HostCertificate> => makeCertificate({ names: [address], days: certificateDays });
  const certificate = await hostCertificate(machine.disk, paths.meshCertificate, make, meshCertificateLost);
  let pool: Pool | undefined;
  const mesh = meshOf({
    ...machine,
    log,
    network: nodeMeshNetwork,
    self: host,
    software: `xenact ${version}`,
    certificate,
    epoch: () => state.current?.epoch ?? 0,
    onEpoch: async (epoch) => pool?.heard(epoch),
  });
  opened.add(mesh);
  const listening = await mesh
    .listen({ host: address, port: Number(options['mesh-port']) })
    .catch((error: unknown) => {
      const busy = error instanceof NetworkFailure && error.reason === 'in-use';
      throw new StartFailure(
        `The mesh cannot listen on port ${options['mesh-port']} of ${address} (${(error as Error).message}). ` +
          (busy
            ? 'Give another with --mesh-port, or 0 for any free one.'
            : 'Give another address with --listen.'),
      );
    });
  const ground: Ground = {
    ...machine,
    store,
    replica,
    mesh,
    state,
    host,
    log,
    limits: poolLimits,
    isUp: linkedHosts(mesh),
  };
  let pin = pinOf(certificate);
  let apiPort = Number(options['https-port']);
  const own = (): OwnPeer => ({
    address: reachable(address),
    port: BigInt(listening.port),
    pins: [pin],
    apiPort: BigInt(apiPort),
  });
  const made = poolOf(ground, {
    replicas: Number(options['commit-replicas']),
    serves: options['edge-members'] === 'serve',
    addressOf: parts.addressOf,
    cancel: parts.cancel,
    onLead: parts.onLead,
    onDead: parts.onDead,
    onFollow: (leader) => adoptUsers(ground, credentials, leader),
  });
  pool = made;
  opened.add({ close: () => leave(ground, made) });
  const links = linkPeers(ground);
  const tunnel = { network: machine.network, xenopsdSocket: paths.xenopsdSocket, runFolder: paths.run };
  const stopTunnels = serveTunnels(ground, tunnel);
  const stopConsoles = serveConsoles(ground, { ...machine, store, hypervisor: parts.chosen.hypervisor });
  const stopDisks = serveDisks(ground, { ...machine, store, storage: parts.storage });
  opened.add({
    close: async () => {
      links.stop();
      stopTunnels();
      stopConsoles();
      stopDisks();
    },
  });
  const fingerprint = pinOf(parts.tls);
  const takingIn = takingInOf({ ground, pool: made, credentials, own, fingerprint });
  const membership = membershipOf({
    ground,
    pool: made,
    door: nodePoolDoor(() => apiPort),
    credentials,
    own,
    fingerprint,
    nextCertificate: async () => {
      const next = await make();
      return {
        pin: pinOf(next),
        use: async () => {
          await machine.disk.replaceText(paths.meshCertificate, JSON.stringify(next), 0o600);
          mesh.setCertificate(next);
          pin = pinOf(next);
        },
      };
    },
    restart: parts.restart,
  });
  return {
    ground,
    mesh,
    pool: made,
    membership,
    takingIn,
    migrationTo: async (to) => {
      const { socketPath, close } = await openTunnel(ground, tunnel, to);
      return { url: `http+unix://${encodeURIComponent(socketPath)}/`, close };
    },
    announce: async (port) => {
      apiPort = port;
      await announce(ground, own());
    },
  };
};

const reachable = (address: string): string =>
  address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;

const pinOf = ({ cert }: HostCertificate): string =>
  new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();

/** A member that stops in order says so, so that the others need not wait for it. */
const leave = async (ground: Ground, pool: Pool): Promise<void> => {
  if (pool.role.kind === 'follows' && pool.role.synced && ground.state.current?.change === undefined) {
    await Promise.race([
      sayGoodbye(ground).catch(() => {}),
      new Promise<void>((resolve) => ground.clock.after(goodbyeMs, resolve)),
    ]);
  }
  await pool.stop();
};
