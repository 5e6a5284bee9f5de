import { BodyBroken, type HttpAnswer, type HttpBody } from '../http/http.ts';
import { closeAfterwards, cut, type Exchange, isArriving } from './http-exchange.ts';
import { sendShort } from './http-short-answer.ts';

/** Small parts of an answer are joined up to this size, large ones are written as they are. */
const PIECE_BYTES_MAX = 65_536;

export interface AnswerRules {
  /** A client that takes nothing of its answer for this long is cut off. */
  readonly idleMs: number;
  /** True when connections are to end after what they are doing. */
  readonly closing: () => boolean;
}

/** The answer of one exchange, which can be given once. */
export const httpAnswer = (exchange: Exchange, rules: AnswerRules): HttpAnswer => {
  const { response, socket } = exchange;
  let early = false;

  const start = (status: number, headers: Readonly<Record<string, string>>): void => {
    if (response.headersSent) throw new Error('The request was answered already');
    if (rules.closing()) response.shouldKeepAlive = false;
    if (isArriving(exchange) || exchange.broken !== undefined) closeAfterwards(exchange);
    response.writeHead(status, headers);
  };

  return {
    begun: () => response.headersSent,

    cut: () => cut(exchange),

    send(status, headers, parts) {
      if (early && !response.writableEnded) {
        // The head is gone already: all that can still be said is that the answer is over.
        response.end();
        return;
      }
      const pieces = piecesOf(parts);
      const [whole] = pieces;
      const isShort = whole !== undefined && pieces.length === 1 && hasBody(status) && !rules.closing();
      if (!isShort || !sendShort(exchange, status, headers, whole)) {
        start(status, hasBody(status) ? { 'Content-Length': String(sizeOf(pieces)), ...headers } : headers);
        const last = pieces.pop();
        for (const piece of pieces) response.write(piece);
        // The last piece goes with the end, which saves a write.
        response.end(last);
      }
      watchWrites(exchange, rules.idleMs);
    },

    begin(status, headers) {
      start(status, headers);
      response.strictContentLength = true;
      response.flushHeaders();
      return answerBody(exchange, rules.idleMs);
    },

    early(status, headers) {
      response.sendDate = false;
      response.useChunkedEncodingByDefault = false;
      start(status, headers);
      closeAfterwards(exchange);
      response.flushHeaders();
      socket.uncork();
      early = true;
    },
  };
};

const answerBody = (exchange: Exchange, idleMs: number): HttpBody => {
  const { response } = exchange;
  return {
    async write(...chunks) {
      if (hasLeft(exchange)) throw clientLeft();
      const last = chunks.length - 1;
      if (last < 0) return;
      // What is written in one turn goes out as one.
      await taken(exchange, idleMs, (done) => {
        for (const [at, chunk] of chunks.entries()) response.write(chunk, at === last ? done : undefined);
      });
    },

    async end() {
      if (hasLeft(exchange)) throw clientLeft();
      try {
        response.end();
      } catch (error) {
        // Fewer bytes than Content-Length said.
        cut(exchange);
        throw error;
      }
      // Before the server's own listener, which sets the time that the connection may stay idle.
      if (!response.writableFinished)
        await taken(exchange, idleMs, (done) => response.prependOnceListener('finish', done));
    },

    fail: () => cut(exchange),
  };
};

/**
 * Resolves when what `begin` asks for is done; rejects when the client goes away or takes nothing for too
 * long.
 */
const taken = (
  { response, socket }: Exchange,
  idleMs: number,
  begin: (done: (error?: Error | null) => void) => void,
): Promise<void> =>
  new Promise((resolve, reject) => {
    const detach = (): void => {
      response.off('close', left);
      socket.off('close', left);
    };
    const left = (): void => {
      detach();
      reject(clientLeft());
    };
    const done = (error?: Error | null): void => {
      detach();
      socket.setTimeout(0);
      // A response also finishes, so to speak, when its connection is destroyed.
      if (error || socket.destroyed) reject(clientLeft());
      else resolve();
    };
    socket.setTimeout(idleMs);
    response.once('close', left);
    socket.once('close', left);
    begin(done);
  });

/** The rest of an answer that was given as a whole is written while nobody waits for it. */
const watchWrites = ({ response, socket }: Exchange, idleMs: number): void => {
  if (socket.writableLength === 0) return;
  socket.setTimeout(idleMs);
  response.prependOnceListener('finish', () => socket.setTimeout(0));
};

const hasLeft = ({ response, socket }: Exchange): boolean => response.destroyed || socket.destroyed;

const clientLeft = (): BodyBroken => new BodyBroken('The client went away before the end of its answer');

const hasBody = (status: number): boolean => status !== 204 && status !== 304;

type Part = string | Uint8Array;

const sizeOf = (parts: readonly Part[]): number => {
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += typeof part === 'string' ? Buffer.byteLength(part) : part.length;
  return sizeBytes;
};

/** A list may have thousands of parts: one write for each costs more than joining them bit by bit. */
const piecesOf = (parts: readonly Part[]): Part[] => {
  const pieces: Part[] = [];
  let gathered: Part[] = [];
  let size = 0;
  for (const part of parts) {
    gathered.push(part);
    size += part.length;
    if (size < PIECE_BYTES_MAX) continue;
    pieces.push(joined(gathered));
    gathered = [];
    size = 0;
  }
  if (gathered.length > 0) pieces.push(joined(gathered));
  return pieces;
};

const joined = (parts: readonly Part[]): Part => {
  if (parts.length === 1) return parts[0] as Part;
  if (parts.every((part) => typeof part === 'string')) {
    let text = '';
    for (const part of parts) text += part;
    return text;
  }
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
};
