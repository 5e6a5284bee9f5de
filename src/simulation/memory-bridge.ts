import type { Duplex } from 'node:stream';
import { NetworkFailure, type PostHandler, type ServeLimits } from '../drivers/network.ts';

// How a call goes where only bytes go: over a raw stream, such as one that a mesh carries to another machine.
// A line says what comes: `post LENGTH PATH`, `stream PATH`, or `STATUS LENGTH` of an answer. A body follows
// it.

/** A longer first line is nobody's who speaks this. */
const headBytesMax = 65_536;

interface Answer {
  readonly status: number;
  readonly body: string;
}

/**
 * Makes a call over a stream that is this call's alone. Rejects when the stream ends before its answer is
 * there.
 */
export const askOver = async (stream: Duplex, path: string, body: string): Promise<Answer> => {
  const bytes = Buffer.from(body);
  stream.write(`post ${bytes.length} ${path}\n`);
  stream.write(bytes);
  const { words, rest } = await readHead(stream);
  const [status, lengthBytes] = words.map(Number) as [number, number];
  const answer = { status, body: (await readBody(stream, rest, lengthBytes)).toString() };
  stream.destroy();
  return answer;
};

/** Asks for a stream of bytes at a path of its own. */
export const streamOver = (stream: Duplex, path: string): Duplex => {
  stream.write(`stream ${path}\n`);
  return stream;
};

/** The other end of both: serves whatever comes over a stream. */
export const serveOver = async (stream: Duplex, handle: PostHandler, limits: ServeLimits): Promise<void> => {
  try {
    const { words, rest } = await readHead(stream);
    const [kind, ...said] = words;
    if (kind !== 'post') {
      const [path = ''] = said;
      if (rest.length > 0) stream.unshift(rest);
      if (limits.onStream === undefined) stream.destroy();
      else limits.onStream(path, stream);
      return;
    }
    const [lengthBytes, path = ''] = [Number(said[0]), said[1]];
    if (lengthBytes > limits.bodyMax) return answerOver(stream, { status: 413, body: 'This is too long\n' });
    const body = (await readBody(stream, rest, lengthBytes)).toString();
    const gone = new AbortController();
    stream.once('close', () => gone.abort());
    // Read on, because a stream that nobody reads does not tell that it ended.
    stream.resume();
    answerOver(stream, await handle({ method: 'POST', path, body, signal: gone.signal }));
  } catch {
    stream.destroy();
  }
};

const answerOver = (stream: Duplex, { status, body }: Answer): void => {
  const bytes = Buffer.from(body);
  stream.write(`${status} ${bytes.length}\n`);
  stream.end(bytes);
};

/** The words of the first line, none of which has a space, and what came after it. */
const readHead = async (
  stream: Duplex,
): Promise<{ readonly words: readonly string[]; readonly rest: Buffer }> => {
  let read: Buffer = Buffer.alloc(0);
  for (;;) {
    const end = read.indexOf('\n');
    if (end >= 0) return { words: read.subarray(0, end).toString().split(' '), rest: read.subarray(end + 1) };
    if (read.length > headBytesMax) throw new NetworkFailure('too-large', 'The first line does not end');
    read = Buffer.concat([read, await nextPiece(stream)]);
  }
};

const readBody = async (stream: Duplex, start: Buffer, lengthBytes: number): Promise<Buffer> => {
  let read = start;
  while (read.length < lengthBytes) read = Buffer.concat([read, await nextPiece(stream)]);
  return read.subarray(0, lengthBytes);
};

/** The stream is paused between two pieces, so that nobody misses what comes. */
const nextPiece = (stream: Duplex): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const finish = (end: () => void): void => {
      stream.off('readable', look);
      stream.off('end', ended);
      stream.off('close', ended);
      end();
    };
    const look = (): void => {
      const piece = stream.read() as Buffer | null;
      if (piece !== null) finish(() => resolve(piece));
    };
    const ended = (): void => finish(() => reject(new NetworkFailure('closed', 'The connection was closed')));
    stream.on('readable', look);
    stream.once('end', ended);
    stream.once('close', ended);
    if (stream.destroyed || stream.readableEnded) ended();
    else look();
  });
