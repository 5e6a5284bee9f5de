import type { Duplex } from 'node:stream';

/** The client at the other end of a connection, of which no more is held than was asked for. */
export interface NbdPeer {
  /** The next bytes; undefined once the client has gone. */
  take(count: number): Promise<Buffer | undefined>;
  /** Resolves once the client has room for more; false: it has gone. */
  send(...parts: readonly Uint8Array[]): Promise<boolean>;
  /** From here on somebody else reads. */
  release(): void;
}

export const nbdPeer = (stream: Duplex): NbdPeer => {
  let wake = (): void => {};
  let hasGone = false;
  const woken = (): void => wake();
  const gone = (): void => {
    hasGone = true;
    wake();
  };
  const listeners = { readable: woken, drain: woken, end: woken, error: gone, close: gone };
  for (const [event, listener] of Object.entries(listeners)) stream.on(event, listener);
  const change = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  return {
    take: async (count) => {
      if (count === 0) return Buffer.alloc(0);
      for (;;) {
        const bytes = stream.read(count) as Buffer | null;
        if (bytes?.length === count) return bytes;
        if (hasGone || bytes !== null || stream.readableEnded) return undefined;
        await change();
      }
    },
    send: async (...parts) => {
      for (const part of parts) if (!hasGone && !stream.destroyed) stream.write(part);
      while (!hasGone && !stream.destroyed && stream.writableNeedDrain) await change();
      return !hasGone && !stream.destroyed;
    },
    release: () => {
      for (const [event, listener] of Object.entries(listeners)) stream.off(event, listener);
    },
  };
};
