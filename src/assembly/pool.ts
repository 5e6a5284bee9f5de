import { type Mesh, meshOf } from '../mesh/mesh.ts';
import type { Ref } from '../model/types.ts';
import type { Membership, TakingIn } from '../objects/membership.ts';
import type { WayToDaemon } from '../objects/services.ts';
import { serveConsoles } from '../pool/consoles.ts';
import { serveDisks } from '../pool/disks.ts';
import { type Ground, linkedHosts, poolLimits } from '../pool/ground.ts';
import { adoptUsers, membershipOf, type SharedCredentials } from '../pool/membership.ts';
import { announce, linkPeers, type OwnPeer, sayGoodbye } from '../pool/peers.ts';
import { type Pool, type PoolOptions, poolOf } from '../pool/pool.ts';
import { takingInOf } from '../pool/taking-in.ts';
import { openTunnel, serveTunnels } from '../pool/tunnel.ts';
import type { OpenedStore } from '../store/store.ts';
import type { Closing } from './closing.ts';
import type { HostParts } from './parts.ts';

/** What of a host its place in the pool needs, beside its parts. */
export interface Placed extends Pick<PoolOptions, 'addressOf' | 'cancel' | 'onLead' | 'onDead'>, OpenedStore {
  readonly host: Ref<'host'>;
  readonly credentials: SharedCredentials;
}

/** This host among the others: its links, its part, and what it can do about it. */
export interface HostPool {
  readonly ground: Ground;
  readonly pool: Pool;
  readonly membership: Membership;
  readonly takingIn: TakingIn;
  readonly migrationTo: (host: Ref<'host'>) => Promise<WayToDaemon>;
  /** Tells the others how this host is reached, now that its ports are known. */
  announce(httpsPort: number): Promise<void>;
}

/** A member that stops waits this long to be heard. */
const goodbyeMsMax = 2_000;

export const openPool = async (parts: HostParts, on: Placed, opened: Closing): Promise<HostPool> => {
  const { log, fingerprint, restart } = parts;
  const { store, replica, credentials } = on;
  let pool: Pool | undefined;
  const mesh = openMesh(parts, on.host, async (epoch) => pool?.heard(epoch));
  opened.add(mesh);
  const { port } = await mesh.listen(parts.mesh.listen);
  const { clock, random, state } = parts;
  const limits = { ...poolLimits, ...parts.pool.limits };
  const ground: Ground = {
    ...{ clock, random, log, state, limits, store, replica, mesh, host: on.host },
    isUp: linkedHosts(mesh),
  };
  const own = ownPeerOf(parts, port);
  const made = poolOf(ground, {
    ...on,
    ...parts.pool,
    onFollow: (leader) => adoptUsers(ground, credentials, leader),
  });
  pool = made;
  opened.add({ close: () => leave(ground, made) });
  opened.add(serveOthers(parts, ground));
  const among = { ground, pool: made, credentials, own: own.peer, fingerprint };
  return {
    ...{ ground, pool: made },
    takingIn: takingInOf(among),
    membership: membershipOf({
      ...{ ...among, restart, door: parts.poolDoor(own.httpsPort) },
      nextCertificate: () => nextCertificate(parts, mesh, own),
    }),
    migrationTo: async (to) => {
      const { socketPath, close } = await openTunnel(ground, tunnelOf(parts), to);
      return { url: `http+unix://${encodeURIComponent(socketPath)}/`, close };
    },
    announce: async (httpsPort) => {
      own.servedOn(httpsPort);
      await announce(ground, own.peer());
    },
  };
};

const openMesh = (parts: HostParts, host: Ref<'host'>, onEpoch: (epoch: number) => Promise<void>): Mesh => {
  const { clock, random, log, state, version, makers } = parts;
  const { network, own } = parts.mesh;
  return (makers?.mesh ?? meshOf)({
    ...{ clock, random, log, network, onEpoch, certificate: own.certificate },
    self: host,
    software: `xenact ${version}`,
    epoch: () => state.current?.epoch ?? 0,
  });
};

interface Own {
  /** How the others reach this host. */
  peer(): OwnPeer;
  httpsPort(): number;
  servedOn(httpsPort: number): void;
  shows(pin: string): void;
}

const ownPeerOf = ({ address, mesh, ...parts }: HostParts, port: number): Own => {
  let { httpsPort } = parts;
  let { pin } = mesh.own;
  return {
    peer: () => ({ address, port: BigInt(port), pins: [pin], apiPort: BigInt(httpsPort) }),
    httpsPort: () => httpsPort,
    servedOn: (served) => {
      httpsPort = served;
    },
    shows: (next) => {
      pin = next;
    },
  };
};

const nextCertificate = async ({ mesh: { next } }: HostParts, mesh: Mesh, own: Own) => {
  const { certificate, pin, keep } = await next();
  return {
    pin,
    use: async () => {
      await keep();
      mesh.setCertificate(certificate);
      own.shows(pin);
    },
  };
};

const tunnelOf = ({ network, tunnel }: HostParts) => ({ ...tunnel, network });

/** What others reach here beside calls: guests on their way, consoles and disks. */
const serveOthers = (parts: HostParts, ground: Ground): { close(): Promise<void> } => {
  const { store } = ground;
  const links = linkPeers(ground);
  const stops = [
    serveTunnels(ground, tunnelOf(parts)),
    serveConsoles(ground, { ...parts, store }),
    serveDisks(ground, { ...parts, store }),
  ];
  return {
    close: async () => {
      links.stop();
      for (const stop of stops) stop();
    },
  };
};

/** A member that stops in order says so, so that the others need not wait for it. */
const leave = async (ground: Ground, pool: Pool): Promise<void> => {
  if (pool.role.kind === 'follows' && pool.role.synced && ground.state.current?.change === undefined) {
    await Promise.race([
      sayGoodbye(ground).catch(() => {}),
      new Promise<void>((resolve) => ground.clock.after(goodbyeMsMax, resolve)),
    ]);
  }
  await pool.stop();
};
