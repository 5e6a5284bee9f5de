import type { MeshAddress, MeshCertificate, MeshNetwork, Wire, WireEvents } from '../drivers/mesh-wire.ts';
import type { Random } from '../std/clock.ts';
import type { Hello } from './frame.ts';
import { awaitHello, refuseWire, sayHello } from './handshake.ts';
import { type Link, type LinkLoad, linkOf, type MeshContext } from './link.ts';
import { requestsOf } from './requests.ts';
import { type Flow, trafficOf } from './traffic.ts';
import { agreedVersion, type Versions } from './versions.ts';

/** Another host, as the pool's rows tell of it. */
export interface PeerRow {
  readonly host: string;
  readonly address: MeshAddress;
  /** Fingerprints of its certificates: the present one, and a former or coming one. */
  readonly pins: readonly string[];
}

export interface PeerState extends LinkLoad {
  readonly host: string;
  readonly address: MeshAddress;
  readonly state: 'up' | 'down';
  /** Of a peer that is down: what to know and what to do about it. */
  readonly why: string;
  /** In milliseconds since 1970. */
  readonly sinceMs: number;
  /** Of the protocol, while it is up. */
  readonly version: number | undefined;
  /** The program that it said it runs, the last time that it greeted. */
  readonly software: string | undefined;
  readonly traffic: { readonly in: Flow; readonly out: Flow };
}

export interface PeerContext extends MeshContext {
  readonly self: string;
  readonly random: Random;
  readonly network: MeshNetwork;
  readonly versions: Versions;
  readonly software: string;
  readonly certificate: () => MeshCertificate;
  readonly changed: (peer: Peer) => void;
}

/** A host and the one link with it, kept up by whichever side gets through first. */
export interface Peer {
  readonly host: string;
  row(): PeerRow;
  /** New pins or a new address. A link whose certificate is pinned no more ends. */
  update(row: PeerRow): void;
  link(): Link | undefined;
  /** This host was dialled and greeted. */
  accept(wire: Wire, hello: Hello): WireEvents | undefined;
  state(): PeerState;
  close(why: string): void;
}

/** A dial under way: `wire` once this host has said its hello. */
interface Dial {
  readonly stop: AbortController;
  wire?: Wire;
}

