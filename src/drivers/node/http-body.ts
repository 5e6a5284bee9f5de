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

/**
 * The whole body. A body that is announced too large is refused before a byte of it is read. This
 * is the way of every call, so it does without a generator, and without a timer where it can.
 */
export const bodyBytes = (exchange: Exchange, bytesMax: number, rules: BodyRules): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const { source, incoming } = exchange;
    const announced = Number(incoming.headers['content-length'] ?? Number.NaN);
    if (announced > bytesMax) throw new BodyTooLarge(bytesMax);
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    let idle: NodeJS.Timeout | undefined;
    let settled = false;
    const settle = (error: Error | undefined): void => {
      if (settled) return;
      settled = true;
      clearTimeout(idle);
      if (error) {
        source.pause();
        reject(error);
      } else {
        resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, sizeBytes));
      }
    };
    const look = (): void => {
      if (!isArriving(exchange)) settle(isWhole(exchange) ? undefined : broken(exchange));
    };
    exchange.wake = look;
    source.on('end', look);
    source.on('close', look);
    source.on('data', (chunk: Buffer) => {
      if (settled) return;
      chunks.push(chunk);
      sizeBytes += chunk.length;
      idle?.refresh();
      if (sizeBytes > bytesMax) settle(new BodyTooLarge(bytesMax));
    });
    rules.invite();
    // Most bodies come in one piece with their head and have been taken by then: no timer for them.
    process.nextTick(() => {
      if (!settled && sizeBytes !== announced)
        idle = setTimeout(fallSilent, rules.idleMs, exchange, rules.idleMs);
    });
  });

const broken = (exchange: Exchange): BodyBroken =>
  new BodyBroken(exchange.broken ?? 'The client went away before the end of its body');

/** A body of which nothing came for too long takes its connection with it. */
const fallSilent = (exchange: Exchange, idleMs: number): void => {
  exchange.broken = `Nothing of the body arrived for ${idleMs} ms`;
  exchange.socket.destroy();
  exchange.wake();
};

/** Resolves when something about the body has changed. */
const change = (exchange: Exchange, idleMs: number): Promise<void> =>
  new Promise((resolve) => {
    const idle = setTimeout(() => fallSilent(exchange, idleMs), idleMs);
    exchange.wake = () => {
      clearTimeout(idle);
      exchange.wake = () => {};
      resolve();
    };
  });
