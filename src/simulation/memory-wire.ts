import type { Wire, WireEvents } from '../drivers/mesh-wire.ts';
import type { Clock } from '../std/clock.ts';
import type { Life } from './life.ts';
import type { MeshPaths } from './mesh-paths.ts';
import type { SeededRandom } from './random.ts';
import type { Trace } from './trace.ts';

/** What every wire of one simulated mesh shares. */
export interface WireWorld {
  /** Of the network itself: it goes on when a process does not. */
  readonly clock: Pick<Clock, 'after'>;
  readonly paths: MeshPaths;
  readonly random: SeededRandom;
  readonly trace: Pick<Trace, 'note'>;
  /** How long a system goes on trying to get something across before it gives the connection up. */
  readonly cutMs: number;
  /** What a process can hand to its system, and the other one can have unread, before it has to wait. */
  readonly windowBytes: number;
}

export interface WireEnd {
  readonly machine: string;
  readonly life: Life;
  /** Of the other side's certificate. */
  readonly peer: string;
  readonly messageBytesMax: number;
}

type Parcel = { readonly message: Uint8Array } | { readonly close: string } | { readonly reset: string };

interface Side {
  readonly world: WireWorld;
  readonly end: WireEnd;
  other: Side;
  /** Once both are closed. */
  readonly onClosed: () => void;
  /** `closing`: it has said goodbye and waits for the answer. */
  state: 'open' | 'closing' | 'closed';
  events: WireEvents | undefined;
  /** On its way to the other side, oldest first; the first of them has a time at which it arrives. */
  readonly leaving: Parcel[];
  underway: boolean;
  /** Something was lost: nothing that comes after it arrives. */
  stuck: boolean;
  /** Gives the connection up when the other side does not confirm what it got. */
  stopPatience: (() => void) | undefined;
  /** Sent, and not yet handed over at the other side. */
  unreadBytes: number;
  /** Arrived, and not yet handed over. */
  readonly arrived: Parcel[];
  busy: boolean;
  telling: boolean;
}

/** How long a goodbye waits for its answer. */
const CLOSE_MS_MAX = 1_000;
const CUT = 'The connection was cut';

const finish = (side: Side, reason: string): void => {
  if (side.state === 'closed') return;
  side.state = 'closed';
  side.stopPatience?.();
  side.world.trace.note('closed', side.end.machine, side.other.end.machine, reason);
  side.end.life.after(0, () => side.events?.closed(reason));
  if (side.other.state === 'closed') side.onClosed();
};

/** The system gives up, and tells the other side if it can. */
const giveUp = (side: Side, reason: string): void => {
  if (side.state === 'closed') return;
  side.leaving.length = 0;
  side.leaving.push({ reset: CUT });
  side.stuck = false;
  finish(side, reason);
  carry(side);
};

const beImpatient = (side: Side): void => {
  if (side.stopPatience !== undefined || side.state === 'closed') return;
  const cancel = side.end.life.after(side.world.cutMs, () => giveUp(side, 'The connection timed out'));
  side.stopPatience = () => {
    cancel();
    side.stopPatience = undefined;
  };
};

/**
 * The other side's system says that it has everything so far, which it never can once something was lost.
 */
const confirm = (side: Side): void => {
  if (!side.stuck) side.stopPatience?.();
};

/** Brings the first parcel to the other side, and then the next. */
const carry = (side: Side): void => {
  const [parcel] = side.leaving;
  if (parcel === undefined || side.underway || side.stuck) return;
  const [from, to] = [side.end, side.other.end];
  if ('message' in parcel) {
    const { lostChance } = side.world.paths.conditions(from.machine, to.machine);
    if (lostChance > 0 && side.world.random.chance(lostChance)) {
      side.world.trace.note('lost', from.machine, to.machine);
      side.stuck = true;
      beImpatient(side);
      return;
    }
  }
  side.underway = true;
  // It is the network that carries it, whatever becomes of the process meanwhile.
  carryLater(side);
};

const carryLater = (side: Side): void => {
  const [from, to] = [side.end.machine, side.other.end.machine];
  side.world.clock.after(side.world.paths.delayMs(from, to), () => arrive(side));
};

const arrive = (side: Side): void => {
  const to = side.other;
  const [from, towards] = [side.end.machine, to.end.machine];
  if (!side.world.paths.isOpen(from, towards)) {
    beImpatient(side);
    side.world.paths.whenOpen(from, towards, () => carryLater(side));
    return;
  }
  side.underway = false;
  const parcel = side.leaving.shift();
  if (parcel !== undefined) accept(side, to, parcel);
  if (side.world.paths.isOpen(towards, from)) confirm(side);
  else {
    beImpatient(side);
    side.world.paths.whenOpen(towards, from, () => confirm(side));
  }
  carry(side);
};