export const peerOf = (context: PeerContext, first: PeerRow): Peer => {
  const { self, clock, random, log, limits, changed } = context;
  const { host } = first;
  const requests = requestsOf(clock, limits);
  const traffic = trafficOf();
  let row = first;
  let link: Link | undefined;
  let dial: Dial | undefined;
  let closed = false;
  let attempts = 0;
  let lastLink = '';
  let software: string | undefined;
  let why = 'It was not reached yet';
  let sinceMs = clock.now();
  let cancelRedial = (): void => {};

  const hello = (name: string): Hello => ({
    host: self,
    versions: context.versions,
    software: context.software,
    link: name,
    last: lastLink,
  });

  const up = (wire: Wire, name: string, version: number): WireEvents => {
    cancelRedial();
    attempts = 0;
    lastLink = name;
    sinceMs = clock.now();
    const made = linkOf(context, {
      wire,
      host,
      name,
      version,
      requests,
      traffic,
      onDown: (reason) => down(made, reason),
    });
    link = made;
    log.info({ host, link: name, version }, 'A host of the pool is linked');
    changed(peer);
    return made.events;
  };

  const down = (ended: Link, reason: string): void => {
    if (link !== ended) return;
    link = undefined;
    why = reason;
    sinceMs = clock.now();
    log.warn({ host, link: ended.name, why }, 'The link with a host of the pool is down');
    redial();
    changed(peer);
  };

  const redial = (): void => {
    cancelRedial();
    if (closed) return;
    const delayMs = Math.min(limits.redialMs * 2 ** attempts, limits.redialMsMax);
    attempts = Math.min(attempts + 1, 30);
    cancelRedial = clock.after(delayMs * (0.5 + random.fraction() / 2), begin);
  };

  /** Why there is no link: a peer that is down for another reason than before is news too. */
  const explain = (reason: string): void => {
    if (reason === why || closed || link !== undefined) return;
    why = reason;
    log.debug({ host, why }, 'A host of the pool was not reached');
    changed(peer);
  };

  const failed = (mine: Dial, reason: string): void => {
    if (dial !== mine) return;
    dial = undefined;
    redial();
    explain(reason);
  };

  const begin = (): void => {
    if (closed || link !== undefined || dial !== undefined) return;
    const mine: Dial = { stop: new AbortController() };
    dial = mine;
    context.network
      .dial(row.address, {
        certificate: context.certificate(),
        pins: row.pins,
        timeoutMs: limits.handshakeMsMax,
        messageBytesMax: limits.frameBytesMax,
        signal: mine.stop.signal,
      })
      .then(
        (wire) => (dial === mine ? greet(mine, wire) : wire.close('It is not needed any more')),
        (error: Error) => failed(mine, error.message),
      );
  };

  const greet = (mine: Dial, wire: Wire): void => {
    const name = random.uuid();
    mine.wire = wire;
    sayHello(wire, hello(name), limits);
    const greeted = (theirs: Hello): WireEvents | undefined => {
      if (dial !== mine) return undefined;
      software = theirs.software;
      const version =
        theirs.host === host ? agreed(theirs) : `Host ${theirs.host} answers in the place of ${host}`;
      if (typeof version === 'string') {
        wire.close(version);
        failed(mine, version);
        return undefined;
      }
      dial = undefined;
      return up(wire, name, version);
    };
    awaitHello(wire, context, greeted, (reason) => failed(mine, reason));
  };

  const agreed = (theirs: Hello): number | string =>
    agreedVersion(context.versions, context.software, theirs);

  const dropDial = (reason: string): void => {
    const dropped = dial;
    dial = undefined;
    dropped?.stop.abort();
    dropped?.wire?.close(reason);
  };

  /**
   * Of two dials that cross, that of the host with the lower reference is kept, by both. A hello that names the
   * present link as the last one comes from a host that has lost it; any other is older than that link.
   */
  const isUnwanted = (theirs: Hello): boolean => {
    if (link !== undefined) return theirs.last !== link.name;
    return dial?.wire !== undefined && self < host;
  };

  const peer: Peer = {
    host,
    row: () => row,
    update: (next) => {
      const moved = next.address.host !== row.address.host || next.address.port !== row.address.port;
      row = next;
      if (link !== undefined && !next.pins.includes(link.peerCertificate))
        link.close('Its certificate is not pinned');
      else if (moved && link === undefined) {
        dropDial('It has another address');
        begin();
      }
    },
    link: () => link,
    accept: (wire, theirs) => {
      software = theirs.software;
      const version = agreed(theirs);
      if (typeof version === 'string') {
        explain(version);
        // It greets back, so that the other side can say in its own words what it lacks.
        sayHello(wire, hello(theirs.link), limits);
        wire.close(version);
        return undefined;
      }
      if (isUnwanted(theirs)) {
        refuseWire(wire, 'Another link between the two hosts is kept', limits);
        return undefined;
      }
      dropDial('The other side got through first');
      link?.close('The other side has made a new link');
      cancelRedial();
      sayHello(wire, hello(theirs.link), limits);
      return up(wire, theirs.link, version);
    },
    state: () => ({
      host,
      address: row.address,
      state: link === undefined ? 'down' : 'up',
      why: link === undefined ? why : '',
      sinceMs,
      version: link?.version,
      software,
      traffic: traffic.flows(),
      ...(link?.load() ?? idle),
    }),
    close: (reason) => {
      closed = true;
      cancelRedial();
      dropDial(reason);
      link?.close(reason);
    },
  };
  begin();
  return peer;
};

const idle: LinkLoad = { callsOut: 0, callsIn: 0, streams: 0, bufferedBytes: 0, roundTripMs: undefined };
