import type { Duplex } from 'node:stream';
import { BodyBroken, type HttpAnswer, type HttpBody, type HttpRequest } from '../drivers/http/http.ts';
import type { AnswerHead, ClientFor, Sink } from '../objects/client.ts';

/** The client of one HTTP request. */
export interface HttpClient {
  readonly of: ClientFor;
  /** Whether it only asks whether this is the right host: what it has to send follows in another request. */
  sendsNothing(): Promise<boolean>;
  /** Sends the end of its answer. */
  finish(): Promise<void>;
  /** Whether it was said already that all is well, so that only a cut can tell that it is not. */
  begun(): boolean;
}

/** A client that does not know how long its stream is says this length and cuts the connection at the end. */
const unknownLength = 1n << 50n;
/** The last bytes of an answer, which wait until the work has settled. */
const tailBytes = 4_096;

const uncached = { 'Cache-Control': 'no-cache, no-store' };
const noType = { 'Content-Type': 'application/octet-stream', ...uncached };

const noDuplex = (): never => {
  throw new Error('Only an action that is declared as duplex opens its client');
};

/** Of an action that takes a body or gives one. */
export const bodyClient = (request: HttpRequest, answer: HttpAnswer): HttpClient => {
  const said = request.contentLength();
  const sizeBytes = said === unknownLength ? undefined : said;
  let sink: Tail | undefined;
  let chunks = request.chunks;
  const welcome = (): void => {
    if (!answer.begun()) answer.early(200, noType);
  };
  return {
    of: (signal) => ({
      sizeBytes,
      body: () => {
        // Clients of HTTP/1.0 send theirs only after they have seen this.
        if (request.httpVersion === '1.0') welcome();
        return bodyOf(chunks(), signal, said === unknownLength);
      },
      answer: (head) => {
        sink = tailOf(answer.begin(200, headersOf(head)), signal);
        return sink;
      },
      open: noDuplex,
    }),
    sendsNothing: async () => {
      if (said !== unknownLength) return said === 0n;
      // It announces what it does not know in its question too, and waits for a word.
      welcome();
      const begun = await begunOf(request.chunks());
      if (begun !== undefined) chunks = () => begun;
      return begun === undefined;
    },
    // Where 200 was said early, this is the end of it.
    finish: async () => (sink === undefined ? answer.send(200, noType, []) : sink.end()),
    begun: answer.begun,
  };
};

const headersOf = ({ type, sizeBytes, name }: AnswerHead): Readonly<Record<string, string>> => ({
  ...{ 'Content-Type': type, ...uncached },
  ...(sizeBytes !== undefined && { 'Content-Length': String(sizeBytes) }),
  ...(name !== undefined && { 'Content-Disposition': `attachment; filename="${name}"` }),
});

/** The chunks once the first is there; undefined where none comes. */
const begunOf = async (chunks: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array> | undefined> => {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next().catch(unlessBroken);
  if (first === undefined || first.done === true) return undefined;
  return (async function* () {
    yield first.value;
    yield* { [Symbol.asyncIterator]: () => iterator };
  })();
};

const unlessBroken = (error: unknown): undefined => {
  if (!(error instanceof BodyBroken)) throw error;
};

async function* bodyOf(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  openEnded: boolean,
): AsyncGenerator<Uint8Array> {
  try {
    yield* unlessAborted(chunks, signal);
  } catch (error) {
    if (!openEnded) throw error;
    unlessBroken(error);
  }
}

/** The items until the signal is aborted, also while there is none for long. */
async function* unlessAborted<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]();
  const next = (): Promise<IteratorResult<T>> =>
    new Promise((resolve, reject) => {
      const abort = (): void => reject(signal.reason);
      if (signal.aborted) return abort();
      // One listener for each item: one promise for all of them would remember every item that raced it.
      signal.addEventListener('abort', abort, { once: true });
      const release = (): void => signal.removeEventListener('abort', abort);
      iterator.next().then(resolve, reject).finally(release);
    });
  try {
    for (let item = await next(); item.done !== true; item = await next()) yield item.value;
  } finally {
    // Not awaited: what it waits for comes or ends with the connection.
    iterator.return?.().catch(() => undefined);
  }
}

interface Tail extends Sink {
  end(): Promise<void>;
}

/**
 * Keeps the last bytes back until the end: a client that has all of them may do next what the work still
 * keeps from it. A client that takes nothing is cut off with the signal, so that it does not hold what was
 * cancelled.
 */
const tailOf = (body: HttpBody, signal: AbortSignal): Tail => {
  let tail: Uint8Array = new Uint8Array(0);
  signal.addEventListener('abort', body.fail, { once: true });
  return {
    write: async (chunk) => {
      signal.throwIfAborted();
      const rest = Math.max(0, chunk.length - tailBytes);
      const due = [tail, chunk.subarray(0, rest)].filter(({ length }) => length > 0);
      tail = Uint8Array.prototype.slice.call(chunk, rest);
      await body.write(...due);
    },
    end: async () => {
      if (tail.length > 0) await body.write(tail);
      await body.end();
    },
  };
};

/** Of an action that is `duplex`: `accept` lets the client in. */
export const duplexClient = (accept: () => Promise<Duplex>): HttpClient => {
  let open: Duplex | undefined;
  return {
    of: () => ({
      sizeBytes: undefined,
      body: noBody,
      answer: noBody,
      open: async () => {
        open = await accept();
        return open;
      },
    }),
    sendsNothing: async () => false,
    finish: async () => void open?.destroy(),
    begun: () => open !== undefined,
  };
};

const noBody = (): never => {
  throw new Error('An action that is declared as duplex has no body');
};
