import type { Readable, Writable } from 'node:stream';

/**
 * What comes out of something that is given these bytes, no more ahead than it takes: a piece that was asked
 * for may be used again once the next one is. Throws what the bytes threw.
 */
export async function* through(
  bytes: AsyncIterable<Uint8Array>,
  into: Writable,
  out: Readable,
): AsyncGenerator<Uint8Array> {
  let failure: unknown;
  const feed = async (): Promise<void> => {
    try {
      for await (const piece of bytes) await written(into, piece);
      into.end();
    } catch (error) {
      failure ??= error;
      into.destroy();
      // Whoever reads is told, though what was made so far may still be good.
      out.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  // What is given too much, or too little, shows at the other end.
  into.on('error', () => {});
  void feed();
  try {
    yield* out as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw failure ?? error;
  } finally {
    into.destroy();
    out.destroy();
  }
}

const written = (into: Writable, piece: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    into.write(piece, (error) => (error ? reject(error) : resolve()));
  });
