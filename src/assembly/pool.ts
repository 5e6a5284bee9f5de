import { primaryLog } from '../log/primary/primary.ts';
import { type Mesh, meshOf } from '../mesh/mesh.ts';
import type { Ref } from '../model/types.ts';
import type { Membership, TakingIn } from '../objects/membership.ts';
import type { WayToDaemon } from '../objects/services.ts';
import { linkedHosts, type PoolContext, poolLimits } from '../pool/context.ts';
import { serveDisks } from '../pool/disks.ts';
import { adoptUsers, membershipOf, type SharedCredentials } from '../pool/membership.ts';
import { announce, linkPeers, type OwnPeer } from '../pool/peers.ts';
import { type Pool, type PoolOptions, poolOf } from '../pool/pool.ts';
import { protocolVersions } from '../pool/protocol.ts';
import { takingInOf } from '../pool/taking-in.ts';
import { openTunnel, serveTunnels } from '../pool/tunnel.ts';
import type { Log as Logger } from '../std/log.ts';
import type { Log } from '../store/log.ts';
import type { OpenedStore } from '../store/store.ts';
import type { Closing } from './closing.ts';
import type { HostParts } from './parts.ts';

/** What of a host its place in the pool needs, beside its parts. */
export interface Placed extends Pick<PoolOptions, 'addressOf' | 'cancel' | 'onLead' | 'onDead'>, OpenedStore {
  readonly host: Ref<'host'>;
  readonly credentials: SharedCredentials;
  /** Leaves a message for people. */
  readonly alert: (name: string, text: string) => Promise<unknown>;
}

/** This host among the others: its links, its part, and what it can do about it. */
export interface HostPool {
  readonly context: PoolContext;
  readonly pool: Pool;
  readonly membership: Membership;
  readonly takingIn: TakingIn;
  readonly migrationTo: (host: Ref<'host'>) => Promise<WayToDaemon>;
  /** Tells the others how this host is reached, now that its ports are known. */
  announce(httpsPort: number): Promise<void>;
}

export const openPool = async (parts: HostParts, on: Placed, opened: Closing): Promise<HostPool> => {
  const { log, fingerprint, restart } = parts;
  const { store, replica, credentials } = on;
  let pool: Pool | undefined;
  const mesh = openMesh(parts, on.host, async (epoch) => pool?.heard(epoch));
  opened.add('mesh', mesh);
  const { port } = await mesh.listen(parts.mesh.listen);
  const { clock, random, state } = parts;
  const limits = { ...poolLimits, ...parts.pool.limits };
  const context: PoolContext = {
    ...{ clock, random, log, state, limits, store, replica, mesh, host: on.host },
    isUp: linkedHosts(mesh),
  };
  const own = ownPeerOf(parts, port);
  const made = poolOf(context, {
    ...on,
    commits: commitsOf(parts, on, context),
    serves: parts.pool.serves,
    onFollow: async (leader) => {
      await adoptUsers(context, credentials, leader);
      if (!(await tellOfDiverged(parts, on, log))) return;
      // What it was doing, and had ended, it did on rows that are no more.
      log.warn({ leader }, 'This host begins anew, as its pool goes on without some of its changes');
      restart();
    },
  });
  pool = made;
  opened.add('place in the pool', { close: made.stop });
  opened.add('ways of other hosts', serveOthers(parts, context));
  const among = { context, pool: made, credentials, own: own.peer, fingerprint };
  return {
    ...{ context, pool: made },
    takingIn: takingInOf(among),
    membership: membershipOf({
      ...{ ...among, restart, door: parts.poolDoor(own.httpsPort), mustStay: parts.pool.mustStay },
      nextCertificate: () => nextCertificate(parts, mesh, own),
    }),
    migrationTo: async (to) => {
      const { socketPath, close } = await openTunnel(context, tunnelOf(parts), to);
      return { url: `http+unix://${encodeURIComponent(socketPath)}/`, close };
    },
    announce: async (httpsPort) => {
      own.servedOn(httpsPort);
      await announce(context, own.peer());
    },
  };
};

/** The engine of the pool's log. */
const commitsOf = (parts: HostParts, { alert }: Placed, context: PoolContext): Log => {
  const { replicas, engine } = parts.pool;
  const forced = (text: string): Promise<unknown> => alert('COORDINATOR_FORCED', text);
  const tell = (name: string, text: string): void => {
    alert(name, text).catch((error: unknown) =>
      context.log.warn({ error: String(error), text }, 'An alert was not kept'),
    );
  };
  const made = engine?.(context, tell) ?? primaryLog(context, { replicas, alert: forced });
  return parts.makers?.commits?.(made) ?? made;
};

/** What this host had answered and the pool lacks is told to people once. Answers whether it was just now. */
const tellOfDiverged = async ({ diverged }: HostParts, { alert }: Placed, log: Logger): Promise<boolean> => {
  let told = false;
  try {
    for (const { name, rows, from, to, epoch, ...kept } of await diverged.list()) {
      if (kept.told) continue;
      await alert(
        'CHANGES_SET_ASIDE',
        `${rows.length} rows that this host had changed in generations ${from} to ${to} of epoch ` +
          `${epoch} are not in the pool. They are kept in the file ${name} of this host: xenact ` +
          'diverged lists them.',
      );
      await diverged.tell(name);
      told = true;
    }
  } catch (error) {
    log.warn({ error: String(error) }, 'Clients were not told yet of changes that the pool lacks');
  }
  return told;
};

const openMesh = (parts: HostParts, host: Ref<'host'>, onEpoch: (epoch: number) => Promise<void>): Mesh => {
  const { clock, random, log, state, version, makers } = parts;
  const { network, own } = parts.mesh;
  return (makers?.mesh ?? meshOf)({
    ...{ clock, random, log, network, onEpoch, certificate: own.certificate },
    self: host,
    versions: protocolVersions,
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
const serveOthers = (parts: HostParts, context: PoolContext): { close(): Promise<void> } => {
  const { store } = context;
  const links = linkPeers(context);
  const stops = [serveTunnels(context, tunnelOf(parts)), serveDisks(context, { ...parts, store })];
  return {
    close: async () => {
      links.stop();
      for (const stop of stops) stop();
    },
  };
};
