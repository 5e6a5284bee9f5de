import { createHash } from 'node:crypto';

/** Bytes count for the digest, and are told only by their number. */
export type NotePart = string | number | Uint8Array;

/** What happened, in order. Two runs did the same when their digests are the same. */
export interface Trace {
  note(...parts: readonly NotePart[]): void;
  readonly count: number;
  /** Of everything so far, in hexadecimal. */
  digest(): string;
  /** The last things that happened, oldest first, for whoever looks into a failure. */
  recent(): readonly string[];
}

/** Older notes are only in the digest. */
export const notesKeptMax = 1_000;

export const traceOf = (keptMax = notesKeptMax): Trace => {
  const hash = createHash('sha256');
  let kept: string[] = [];
  let count = 0;
  return {
    note: (...parts) => {
      const words = parts.map((part) => (part instanceof Uint8Array ? `(${part.length} bytes)` : part));
      const line = words.join(' ');
      hash.update(line).update('\n');
      for (const part of parts) if (part instanceof Uint8Array) hash.update(part);
      count += 1;
      kept.push(line);
      // Cut rarely, so that a note costs no more than its text.
      if (kept.length >= 2 * keptMax) kept = kept.slice(-keptMax);
    },
    get count() {
      return count;
    },
    digest: () => hash.copy().digest('hex'),
    recent: () => kept.slice(-keptMax),
  };
};

/** A trace that costs nothing, where nobody compares runs. */
export const noTrace: Trace = { note: () => {}, count: 0, digest: () => '', recent: () => [] };
