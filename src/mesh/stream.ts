import { Duplex } from 'node:stream';
import { MeshFailure, type Problem, problemOf } from './failure.ts';
import type { Item } from './frame.ts';

/** What one item carries at most, so that calls get their turn between the parts of a stream. */
const PIECE_BYTES_MAX = 65_536;

/** One end of a stream of bytes between two hosts. */
export interface ByteStream {
  readonly duplex: Duplex;
  readonly anyEpoch: boolean;
  data(bytes: Uint8Array): void;
  credit(bytes: number): void;
  end(): void;
  cut(error: Error): void;
}

/**
 * Each side says how much more it takes, and says so again as its reader reads: what a writer is ahead of the
 * reader, wherever it is, is never more than a window.
 */
export const byteStream = (given: {
  readonly id: number;
  readonly put: (item: Item, sent?: () => void) => void;
  /** What the other side takes before it gives credit, and what this side takes. */
  readonly windowBytes: { readonly out: number; readonly in: number };
  readonly anyEpoch: boolean;
  readonly gone: () => void;
}): ByteStream => {
  const { id, put, windowBytes } = given;
  const outgoing: { bytes: Uint8Array; readonly done: (() => void) | undefined }[] = [];
  let credit = windowBytes.out;
  let granted = windowBytes.in;
  const ended = { in: false, out: false, cut: false };

  const pump = (): void => {
    for (let first = outgoing[0]; first !== undefined && credit > 0; first = outgoing[0]) {
      const piece = first.bytes.subarray(0, Math.min(credit, PIECE_BYTES_MAX));
      credit -= piece.length;
      first.bytes = first.bytes.subarray(piece.length);
      const isLast = first.bytes.length === 0;
      if (isLast) outgoing.shift();
      put(['data', id, piece], isLast ? first.done : undefined);
    }
  };

  /** Credit goes out in large parts: one message for each half of the window. */
  const grant = (): void => {
    const more = windowBytes.in - duplex.readableLength - granted;
    if (ended.in || more < windowBytes.in / 2) return;
    granted += more;
    put(['credit', id, more]);
  };

  const duplex = new Duplex({
    readableHighWaterMark: Math.ceil(windowBytes.in / 2),
    writableHighWaterMark: PIECE_BYTES_MAX,
    // Asked for more before what is being read has left: the room for it is there a moment later.
    read: () => queueMicrotask(grant),
    writev: (chunks, callback) => {
      chunks.forEach(({ chunk }, i) => {
        const isLast = i === chunks.length - 1;
        outgoing.push({ bytes: chunk, done: isLast ? () => callback() : undefined });
      });
      pump();
    },
    final: (callback) => {
      ended.out = true;
      put(['end', id], () => callback());
    },
    destroy: (error, callback) => {
      outgoing.length = 0;
      if (!ended.cut && !(ended.in && ended.out)) put(['cut', id, error === null ? early : problemOf(error)]);
      given.gone();
      callback(error);
    },
  });
  // Whoever uses the stream hears of its errors too; without a listener one would end the process.
  duplex.on('error', () => {});

  return {
    duplex,
    anyEpoch: given.anyEpoch,
    data: (bytes) => {
      granted -= bytes.length;
      if (ended.in || granted < 0) return void duplex.destroy(overrun());
      duplex.push(bytes);
      grant();
    },
    credit: (bytes) => {
      credit += bytes;
      pump();
    },
    end: () => {
      if (ended.in) return;
      ended.in = true;
      duplex.push(null);
    },
    cut: (error) => {
      ended.cut = true;
      duplex.destroy(error);
    },
  };
};

const early: Problem = { mesh: 'failed', text: 'The other side closed the stream before its end' };

const overrun = (): MeshFailure =>
  new MeshFailure('failed', 'The other side sent more than it had credit for');
