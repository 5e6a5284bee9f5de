import type { Clock } from '../std/clock.ts';
import type { MeshLimits } from './limits.ts';
import type { Outbox } from './outbox.ts';

/** Keeps a link from being silent, and notices when the other side is. */
export interface Heartbeat {
  /** Any frame came. */
  heard(): void;
  pong(id: number): void;
  roundTripMs(): number | undefined;
  stop(): void;
}

export const heartbeatOf = (given: {
  readonly clock: Clock;
  readonly limits: MeshLimits;
  readonly outbox: Outbox;
  /** Of the wire. A large frame takes its time: as long as more of it comes, the other side is not silent. */
  readonly receivedBytes: () => number;
  readonly silent: (ms: number) => void;
}): Heartbeat => {
  const { clock, limits, outbox, receivedBytes, silent } = given;
  /** Beats since a frame came. Counted, not timed: while this process stands still nobody is silent. */
  let unheard = 0;
  let receivedAtBeat = receivedBytes();
  let pingedAtMs = 0;
  let lastId = 0;
  let roundTripMs: number | undefined;
  let cancel = (): void => {};

  const beat = (): void => {
    const received = receivedBytes();
    if (received !== receivedAtBeat) unheard = 0;
    receivedAtBeat = received;
    if (unheard * limits.heartbeatMs >= limits.silenceMsMax) {
      silent(limits.silenceMsMax);
      return;
    }
    unheard += 1;
    cancel = clock.after(limits.heartbeatMs, beat);
    lastId += 1;
    pingedAtMs = clock.monotonicMs();
    outbox.put(['ping', lastId]);
  };
  beat();

  return {
    heard: () => {
      unheard = 0;
    },
    pong: (id) => {
      if (id === lastId) roundTripMs = clock.monotonicMs() - pingedAtMs;
    },
    roundTripMs: () => roundTripMs,
    stop: () => cancel(),
  };
};
