import type { Readable } from 'node:stream';

/**
 * Reads a stream in parts of known length. What is held is never more than a part and a chunk of the stream.
 */
export interface ByteReader {
  /** Rejects when the stream ends or breaks off before. */
  exactly(count: number): Promise<Buffer>;
}

export const byteReader = (from: Readable): ByteReader => {
  const chunks = from[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let rest = Buffer.alloc(0);
  return {
    exactly: async (count) => {
      const parts = [rest];
      for (let length = rest.length; length < count; length += parts.at(-1)?.length ?? 0) {
        const next = await chunks.next();
        if (next.done === true) throw new Error('The stream ended in the middle of a part');
        parts.push(Buffer.from(next.value));
      }
      const all = parts.length === 1 ? rest : Buffer.concat(parts);
      rest = all.subarray(count);
      return all.subarray(0, count);
    },
  };
};
