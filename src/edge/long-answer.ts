import type { HttpAnswer } from '../drivers/http/http.ts';
import type { Clock } from '../std/clock.ts';
import { inSlices, type Parts } from './encoding.ts';

/** Up to so many parts an answer is written at once: it is short, or its one long part cannot be cut anyway. */
const partsAtOnceMax = 64;
/** Parts are joined to pieces of about this many characters: not one write for each, and never all at once. */
const pieceChars = 131_072;

/**
 * Writes an answer as fast as its client reads it. Ten thousand records are a hundred megabytes: neither
 * measuring nor writing them may keep others from their turn.
 */
export const sendParts = async (
  answer: HttpAnswer,
  clock: Clock,
  headers: Readonly<Record<string, string>>,
  parts: Parts,
): Promise<void> => {
  if (parts.length <= partsAtOnceMax) return answer.send(200, headers, parts);
  let sizeBytes = 0;
  await inSlices(clock, parts, (part) => {
    sizeBytes += Buffer.byteLength(part);
  });
  const body = answer.begin(200, { ...headers, 'Content-Length': String(sizeBytes) });
  try {
    for (const piece of pieces(parts)) await body.write(Buffer.from(piece));
    await body.end();
  } catch {
    // The client went away in the middle of its answer, so there is nobody to tell.
    body.fail();
  }
};

function* pieces(parts: Parts): Generator<string> {
  let piece = '';
  for (const part of parts) {
    piece += part;
    if (piece.length < pieceChars) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}
