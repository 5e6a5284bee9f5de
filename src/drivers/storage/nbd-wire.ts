import type { Duplex } from 'node:stream';
import type { Clock } from '../../std/clock.ts';

// The connection to a server of NBD, and the errors that it answers.

export const CONNECT_MS_MAX = 10_000;

const errorCodes: Readonly<Record<number, string>> = {
  1: 'EPERM',
  5: 'EIO',
  12: 'ENOMEM',
  22: 'EINVAL',
  28: 'ENOSPC',
  75: 'EOVERFLOW',
  95: 'ENOTSUP',
  108: 'ESHUTDOWN',
};

export interface NbdWire {
  take(count: number): Promise<Buffer>;
  /** The next bytes, into their place. */
  fill(into: Uint8Array): Promise<void>;
  send(...parts: readonly Uint8Array[]): void;
  /** Ends the connection when the work takes longer: its answer could not be told from the next one's. */
  within<T>(timeoutMs: number, work: () => Promise<T>): Promise<T>;
  end(): Promise<void>;
}

export const wireOf = (socket: Duplex, clock: Clock): NbdWire => {
  let failure: Error | undefined;
  let wake = (): void => {};
  socket.on('readable', () => wake());
  socket.on('end', () => wake());
  socket.on('error', (error) => {
    failure ??= error;
  });
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      failure ??= protocolError('the server closed the connection');
      wake();
      resolve();
    });
  });

  /** Resolves when there may be more to read. */
  const more = (): Promise<void> => {
    if (failure) throw failure;
    if (socket.readableEnded) throw endedEarly();
    return new Promise((resolve) => {
      wake = resolve;
    });
  };

  return {
    take: async (count) => {
      for (;;) {
        const chunk = count === 0 ? Buffer.alloc(0) : (socket.read(count) as Buffer | null);
        if (chunk?.length === count) return chunk;
        // At its end a stream gives what it has.
        if (chunk !== null) throw endedEarly();
        await more();
      }
    },
    fill: async (into) => {
      for (let filled = 0; filled < into.length; ) {
        const count = Math.min(socket.readableLength, into.length - filled);
        // To ask for what is there makes none wait for the rest; to ask for nothing makes more come.
        const chunk = (count === 0 ? socket.read(0) : socket.read(count)) as Buffer | null;
        if (chunk === null) await more();
        else {
          into.set(chunk, filled);
          filled += chunk.length;
        }
      }
    },
    send: (...parts) => {
      if (failure) throw failure;
      for (const part of parts) socket.write(part);
    },
    within: async (timeoutMs, work) => {
      const cancel = clock.after(timeoutMs, () =>
        socket.destroy(protocolError(`the server gave no answer within ${timeoutMs} ms`, 'ETIMEDOUT')),
      );
      try {
        return await work();
      } catch (error) {
        if (!isRefusal(error)) socket.destroy();
        throw error;
      } finally {
        cancel();
      }
    },
    end: async () => {
      const cancel = clock.after(CONNECT_MS_MAX, () => socket.destroy());
      socket.end();
      // The server's end of the stream is only seen by reading.
      socket.resume();
      await closed;
      cancel();
    },
  };
};

const endedEarly = (): Error => protocolError('the server ended in mid-answer');

export const protocolError = (why: string, code = 'EPROTO'): Error =>
  Object.assign(new Error(`nbd: ${why}`), { code });

/** The server answered that it will not; the connection is still good. */
export const refusal = (error: number): Error => {
  const code = errorCodes[error] ?? 'EIO';
  return Object.assign(protocolError(`the server refused with ${code} (${error})`, code), { refusal: true });
};

const isRefusal = (error: unknown): boolean => error instanceof Error && 'refusal' in error;
