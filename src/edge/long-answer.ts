import type { HttpAnswer } from '../drivers/http/http.ts';
import type { Clock } from '../std/clock.ts';
import { inSlices, type Parts, paceOf } from './encoding.ts';

/** Up to so many parts an answer is written at once: it is short, or its one long part cannot be cut anyway. */
const partsAtOnceMax = 64;
/** Parts are joined to pieces of about this size: not one write for each, and never all at once. */
const pieceBytes = 262_144;

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
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  await inSlices(clock, parts, (part) => {
    const chunk = typeof part === 'string' ? Buffer.from(part) : part;
    chunks.push(chunk);
    sizeBytes += chunk.length;
  });
  const body = answer.begin(200, { ...headers, 'Content-Length': String(sizeBytes) });
  try {
    const pace = paceOf(clock);
    for (const piece of pieces(chunks)) {
      await body.write(piece);
      // A client that reads as fast as this writes would leave nobody else a turn.
      if (pace.isOver()) await pace.rest();
    }
    await body.end();
  } catch {
    // The client went away in the middle of its answer, so there is nobody to tell.
    body.fail();
  }
};

function* pieces(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  let gathered: Uint8Array[] = [];
  let sizeBytes = 0;
  for (const chunk of chunks) {
    gathered.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes < pieceBytes) continue;
    yield Buffer.concat(gathered, sizeBytes);
    gathered = [];
    sizeBytes = 0;
  }
  yield Buffer.concat(gathered, sizeBytes);
}
