import { Duplex } from 'node:stream';
import type { Life } from './life.ts';

/** Two ends of one connection of bytes. */
export interface StreamPair {
  readonly ends: readonly [Duplex, Duplex];
  /** Ends both sides as a connection ends that was cut. */
  cut(): void;
  onClosed(run: () => void): void;
}

interface Side {
  readonly life: Life;
  stream: Duplex;
  /** Nothing overtakes what was sent before it. */
  lastMs: number;
  /** Takes the next piece only once this one was read: how one end holds the other up. */
  wanted: (() => void) | undefined;
  /** Ends the write that is under way. */
  written: ((error?: Error) => void) | undefined;
}

/**
 * A connection between two processes; `delayMs` is asked for each piece that goes over it. A process that
 * ends closes its side, as its system would for it.
 */
export const streamPair = (lives: readonly [Life, Life], delayMs: () => number): StreamPair => {
  const watchers: (() => void)[] = [];
  let open = 2;
  const sides = lives.map((life) => ({
    life,
    lastMs: 0,
    wanted: undefined,
    written: undefined,
  })) as unknown as [Side, Side];
  const other = (side: Side): Side => (side === sides[0] ? sides[1] : sides[0]);

  /** Has something happen at the far end, behind all that was sent before. */
  const send = (from: Side, arrive: (to: Side) => void): void => {
    const to = other(from);
    const nowMs = to.life.monotonicMs();
    from.lastMs = Math.max(from.lastMs, nowMs + delayMs());
    to.life.after(from.lastMs - nowMs, () => arrive(to));
  };
  const closed = (): void => {
    open -= 1;
    if (open === 0) for (const watcher of watchers) watcher();
  };
  for (const side of sides) {
    side.stream = new Duplex({
      read: () => {
        const { wanted } = side;
        side.wanted = undefined;
        wanted?.();
      },
      write: (chunk: Buffer, _encoding, done) => {
        side.written = done;
        const taken = (): void => {
          const { written } = side;
          side.written = undefined;
          written?.();
        };
        send(side, (to) => {
          if (to.stream.destroyed) return taken();
          const free = to.stream.push(chunk);
          const acknowledge = (): void => send(to, () => taken());
          if (free) acknowledge();
          else to.wanted = acknowledge;
        });
      },
      final: (done) => {
        send(side, (to) => {
          if (!to.stream.destroyed) to.stream.push(null);
        });
        done();
      },
      destroy: (error, done) => {
        send(side, (to) => to.stream.destroy());
        // Whoever waits for a write hears that it came to nothing.
        const { written } = side;
        side.written = undefined;
        written?.(new Error('The connection was closed'));
        done(error);
        closed();
      },
    });
    // Whoever was given the stream may not listen yet; without a listener an error would end the process.
    side.stream.on('error', () => {});
    const forget = side.life.onEnd(() => {
      send(side, (to) => to.stream.destroy());
      closed();
    });
    watchers.push(forget);
  }
  return {
    ends: [sides[0].stream, sides[1].stream],
    cut: () => {
      for (const { stream } of sides) stream.destroy();
    },
    onClosed: (run) => {
      watchers.push(run);
    },
  };
};
