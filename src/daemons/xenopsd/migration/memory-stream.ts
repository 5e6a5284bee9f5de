// The stream that a moving guest's memory goes through. Pieces have their length before them and an empty
// one is the end, so that a stream which was cut is never taken for a whole one, whatever it is tunnelled
// through. Back comes one line: that it was loaded, or why not.
import type { Duplex } from 'node:stream';
import { readJson } from '../../../codec/jsonrpc-reader.ts';
import { jsonValue } from '../../../codec/jsonrpc-writer.ts';
import { variantOf } from '../../../codec/rpclib.ts';
import type { XenopsError } from '../../../drivers/hypervisor/hypervisor.ts';
import { lost } from '../../../rpc/xenops/call.ts';
import { errorValue, xenopsErrorOf } from '../../../rpc/xenops/tasks.ts';
import type { Clock } from '../../../std/clock.ts';

/** Storage of the destination has five minutes to attach a disk, and nothing flows before that. */
const STILL_MS_MAX = 6 * 60_000;
/** A source that is told of a failure has this long to close the stream before it is cut. */
const PARTING_MS_MAX = 10_000;
const PIECE_BYTES_MAX = 16 * 1024 * 1024;
const LENGTH_BYTES = 4;
const ANSWER_BYTES_MAX = 64 * 1024;
const NEWLINE = 0x0a;

export interface MemoryWriter {
  /** Resolves once the piece was taken: one at a time is in memory. */
  write(piece: Uint8Array): Promise<void>;
  end(): Promise<void>;
}

const prefixed = (piece: Uint8Array): readonly [Buffer, Uint8Array] => {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(piece.length);
  return [length, piece];
};

export const memoryWriter = (stream: Duplex, clock: Clock): MemoryWriter => {
  const send = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      const cancel = clock.after(STILL_MS_MAX, () => {
        stream.destroy();
        reject(lost('the destination takes no memory any more'));
      });
      stream.write(bytes, (error) => {
        cancel();
        if (error) reject(lost(`the way to the destination was cut: ${error.message}`));
        else resolve();
      });
    });
  const write = async (piece: Uint8Array): Promise<void> => {
    for (let at = 0; at < piece.length; at += PIECE_BYTES_MAX) {
      const [length, bytes] = prefixed(piece.subarray(at, at + PIECE_BYTES_MAX));
      stream.cork();
      const sent = [send(length), send(bytes)];
      stream.uncork();
      await Promise.all(sent);
    }
  };
  return { write, end: () => send(Buffer.alloc(LENGTH_BYTES)) };
};

/** The bytes, in other pieces than they were sent in. Ends at the end mark; rejects when there is none. */
export async function* memoryPieces(stream: Duplex, clock: Clock): AsyncGenerator<Buffer, void> {
  let length = Buffer.alloc(0);
  let missing = 0;
  for await (const chunk of chunksOf(stream, clock)) {
    for (let rest = chunk; rest.length > 0; ) {
      if (missing === 0) {
        const more = rest.subarray(0, LENGTH_BYTES - length.length);
        length = Buffer.concat([length, more]);
        rest = rest.subarray(more.length);
        if (length.length < LENGTH_BYTES) break;
        missing = length.readUInt32BE();
        length = Buffer.alloc(0);
        if (missing === 0) return;
        if (missing > PIECE_BYTES_MAX) throw lost(`a piece of ${missing} bytes is none that a source sends`);
      } else {
        const piece = rest.subarray(0, missing);
        missing -= piece.length;
        rest = rest.subarray(piece.length);
        yield piece;
      }
    }
  }
  throw lost('the memory ended before its end: the way from the source was cut');
}

/** Leaves the stream open when it is left, for the answer. */
async function* chunksOf(stream: Duplex, clock: Clock): AsyncGenerator<Buffer, void> {
  const chunks = stream.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const cancel = clock.after(STILL_MS_MAX, () => stream.destroy());
      const { done, value } = await chunks
        .next()
        .catch((error: Error) => Promise.reject(lost(`the way from the source was cut: ${error.message}`)))
        .finally(cancel);
      if (done === true) return;
      yield value as Buffer;
    }
  } finally {
    await chunks.return?.();
  }
}

export const answerLoaded = (stream: Duplex): void => {
  stream.write(`${jsonValue('Loaded')}\n`);
};

/** What is still under way is read to nobody, because a stream cut before would take the answer along. */
export const answerFailed = (stream: Duplex, clock: Clock, error: XenopsError): void => {
  stream.end(`${jsonValue(['Failed', errorValue(error)])}\n`);
  stream.resume();
  const cancel = clock.after(PARTING_MS_MAX, () => stream.destroy());
  stream.once('close', cancel);
};

/**
 * Resolves with the destination's word that it has the guest; rejects with its refusal, or when it is cut.
 */
export const answerOn = (stream: Duplex): Promise<void> =>
  new Promise((resolve, reject) => {
    let said = Buffer.alloc(0);
    const cut = (): void => reject(lost('the way to the destination was cut'));
    stream.on('data', (chunk: Buffer) => {
      said = Buffer.concat([said, chunk]);
      const end = said.indexOf(NEWLINE);
      if (end < 0 && said.length <= ANSWER_BYTES_MAX) return;
      const failure = end < 0 ? lost('the destination answers with nonsense') : failureIn(said, end);
      if (failure === undefined) resolve();
      else reject(failure);
    });
    stream.once('end', cut);
    stream.once('close', cut);
  });

const failureIn = (said: Buffer, end: number): unknown => {
  try {
    const { tag, payload } = variantOf(readJson(said.toString('utf8', 0, end)));
    return tag === 'Loaded' ? undefined : xenopsErrorOf(payload ?? 'Unknown_error');
  } catch (error) {
    return error;
  }
};
