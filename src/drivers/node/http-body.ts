import { BodyBroken, BodyTooLarge } from '../http/http.ts';
import { type Exchange, isArriving, isWhole } from './http-exchange.ts';

/** What the reader of a body needs beside the exchange. */
export interface BodyRules {
  readonly idleMs: number;
  /** Called before the first wait: a client that expects it is told to send. */
  readonly invite: () => void;
}

/** The body as it arrives. All that arrived before the body broke is given first. */
export async function* bodyChunks(exchange: Exchange, rules: BodyRules): AsyncGenerator<Uint8Array> {
  const { source } = exchange;
  const woken = (): void => exchange.wake();
  for (const event of BODY_EVENTS) source.on(event, woken);
  rules.invite();
  try {
    for (;;) {
      const chunk: Uint8Array | null = source.read();
      if (chunk !== null) yield chunk;
      else if (isArriving(exchange)) await change(exchange, rules.idleMs);
      else break;
    }
  } finally {
    for (const event of BODY_EVENTS) source.off(event, woken);
  }
  if (!isWhole(exchange))
    throw new BodyBroken(exchange.broken ?? 'The client went away before the end of its body');
}

/** After an error the stream says `close`, so errors only need a listener. */
const BODY_EVENTS = ['readable', 'end', 'close', 'error'] as const;

/** The whole body. A body that is announced too large is refused before a byte of it is read. */
export const bodyText = async (exchange: Exchange, bytesMax: number, rules: BodyRules): Promise<string> => {
  const announced = exchange.incoming.headers['content-length'];
  if (announced !== undefined && Number(announced) > bytesMax) throw new BodyTooLarge(bytesMax);
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of bodyChunks(exchange, rules)) {
    sizeBytes += chunk.length;
    if (sizeBytes > bytesMax) throw new BodyTooLarge(bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, sizeBytes).toString('utf8');
};

/** Resolves when something about the body has changed; after too long a silence the connection is closed. */
const change = (exchange: Exchange, idleMs: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => {
      exchange.broken = `Nothing of the body arrived for ${idleMs} ms`;
      exchange.socket.destroy();
      exchange.wake();
    }, idleMs);
    exchange.wake = () => {
      clearTimeout(timer);
      exchange.wake = () => {};
      resolve();
    };
  });