const accept = (from: Side, to: Side, parcel: Parcel): void => {
  if (to.end.life.state === 'ended' || to.state === 'closed') {
    // Nobody is there any more for what arrives, and its sender hears that.
    if (!('reset' in parcel)) send(to, { reset: CUT });
    if (to.end.life.state === 'ended') to.state = 'closed';
    return;
  }
  if ('message' in parcel) to.world.trace.note('mesh', from.end.machine, to.end.machine, parcel.message);
  to.arrived.push(parcel);
  to.end.life.after(0, () => handOver(to));
};

const send = (side: Side, parcel: Parcel): void => {
  side.leaving.push(parcel);
  carry(side);
};

/** Gives what has arrived to whoever receives, one after the other. */
const handOver = (side: Side): void => {
  while (side.events !== undefined && !side.busy && side.state !== 'closed') {
    const parcel = side.arrived.shift();
    if (parcel === undefined) return;
    if ('message' in parcel) hand(side, side.events, parcel.message);
    else if ('reset' in parcel) finish(side, parcel.reset);
    else {
      if (side.state === 'open') send(side, { close: parcel.close });
      finish(side, parcel.close);
    }
  }
};

const hand = (side: Side, events: WireEvents, message: Uint8Array): void => {
  if (message.length > side.end.messageBytesMax) {
    giveUp(side, 'A message is longer than is taken');
    return;
  }
  const read = (): void => {
    const from = side.other;
    from.unreadBytes -= message.length;
    tellDrained(from);
  };
  const done = events.message(message);
  if (done === undefined) {
    read();
    return;
  }
  side.busy = true;
  void done.then(() => {
    side.busy = false;
    read();
    side.end.life.after(0, () => handOver(side));
  });
};

const tellDrained = (side: Side): void => {
  if (side.telling || side.state === 'closed') return;
  side.telling = true;
  side.end.life.after(0, () => {
    side.telling = false;
    if (side.state !== 'closed') side.events?.drained();
  });
};

/** A process that ends leaves to its system what it had handed to it; the rest is gone. */
const endWith = (side: Side): void => {
  if (side.state === 'closed') return;
  side.state = 'closed';
  if (side.other.state === 'closed') side.onClosed();
  let roomBytes = side.stuck || !side.world.paths.isOn(side.end.machine) ? -1 : side.world.windowBytes;
  const kept = side.leaving.filter((parcel) => {
    roomBytes -= 'message' in parcel ? parcel.message.length : 0;
    return roomBytes >= 0;
  });
  side.leaving.splice(0, side.leaving.length, ...kept);
  side.stuck = false;
  // A machine without power says nothing to anybody.
  if (side.world.paths.isOn(side.end.machine)) send(side, { reset: CUT });
};

const wireOf = (side: Side): Wire => {
  side.end.life.onEnd(() => endWith(side));
  return {
    peerCertificate: side.end.peer,
    send: (message) => {
      if (side.state !== 'open' || side.end.life.state === 'ended') return;
      side.unreadBytes += message.length;
      send(side, { message });
      if (side.unreadBytes <= side.world.windowBytes) tellDrained(side);
    },
    bufferedBytes: () => Math.max(0, side.unreadBytes - side.world.windowBytes),
    // Messages arrive whole here.
    receivedBytes: () => 0,
    receive: (events) => {
      side.events = events;
      if (side.state === 'closed') side.end.life.after(0, () => events.closed(CUT));
      else side.end.life.after(0, () => handOver(side));
    },
    close: (reason) => {
      if (side.state !== 'open') return;
      side.state = 'closing';
      send(side, { close: reason });
      side.end.life.after(CLOSE_MS_MAX, () => giveUp(side, reason));
    },
  };
};

/**
 * Two ends of one wire. It keeps order; what cannot be delivered holds up all that comes after it, and in
 * time ends it.
 */
export const wirePair = (
  world: WireWorld,
  ends: readonly [WireEnd, WireEnd],
  onClosed: () => void = () => {},
): readonly [Wire, Wire] => {
  const [near, far] = ends.map((end) => sideOf(world, end, onClosed)) as [Side, Side];
  near.other = far;
  far.other = near;
  return [wireOf(near), wireOf(far)];
};

const sideOf = (world: WireWorld, end: WireEnd, onClosed: () => void): Side => ({
  ...{ world, end, onClosed, other: undefined as unknown as Side },
  state: 'open',
  events: undefined,
  leaving: [],
  underway: false,
  stuck: false,
  stopPatience: undefined,
  unreadBytes: 0,
  arrived: [],
  busy: false,
  telling: false,
});
