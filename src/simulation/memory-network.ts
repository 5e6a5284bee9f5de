import type { Duplex } from 'node:stream';
import { type Endpoint, type Network, NetworkFailure, type Serving } from '../drivers/network.ts';
import type { Life } from './life.ts';
import { askOver, serveOver, streamOver } from './memory-bridge.ts';
import {
  type Listener,
  type Post,
  type PostAnswer,
  type PostSender,
  placeOf,
  postInMemory,
  type Wiring,
} from './memory-post.ts';
import { type StreamPair, streamPair } from './memory-stream.ts';
import type { SeededRandom } from './random.ts';
import { noTrace, type Trace } from './trace.ts';

/** The network among the programs of simulated machines, and what goes wrong in it. */
export interface MemoryNetwork {
  /** The network as one process sees it. Sockets with a path are those of its machine. */
  of(machine: string, life: Life): Network;
  /** From now on. What is not given stays as it was. */
  set(conditions: Partial<NetworkConditions>): void;
  /** Calls and streams that were begun so far. */
  readonly begun: number;
}

export interface NetworkConditions {
  /** For each way, evenly between the two. */
  readonly delayMs: readonly [least: number, most: number];
  /** Of each call: nobody seems to listen. */
  readonly refusedChance: number;
  /** Of each call: it, or its answer, never arrives, so that only its time limit ends it. */
  readonly lostChance: number;
  /** Of each call: the connection ends before the call, or after it and before its answer. */
  readonly cutChance: number;
}

export const calm: NetworkConditions = { delayMs: [0, 0], refusedChance: 0, lostChance: 0, cutChance: 0 };

/** Ports that are handed out where any will do begin here. */
const firstFreePort = 49_152;

export const memoryNetwork = (given: {
  readonly random: SeededRandom;
  readonly trace?: Pick<Trace, 'note'>;
  readonly conditions?: Partial<NetworkConditions>;
}): MemoryNetwork => {
  const { random, trace = noTrace } = given;
  const listeners = new Map<string, Listener>();
  let conditions: NetworkConditions = { ...calm, ...given.conditions };
  let nextPort = firstFreePort;
  let begun = 0;

  const wiring: Wiring = {
    delayMs: () => between(random, conditions.delayMs),
    fate: () => {
      begun += 1;
      const { refusedChance, lostChance, cutChance } = conditions;
      if (happens(random, refusedChance)) return 'refused';
      if (happens(random, lostChance)) return random.chance(0.5) ? 'call-lost' : 'answer-lost';
      if (happens(random, cutChance)) return random.chance(0.5) ? 'cut-before' : 'cut-after';
      return 'arrives';
    },
    find: (machine, to) => listeners.get(keyOf(machine, to)),
    note: (...parts) => trace.note('network', ...parts),
  };
  const listenAs = (machine: string, on: Endpoint, listener: Listener): Serving => {
    let endpoint = on;
    if ('port' in on && on.port === 0) {
      endpoint = { host: on.host, port: nextPort };
      nextPort += 1;
    }
    const key = keyOf(machine, endpoint);
    if (listeners.has(key)) throw new NetworkFailure('in-use', `${placeOf(endpoint)} is taken`);
    listeners.set(key, listener);
    const stop = (): void => {
      if (listeners.get(key) === listener) listeners.delete(key);
      for (const cut of listener.exchanges) cut();
      listener.exchanges.clear();
      for (const pair of listener.streams) pair.cut();
    };
    const forget = listener.life.onEnd(stop);
    return {
      endpoint,
      close: async () => {
        forget();
        stop();
      },
    };
  };

  return {
    get begun() {
      return begun;
    },
    set: (changes) => {
      conditions = { ...conditions, ...changes };
    },
    of: (machine, life) => {
      const self: PostSender = { machine, life };
      const listener = (more: Pick<Listener, 'handle' | 'limits' | 'onConnection' | 'connectionsMax'>) => ({
        ...more,
        life,
        exchanges: new Set<() => void>(),
        streams: new Set<StreamPair>(),
      });
      return {
        post: (to, path, body, options) => {
          // Whoever takes raw streams only leads elsewhere, and the call goes along as bytes.
          const raw = listeners.get(keyOf(machine, to))?.handle === undefined;
          return raw && listeners.has(keyOf(machine, to))
            ? postOver(wiring, self, { to, path, body, options })
            : postInMemory(wiring, self, { to, path, body, options });
        },
        serve: async (on, handle, limits) => {
          const connectionsMax = Number.POSITIVE_INFINITY;
          const onConnection = (stream: Duplex): void => void serveOver(stream, handle, limits);
          return listenAs(machine, on, listener({ handle, limits, onConnection, connectionsMax }));
        },
        openStream: (to, path, { timeoutMs }) => openPath(wiring, self, { to, timeoutMs }, path),
        connect: (to, { timeoutMs }) =>
          open(wiring, self, { to, timeoutMs }, ({ onConnection }) => onConnection),
        listen: async (on, onConnection, { connectionsMax }) => {
          const limits = { bodyMax: 0 };
          return listenAs(machine, on, listener({ handle: undefined, limits, onConnection, connectionsMax }));
        },
      };
    },
  };
};

