import type { HttpAnswer, HttpBody } from '../drivers/http/http.ts';
import type { Clock } from '../std/clock.ts';
import { inSlices, paceOf } from '../std/pace.ts';
import type { EncodedParts } from './encoding.ts';

/**
 * Up to so many parts an answer is written at once: it is short, or its one long part cannot be cut anyway.
 */
const partsAtOnceMax = 64;
/** Parts are joined to pieces of about this size: not one write for each, and never all at once. */
const pieceBytes = 524_288;

/**
 * Writes an answer as fast as its client reads it. Ten thousand records are a hundred megabytes: neither
 * measuring nor writing them may keep others from their turn.
 */
export const sendParts = (
  answer: HttpAnswer,
  clock: Clock,
  headers: Readonly<Record<string, string>>,
  parts: EncodedParts,
): Promise<void> | void =>
  parts.length <= partsAtOnceMax ? answer.send(200, headers, parts) : sendLong(answer, clock, headers, parts);

const sendLong = async (
  answer: HttpAnswer,
  clock: Clock,
  headers: Readonly<Record<string, string>>,
  parts: EncodedParts,
): Promise<void> => {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  await inSlices(clock, parts, (part) => {
    const chunk = typeof part === 'string' ? Buffer.from(part) : part;
    chunks.push(chunk);
    sizeBytes += chunk.length;
  });
  const body = answer.begin(200, { ...headers, 'Content-Length': String(sizeBytes) });
  try {
    await writeAll(body, clock, chunks);
    await body.end();
  } catch {
    // The client went away in the middle of its answer, so there is nobody to tell.
    body.fail();
  }
};

/** Gathers the chunks in one piece of memory that is filled and written again and again. */
const writeAll = async (body: HttpBody, clock: Clock, chunks: readonly Buffer[]): Promise<void> => {
  const pace = paceOf(clock);
  const piece = Buffer.allocUnsafeSlow(pieceBytes);
  let filled = 0;
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const copied = chunk.copy(piece, filled, at);
      at += copied;
      filled += copied;
      if (filled < pieceBytes) continue;
      await body.write(piece);
      filled = 0;
      // A client that reads as fast as this writes would leave nobody else a turn.
      if (pace.isOver()) await pace.rest();
    }
  }
  await body.write(piece.subarray(0, filled));
};
