// One host of the pool as another sees it, and the one link between the two:
//
//            dial, or be dialled         both have said hello
//   down ─────────────────────────► greeting ─────────────────► up
//    ▲   ◄───────────────────────────┘                          │
//    │      refused, timed out, or the other dial is kept       │
//    └──────────────────────────────────────────────────────────┘
//       silence, an error, a certificate that is pinned no more
//
// While it is down this side dials again, after waits that grow. Of two dials that cross, the one of the host
// with the lower reference is kept.

import type { MeshAddress, Wire, WireEvents } from '../drivers/mesh-wire.ts';
import { type DiallingContext, diallingOf } from './dialling.ts';
import type { Hello } from './frame.ts';
import { refuseWire, sayHello } from './handshake.ts';
import { type Link, type LinkLoad, linkOf } from './link.ts';
import { requestsOf } from './requests.ts';
import { type Flow, trafficOf } from './traffic.ts';
import { agreedVersion, type MeshVersions } from './versions.ts';

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

export interface PeerContext extends DiallingContext {
  readonly self: string;
  readonly versions: MeshVersions;
  readonly software: string;
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

export const peerOf = (context: PeerContext, first: PeerRow): Peer => {
  const { self, clock, log, limits, changed } = context;
  const { host } = first;
  const requests = requestsOf(clock, limits);
  const traffic = trafficOf();
  let row = first;
  let link: Link | undefined;
  let closed = false;
  let lastLink = '';
  let software: string | undefined;
  let why = 'It was not reached yet';
  let sinceMs = clock.now();

  const hello = (name: string): Hello => {
    const { versions, software: mine } = context;
    return { host: self, versions, software: mine, link: name, last: lastLink };
  };

  const up = (wire: Wire, name: string, version: number): WireEvents => {
    dialling.rest();
    lastLink = name;
    sinceMs = clock.now();
    const onDown = (reason: string): void => down(made, reason);
    const made = linkOf(context, { wire, host, name, version, requests, traffic, onDown });
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
    dialling.again();
    changed(peer);
  };

  /** Why there is no link: a peer that is down for another reason than before is news too. */
  const explain = (reason: string): void => {
    if (reason === why || closed || link !== undefined) return;
    why = reason;
    log.debug({ host, why }, 'A host of the pool was not reached');
    changed(peer);
  };

  const dialling = diallingOf(context, {
    row: () => row,
    isWanted: () => !closed && link === undefined,
    hello,
    answered: (wire, theirs, name) => {
      software = theirs.software;
      const other = `Host ${theirs.host} answers in the place of ${host}`;
      const version = theirs.host === host ? agreed(context, theirs) : other;
      return typeof version === 'string' ? version : () => up(wire, name, version);
    },
    failed: explain,
  });

  /** Greets back, so that the other side can say in its own words what it lacks. */
  const refuse = (wire: Wire, theirs: Hello, reason: string): void => {
    sayHello(wire, hello(theirs.link), limits);
    wire.close(reason);
  };

  /**
   * Of two dials that cross, that of the host with the lower reference is kept, by both. A hello that names
   * the present link as the last one comes from a host that has lost it; any other is older than that link.
   */
  const isUnwanted = (theirs: Hello): boolean => {
    if (link !== undefined) return theirs.last !== link.name;
    return dialling.hasGreeted() && self < host;
  };

  const update = (next: PeerRow): void => {
    const moved = next.address.host !== row.address.host || next.address.port !== row.address.port;
    row = next;
    if (link !== undefined && !next.pins.includes(link.peerCertificate))
      link.close('Its certificate is not pinned');
    else if (moved && link === undefined) {
      dialling.drop('It has another address');
      dialling.begin();
    }
  };

  const peer: Peer = {
    host,
    row: () => row,
    update,
    link: () => link,
    accept: (wire, theirs) => {
      software = theirs.software;
      const version = agreed(context, theirs);
      if (typeof version === 'string') {
        explain(version);
        refuse(wire, theirs, version);
        return undefined;
      }
      if (isUnwanted(theirs)) {
        refuseWire(wire, 'Another link between the two hosts is kept', limits);
        return undefined;
      }
      dialling.drop('The other side got through first');
      link?.close('The other side has made a new link');
      dialling.rest();
      sayHello(wire, hello(theirs.link), limits);
      return up(wire, theirs.link, version);
    },
    state: () => ({
      host,
      address: row.address,
      sinceMs,
      software,
      traffic: traffic.flows(),
      ...linkState(link, why),
    }),
    close: (reason) => {
      closed = true;
      dialling.rest();
      dialling.drop(reason);
      link?.close(reason);
    },
  };
  dialling.begin();
  return peer;
};

const linkState = (
  link: Link | undefined,
  why: string,
): Pick<PeerState, 'state' | 'why' | 'version' | keyof LinkLoad> =>
  link === undefined
    ? { state: 'down', why, version: undefined, ...idle }
    : { state: 'up', why: '', version: link.version, ...link.load() };

/** The version that both speak, or why there is none. */
const agreed = ({ versions, software }: PeerContext, theirs: Hello): number | string =>
  agreedVersion(versions, software, theirs);

const idle: LinkLoad = { callsOut: 0, callsIn: 0, streams: 0, bufferedBytes: 0, roundTripMs: undefined };
