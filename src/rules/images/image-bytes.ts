import { ImageRefused } from '../../codec/image-refused.ts';
import { BodyBroken } from '../../drivers/http/http.ts';

/** The bytes of an image as they arrive, from first to last. No more is held than was asked for. */
export interface ImageBytes {
  /** How many were read so far. */
  readonly position: number;
  /** Fills the buffer as far as there is something; answers how much that is. */
  fill(into: Buffer): Promise<number>;
  /** The next bytes, all of them. Throws `ImageRefused` where the image ends before. */
  exactly(count: number): Promise<Buffer>;
  /** The same into a buffer. */
  fillAll(into: Buffer): Promise<void>;
  /** Passes over what is before. */
  skipTo(position: number): Promise<void>;
  /** Passes over all that is left. */
  drain(): Promise<void>;
}

const OUT_OF_ORDER =
  'The parts of the image are not in the order in which they can be read: tables come before data';

export const imageBytes = (from: AsyncIterable<Uint8Array>): ImageBytes => {
  const chunks = from[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  let position = 0;
  /** The next bytes, up to so many; none at the end. */
  const some = async (max: number): Promise<Uint8Array> => {
    while (rest.length === 0) {
      const next = await chunks.next();
      if (next.done === true) return rest;
      rest = next.value;
    }
    const bytes = rest.subarray(0, max);
    rest = rest.subarray(bytes.length);
    position += bytes.length;
    return bytes;
  };
  const early = (): ImageRefused =>
    new ImageRefused(`The image ended after ${position} bytes; send it again`, true);
  const whole = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      throw error instanceof BodyBroken ? early() : error;
    }
  };
  const fill = async (into: Buffer): Promise<number> => {
    let filled = 0;
    while (filled < into.length) {
      const bytes = await some(into.length - filled);
      if (bytes.length === 0) break;
      into.set(bytes, filled);
      filled += bytes.length;
    }
    return filled;
  };
  const fillAll = (into: Buffer): Promise<void> =>
    whole(async () => {
      if ((await fill(into)) < into.length) throw early();
    });
  return {
    get position() {
      return position;
    },
    fill: (into) => whole(() => fill(into)),
    exactly: async (count) => {
      const bytes = Buffer.allocUnsafe(count);
      await fillAll(bytes);
      return bytes;
    },
    fillAll,
    skipTo: (to) =>
      whole(async () => {
        if (to < position) throw new ImageRefused(OUT_OF_ORDER);
        while (position < to) if ((await some(to - position)).length === 0) throw early();
      }),
    drain: () =>
      whole(async () => {
        while ((await some(Number.MAX_SAFE_INTEGER)).length > 0);
      }),
  };
};
