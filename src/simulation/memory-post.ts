import type { Duplex } from 'node:stream';
import {
  type Endpoint,
  NetworkFailure,
  type PostHandler,
  type PostOptions,
  type ServeLimits,
} from '../drivers/network.ts';
import type { Life } from './life.ts';
import type { StreamPair } from './memory-stream.ts';

/** What becomes of a call. */
export type PostFate = 'arrives' | 'refused' | 'call-lost' | 'answer-lost' | 'cut-before' | 'cut-after';

/** Somebody who listens somewhere. */
export interface Listener {
  readonly life: Life;
  /** Undefined: only raw streams are taken. */
  readonly handle: PostHandler | undefined;
  readonly limits: ServeLimits;
  readonly onConnection: ((stream: Duplex) => void) | undefined;
  readonly connectionsMax: number;
  /**
   * Calls that were accepted and are not answered. Each ends, when it is called, as a call whose server has
   * gone.
   */
  readonly exchanges: Set<() => void>;
  readonly streams: Set<StreamPair>;
}

/** What calls and streams need of the network that they go over. */
export interface Wiring {
  readonly delayMs: () => number;
  readonly fate: () => PostFate;
  readonly find: (machine: string, to: Endpoint) => Listener | undefined;
  readonly note: (...parts: readonly (string | number)[]) => void;
}

/** A process, and the machine that it is on. */
export interface PostSender {
  readonly machine: string;
  readonly life: Life;
}

export interface Post {
  readonly to: Endpoint;
  readonly path: string;
  readonly body: string;
  readonly options: PostOptions;
}

export interface PostAnswer {
  readonly status: number;
  readonly body: string;
}

export const placeOf = (to: Endpoint): string =>
  'socketPath' in to ? to.socketPath : `${to.host}:${to.port}`;

/** One call over the network: there, its work, and back; each of them may fail. */
export const postInMemory = (
  wiring: Wiring,
  { machine, life }: PostSender,
  post: Post,
): Promise<PostAnswer> =>
  new Promise((resolve, reject) => {
    const { to, options } = post;
    const gone = new AbortController();
    let hangUp = (): void => gone.abort();
    let over = false;
    const finish = (end: () => void): void => {
      if (over) return;
      over = true;
      cancelTimeout();
      forgetEnd();
      options.signal?.removeEventListener('abort', abort);
      end();
    };
    const fail = (reason: NetworkFailure['reason'], message: string): void =>
      finish(() => reject(new NetworkFailure(reason, message)));
    const abort = (): void => {
      fail('aborted', `The call to ${placeOf(to)} was aborted`);
      hangUp();
    };
    const cancelTimeout = life.after(options.timeoutMs, () => {
      fail('timeout', `${placeOf(to)} did not answer within ${options.timeoutMs} ms`);
      hangUp();
    });
    const forgetEnd = life.onEnd(() => hangUp());
    options.signal?.addEventListener('abort', abort, { once: true });
    if (options.signal?.aborted) return abort();

    /** After the way back. */
    const later = (run: () => void): void => {
      life.after(wiring.delayMs(), run);
    };
    const fate = wiring.fate();
    wiring.note('post', machine, placeOf(to), fate, post.body.length);
    life.after(wiring.delayMs(), () => {
      if (fate === 'call-lost') return;
      if (fate === 'cut-before') return later(closed);
      const listener = fate === 'refused' ? undefined : wiring.find(machine, to);
      if (listener?.handle === undefined) {
        return later(() => fail('refused', `Nobody answers at ${placeOf(to)}`));
      }
      hangUp = () => {
        listener.life.after(wiring.delayMs(), () => gone.abort());
      };
      serveOne(listener, { ...post, signal: gone.signal }, back, () => later(closed));
    });
    const closed = (): void => fail('closed', `${placeOf(to)} closed the connection`);
    const back = (answer: PostAnswer): void => {
      if (fate === 'answer-lost') return;
      if (fate === 'cut-after') {
        later(closed);
        return;
      }
      const tooLarge = Buffer.byteLength(answer.body) > options.responseMax;
      later(() => {
        if (tooLarge) fail('too-large', `A body is over the limit of ${options.responseMax} bytes`);
        else finish(() => resolve(answer));
      });
    };
  });

/** The server's part. It answers once, unless its end cuts the connection. */
const serveOne = (
  listener: Listener,
  call: { readonly path: string; readonly body: string; readonly signal: AbortSignal },
  back: (answer: PostAnswer) => void,
  cut: () => void,
): void => {
  const { life, limits, exchanges, handle } = listener;
  exchanges.add(cut);
  const done = (answer: PostAnswer): void => {
    // A process that has ended says nothing more.
    if (exchanges.delete(cut) && life.state !== 'ended') back(answer);
  };
  const failed = (error: unknown): void =>
    done({ status: 500, body: `${error instanceof Error ? error.message : String(error)}\n` });
  life.after(0, () => {
    if (handle === undefined || !exchanges.has(cut)) return;
    if (Buffer.byteLength(call.body) > limits.bodyMax) {
      return done({ status: 413, body: `A body is over the limit of ${limits.bodyMax} bytes\n` });
    }
    const { path, body, signal } = call;
    const answered = async () => handle({ method: 'POST', path, body, signal });
    answered().then(done, failed);
  });
};
