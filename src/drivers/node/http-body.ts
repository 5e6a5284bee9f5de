import { BodyBroken, BodyLate, type BodyLimits, BodyTooLarge } from '../http/http.ts';
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
export const bodyBytes = (exchange: Exchange, limits: BodyLimits, rules: BodyRules): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const { source, incoming } = exchange;
    const { bytesMax, withinMs, grown, signal } = limits;
    const announced = Number(incoming.headers['content-length'] ?? Number.NaN);
    if (announced > bytesMax) throw new BodyTooLarge(bytesMax);
    signal?.throwIfAborted();
    const body = gathering();
    let timers: readonly NodeJS.Timeout[] = [];
    let settled = false;
    const finish = (error: unknown): void => {
      if (settled) return;
      settled = true;
      for (const timer of timers) clearTimeout(timer);
      signal?.removeEventListener('abort', refuse);
      if (error === undefined) resolve(body.whole());
      else {
        source.pause();
        reject(error);
      }
    };
    const refuse = (): void => finish(signal?.reason);
    signal?.addEventListener('abort', refuse, { once: true });
    const look = (): void => {
      if (!isArriving(exchange)) finish(isWhole(exchange) ? undefined : broken(exchange));
    };
    exchange.wake = look;
    source.on('end', look);
    source.on('close', look);
    source.on('data', (chunk: Buffer) => {
      if (settled) return;
      body.add(chunk);
      timers[0]?.refresh();
      if (body.sizeBytes > bytesMax) return finish(new BodyTooLarge(bytesMax));
      try {
        grown?.(body.sizeBytes, body.whole);
      } catch (error) {
        finish(error);
      }
    });
    rules.invite();
    // Most bodies come in one piece with their head and have been taken by then: no timers for them.
    process.nextTick(() => {
      if (settled || body.sizeBytes === announced) return;
      timers = [
        setTimeout(fallSilent, rules.idleMs, exchange, rules.idleMs),
        setTimeout(() => finish(new BodyLate(withinMs)), withinMs),
      ];
    });
  });

/** Pieces as one. Kept joined, for a piece of one byte costs as much memory as one of hundreds. */
const gathering = () => {
  let held: Buffer = Buffer.alloc(0);
  let sizeBytes = 0;
  return {
    get sizeBytes() {
      return sizeBytes;
    },
    add: (chunk: Buffer): void => {
      if (sizeBytes === 0) held = chunk;
      else {
        if (sizeBytes + chunk.length > held.length) {
          const wider = Buffer.allocUnsafeSlow(Math.max(2 * held.length, sizeBytes + chunk.length));
          held.copy(wider, 0, 0, sizeBytes);
          held = wider;
        }
        chunk.copy(held, sizeBytes);
      }
      sizeBytes += chunk.length;
    },
    whole: (): Buffer => held.subarray(0, sizeBytes),
  };
};

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
