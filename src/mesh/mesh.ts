import type { Duplex } from 'node:stream';
import type {
  MeshAddress,
  MeshCertificate,
  MeshListening,
  MeshNetwork,
  Wire,
  WireEvents,
} from '../drivers/mesh-wire.ts';
import type { Clock, Random } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import type { CallOptions } from './calls.ts';
import { MeshFailure } from './failure.ts';
import type { Hello } from './frame.ts';
import { awaitHello, refuseWire } from './handshake.ts';
import { type MeshLimits, meshLimits } from './limits.ts';
import type { Link } from './link.ts';
import { type Peer, type PeerContext, type PeerRow, type PeerState, peerOf } from './peer.ts';
import type { MeshHandler, ServeOptions, Service, StreamHandler } from './services.ts';
import { type MeshVersions, meshVersions } from './versions.ts';

/** How a host reaches the other hosts of its pool. Hosts are named by their references. */
export interface Mesh {
  /** Answers what the other side's handler answers; rejects with its `Fault`, or with `MeshFailure`. */
  call(host: string, name: string, payload: unknown, options: CallOptions): Promise<any>;
  /** Answers calls of that name, until the returned function is called. */
  serve(name: string, handle: MeshHandler, options?: ServeOptions): () => void;
  /** Resolves with a stream of bytes once the other side has accepted it. */
  open(host: string, name: string, payload: unknown, options: CallOptions): Promise<Duplex>;
  serveStream(name: string, handle: StreamHandler, options?: ServeOptions): () => void;
  /** The hosts to be linked with. Those that are not among them any more are left at once. */
  setPeers(rows: readonly PeerRow[]): void;
  peers(): readonly PeerState[];
  /**
   * Told of each peer that went up or down, or is down for another reason, until the returned function is
   * called.
   */
  onPeer(listener: (state: PeerState) => void): () => void;
  /** Runs once, with why, when the link with a host goes down; in the next turn where it is down now. */
  watch(host: string, onDown: (why: string) => void): () => void;
  listen(on: MeshAddress): Promise<MeshAddress>;
  /** What this host presents from now on. */
  setCertificate(certificate: MeshCertificate): void;
  close(): Promise<void>;
}

export interface MeshOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly network: MeshNetwork;
  /** The reference of this host. */
  readonly self: string;
  /** Name and version of this program, for people. */
  readonly software: string;
  readonly certificate: MeshCertificate;
  /** Read for each frame that is sent. */
  readonly epoch: () => number;
  /** Stores a higher epoch; what it came with waits until that is done. */
  readonly onEpoch: (epoch: number, from: string) => Promise<void>;
  readonly versions?: MeshVersions;
  readonly limits?: Partial<MeshLimits>;
}

export const meshOf = (options: MeshOptions): Mesh => {
  const { log, network } = options;
  const limits: MeshLimits = { ...meshLimits, ...options.limits };
  const services = new Map<string, Service>();
  const peers = new Map<string, Peer>();
  const listeners = new Set<(state: PeerState) => void>();
  let certificate = options.certificate;
  let listening: MeshListening | undefined;

  const context: PeerContext = {
    ...options,
    limits,
    services,
    versions: options.versions ?? meshVersions,
    certificate: () => certificate,
    changed: (peer) => {
      for (const listener of [...listeners]) {
        try {
          listener(peer.state());
        } catch (error) {
          log.error({ error }, 'Who was told of a host of the pool failed');
        }
      }
    },
  };

  const linkWith = (host: string): Link | MeshFailure => {
    const peer = peers.get(host);
    if (peer === undefined)
      return new MeshFailure('unreachable', `Host ${host} is no other host of this pool`);
    return (
      peer.link() ?? new MeshFailure('unreachable', `Host ${host} cannot be reached: ${peer.state().why}`)
    );
  };

  const greeted = (wire: Wire, hello: Hello): WireEvents | undefined => {
    const peer = peers.get(hello.host);
    if (peer?.row().pins.includes(wire.peerCertificate)) return peer.accept(wire, hello);
    const why = `Host ${hello.host} is not in this pool with the certificate ${wire.peerCertificate}`;
    log.warn({ host: hello.host, why }, 'A link of the mesh is refused');
    refuseWire(wire, why, limits);
    return undefined;
  };

  return {
    call: (host, name, payload, called) => {
      const link = linkWith(host);
      return link instanceof MeshFailure ? Promise.reject(link) : link.call(name, payload, called);
    },
    open: (host, name, payload, called) => {
      const link = linkWith(host);
      return link instanceof MeshFailure ? Promise.reject(link) : link.open(name, payload, called);
    },
    serve: (name, handle, { anyEpoch = false } = {}) =>
      register(services, name, { kind: 'call', handle, anyEpoch }),
    serveStream: (name, handle, { anyEpoch = false } = {}) =>
      register(services, name, { kind: 'stream', handle, anyEpoch }),

    setPeers: (rows) => setPeers(peers, rows, context),
    peers: () => [...peers.values()].map((peer) => peer.state()),
    onPeer: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    watch: (host, onDown) => watch({ peers, listeners }, host, onDown),

    listen: async (on) => {
      listening = await network.listen(
        on,
        {
          certificate,
          accepts: (fingerprint) => [...peers.values()].some((peer) => peer.row().pins.includes(fingerprint)),
          handshakeMsMax: limits.handshakeMsMax,
          connectionsMax: limits.connectionsMax,
          messageBytesMax: limits.frameBytesMax,
        },
        (wire) =>
          awaitHello(
            wire,
            context,
            (hello) => greeted(wire, hello),
            (why) => log.debug({ why }, 'No host greeted'),
          ),
      );
      return listening.address;
    },
    setCertificate: (next) => {
      certificate = next;
      listening?.setCertificate(next);
    },
    close: async () => {
      for (const peer of peers.values()) peer.close('This host ends its links');
      peers.clear();
      await listening?.close();
    },
  };
};

const register = (services: Map<string, Service>, name: string, service: Service): (() => void) => {
  if (services.has(name)) throw new Error(`${name} is served already`);
  services.set(name, service);
  return () => services.delete(name);
};

const setPeers = (peers: Map<string, Peer>, rows: readonly PeerRow[], context: PeerContext): void => {
  const others = rows.filter(({ host }) => host !== context.self);
  const wanted = new Map(others.map((row) => [row.host, row]));
  for (const [host, peer] of peers) {
    if (wanted.has(host)) continue;
    peers.delete(host);
    peer.close('It is not in this pool any more');
  }
  for (const [host, row] of wanted) {
    const known = peers.get(host);
    if (known === undefined) peers.set(host, peerOf(context, row));
    else known.update(row);
  }
};

const watch = (
  {
    peers,
    listeners,
  }: { readonly peers: Map<string, Peer>; readonly listeners: Set<(state: PeerState) => void> },
  host: string,
  onDown: (why: string) => void,
): (() => void) => {
  const look = (state: PeerState): void => {
    if (state.host !== host || state.state === 'up' || !listeners.delete(look)) return;
    onDown(state.why);
  };
  listeners.add(look);
  if (peers.get(host)?.link() === undefined) {
    const gone = `It is ${peers.has(host) ? 'not reached' : 'no other host of this pool'}`;
    queueMicrotask(() => listeners.delete(look) && onDown(peers.get(host)?.state().why ?? gone));
  }
  return () => listeners.delete(look);
};
