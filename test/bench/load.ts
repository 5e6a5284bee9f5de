// The clients of the benchmarks, all in one process of their own.
import { setTimeout as pause } from 'node:timers/promises';
import { answer } from './child.ts';
import { inParallel, quantile, secondsOf } from './figures.ts';
import { bodyOf, openWire, type Wire } from './wire.ts';

export interface Target {
  readonly port: number;
  readonly request: Uint8Array;
}

export interface Latencies {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const latencies = (ms: readonly number[]): Latencies => ({
  count: ms.length,
  p50Ms: quantile(ms, 0.5),
  p99Ms: quantile(ms, 0.99),
  maxMs: Math.max(...ms),
});

const wires = new Map<number, Wire[]>();

/** Connections are opened once and kept from slice to slice. */
const connected = async (port: number, count: number): Promise<readonly Wire[]> => {
  const open = wires.get(port) ?? [];
  wires.set(port, open);
  const more = Math.max(0, count - open.length);
  await inParallel(more, 100, async () => open.push(await openWire(port)));
  return open.slice(0, count);
};

const asked = async (wire: Wire, request: Uint8Array): Promise<number> => {
  const startMs = performance.now();
  const { head } = await wire.ask(request);
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(head);
  return performance.now() - startMs;
};

/**
 * Asks for the next turn until the time is over. A process that sleeps must be woken by the server for
 * each answer, which is dear between virtual processors, and the faster a server the less often it is.
 */
const stayAwake = (endMs: number): void => {
  if (performance.now() < endMs) setImmediate(stayAwake, endMs);
};

/** Calls one after the other for as long as `goOn` says, `restMs` between two. */
const probe = async (
  { port, request }: Target,
  goOn: () => boolean,
  restMs = 0,
): Promise<readonly number[]> => {
  const wire = await openWire(port);
  const ms: number[] = [];
  while (goOn()) {
    ms.push(await asked(wire, request));
    if (restMs > 0) await pause(restMs);
  }
  wire.close();
  return ms;
};

let stopProbe: () => Promise<readonly number[]> = async () => [];

const commands = {
  /** As many calls as go into a slice of time; answers calls for each second. */
  slice: async (given: {
    target: Target;
    connections: number;
    ms: number;
    /** Instead of the target's: one request after the other, each connection its own. */
    requests?: readonly Uint8Array[];
  }): Promise<number> => {
    const { target, connections, ms } = given;
    const requests = given.requests ?? [target.request];
    const open = await connected(target.port, connections);
    let calls = 0;
    const endMs = performance.now() + ms;
    stayAwake(endMs);
    const seconds = await secondsOf(() => {
      return Promise.all(
        open.map(async (wire, i) => {
          for (let n = i; performance.now() < endMs; n += connections) {
            await asked(wire, requests[n % requests.length] as Uint8Array);
            calls += 1;
          }
        }),
      );
    });
    return calls / seconds;
  },

  /** One answer, timed to its last byte; with a probe, the latencies of small calls meanwhile. */
  fetch: async ({ target, meanwhile }: { target: Target; meanwhile?: Target }) => {
    const [wire] = await connected(target.port, 1);
    let done = false;
    const probing = meanwhile === undefined ? undefined : probe(meanwhile, () => !done);
    const startMs = performance.now();
    const { bodyBytes } = await (wire as Wire).ask(target.request);
    const ms = performance.now() - startMs;
    done = true;
    return { ms, bodyBytes, meanwhile: latencies((await probing) ?? [0]) };
  },

  /** Small calls now and then until `probed` is asked, which answers how long they took. */
  probe: async ({ target, restMs }: { target: Target; restMs: number }): Promise<void> => {
    let done = false;
    const ms = probe(target, () => !done, restMs);
    stopProbe = () => {
      done = true;
      return ms;
    };
  },
  probed: async (_: null): Promise<Latencies> => latencies(await stopProbe()),

  /** All wait for the answer of one request each; then one change is made. How long after it was sent each saw it. */
  waiters: async (given: { target: Target; count: number; change: Target; settled: Target }) => {
    const { target, count, change, settled } = given;
    const open = await connected(target.port, count);
    const [changer] = await Promise.all([openWire(change.port)]);
    let sentMs = 0;
    const waiting = Promise.all(
      open.map(async (wire) => {
        const { bodyBytes } = await wire.ask(target.request);
        return { ms: performance.now() - sentMs, bodyBytes };
      }),
    );
    // Whoever waits has been let in once the server has answered a call that was sent after all of theirs.
    for (let i = 0; i < 20; i++) await changer.ask(settled.request);
    sentMs = performance.now();
    await changer.ask(change.request);
    const seen = await waiting;
    changer.close();
    return {
      ...latencies(seen.map(({ ms }) => ms)),
      leastBytes: Math.min(...seen.map((one) => one.bodyBytes)),
    };
  },

  /** Opens connections, makes one call on each and leaves them open. */
  idle: async ({ target, count }: { target: Target; count: number }): Promise<void> => {
    const open = await connected(target.port, count);
    await inParallel(open.length, 64, (i) => asked(open[i] as Wire, target.request));
  },

  /** The text of one answer. */
  text: async ({ target }: { target: Target }): Promise<string> => {
    const wire = await openWire(target.port, true);
    const found = await wire.ask(target.request);
    wire.close();
    return bodyOf(found);
  },

  /** Every one of `requests` once, over so many connections; answers the seconds that took. */
  all: async (given: {
    port: number;
    requests: readonly Uint8Array[];
    connections: number;
  }): Promise<number> => {
    const open = await connected(given.port, given.connections);
    return secondsOf(() =>
      inParallel(given.requests.length, given.connections, (i, worker) =>
        asked(open[worker] as Wire, given.requests[i] as Uint8Array),
      ),
    );
  },

  /** Closes every connection. */
  hangUp: async (_: null): Promise<void> => {
    for (const open of wires.values()) for (const wire of open) wire.close();
    wires.clear();
  },
};

export type Load = typeof commands;
answer(commands);