/** A stream at a path of a server, which may be behind whoever takes raw streams only. */
const openPath = async (
  wiring: Wiring,
  self: PostSender,
  how: { readonly to: Endpoint; readonly timeoutMs: number },
  path: string,
): Promise<Duplex> => {
  let raw = false;
  const stream = await open(wiring, self, how, ({ handle, limits: { onStream }, onConnection }) => {
    raw = handle === undefined;
    return raw ? onConnection : onStream && ((taken) => onStream(path, taken));
  });
  return raw ? streamOver(stream, path) : stream;
};

/** A call over a raw stream. */
const postOver = async (wiring: Wiring, self: PostSender, post: Post): Promise<PostAnswer> => {
  const { to, path, body, options } = post;
  const { timeoutMs, signal } = options;
  const stream = await open(wiring, self, { to, timeoutMs }, ({ onConnection }) => onConnection);
  let failure = new NetworkFailure('closed', `${placeOf(to)} closed the connection`);
  const cut = (reason: 'timeout' | 'aborted', message: string) => (): void => {
    failure = new NetworkFailure(reason, message);
    stream.destroy();
  };
  const late = cut('timeout', `${placeOf(to)} did not answer within ${timeoutMs} ms`);
  const abort = cut('aborted', `The call to ${placeOf(to)} was aborted`);
  const cancel = self.life.after(timeoutMs, late);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  try {
    return await askOver(stream, path, body);
  } catch {
    throw failure;
  } finally {
    cancel();
    signal?.removeEventListener('abort', abort);
  }
};

/** Opens a raw stream; `taker` answers who at the listener takes the far end, if anybody does. */
const open = (
  { delayMs, fate, find, note }: Wiring,
  { machine, life }: PostSender,
  { to, timeoutMs }: { readonly to: Endpoint; readonly timeoutMs: number },
  taker: (listener: Listener) => ((stream: Duplex) => void) | undefined,
): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    const what = fate();
    note('stream', machine, placeOf(to), what);
    const late = `${placeOf(to)} did not answer within ${timeoutMs} ms`;
    const cancel = life.after(timeoutMs, () => reject(new NetworkFailure('timeout', late)));
    const finish = (end: () => void): void => {
      life.after(delayMs(), () => {
        cancel();
        end();
      });
    };
    const refused = new NetworkFailure('refused', `Nobody answers at ${placeOf(to)}`);
    life.after(delayMs(), () => {
      if (what === 'call-lost' || what === 'answer-lost') return;
      const listener = what === 'arrives' ? find(machine, to) : undefined;
      const take = listener && taker(listener);
      if (listener === undefined || take === undefined) return finish(() => reject(refused));
      const pair = streamPair([life, listener.life], delayMs);
      const full = listener.streams.size >= listener.connectionsMax;
      if (!full) {
        listener.streams.add(pair);
        pair.onClosed(() => listener.streams.delete(pair));
        listener.life.after(0, () => take(pair.ends[1]));
      }
      finish(() => {
        resolve(pair.ends[0]);
        // Whoever connected sees a connection that ends at once.
        if (full) life.after(0, pair.cut);
      });
    });
  });

/** Where nothing is left to chance none is taken, so that what else follows from the seed stays as it was. */
const happens = (random: SeededRandom, chance: number): boolean => chance > 0 && random.chance(chance);

const between = (random: SeededRandom, [least, most]: readonly [number, number]): number =>
  most <= least ? least : least + random.fraction() * (most - least);

const keyOf = (machine: string, to: Endpoint): string =>
  'socketPath' in to ? `${machine} ${to.socketPath}` : `${to.host}:${to.port}`;
