import type { MeshAddress, MeshCertificate, MeshNetwork, Wire, WireEvents } from '../drivers/mesh-wire.ts';
import type { Random } from '../std/clock.ts';
import type { Hello } from './frame.ts';
import { awaitHello, sayHello } from './handshake.ts';
import type { MeshContext } from './link.ts';

/** Dials a host again and again, each time after a longer wait, until there is a link. */
export interface Dialling {
  /** Dials now, unless it does already or no link is wanted. */
  begin(): void;
  /** Dials after a while. */
  again(): void;
  /** There is a link, or none is wanted any more: the next wait is a short one. */
  rest(): void;
  /** Ends the dial under way. */
  drop(reason: string): void;
  /** Whether this host has said its hello in the dial under way. */
  hasGreeted(): boolean;
}

export interface DiallingContext extends MeshContext {
  readonly random: Random;
  readonly network: MeshNetwork;
  readonly certificate: () => MeshCertificate;
}

export interface DialledPeer {
  readonly row: () => { readonly address: MeshAddress; readonly pins: readonly string[] };
  readonly isWanted: () => boolean;
  readonly hello: (link: string) => Hello;
  /** The other side's hello: why there can be no link, or what makes it of the wire. */
  readonly answered: (wire: Wire, theirs: Hello, link: string) => string | (() => WireEvents);
  readonly failed: (reason: string) => void;
}

/** A dial under way: `wire` once this host has said its hello. */
interface Dial {
  readonly stop: AbortController;
  wire?: Wire;
}

export const diallingOf = (context: DiallingContext, peer: DialledPeer): Dialling => {
  const { clock, random, limits } = context;
  let dial: Dial | undefined;
  let attempts = 0;
  let cancelRedial = (): void => {};

  const again = (): void => {
    cancelRedial();
    if (!peer.isWanted()) return;
    const delayMs = Math.min(limits.redialMs * 2 ** attempts, limits.redialMsMax);
    attempts = Math.min(attempts + 1, 30);
    cancelRedial = clock.after(delayMs * (0.5 + random.fraction() / 2), begin);
  };

  const failed = (mine: Dial, reason: string): void => {
    if (dial !== mine) return;
    dial = undefined;
    again();
    peer.failed(reason);
  };

  const begin = (): void => {
    if (!peer.isWanted() || dial !== undefined) return;
    const mine: Dial = { stop: new AbortController() };
    dial = mine;
    const { address, pins } = peer.row();
    context.network
      .dial(address, {
        certificate: context.certificate(),
        pins,
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
    sayHello(wire, peer.hello(name), limits);
    const greeted = (theirs: Hello): WireEvents | undefined => {
      if (dial !== mine) return undefined;
      const linked = peer.answered(wire, theirs, name);
      if (typeof linked === 'string') {
        wire.close(linked);
        failed(mine, linked);
        return undefined;
      }
      dial = undefined;
      return linked();
    };
    awaitHello(wire, context, greeted, (reason) => failed(mine, reason));
  };

  return {
    begin,
    again,
    rest: () => {
      cancelRedial();
      attempts = 0;
    },
    drop: (reason) => {
      const dropped = dial;
      dial = undefined;
      dropped?.stop.abort();
      dropped?.wire?.close(reason);
    },
    hasGreeted: () => dial?.wire !== undefined,
  };
};
