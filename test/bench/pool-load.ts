// The clients of the benchmarks of a pool of hosts, all in one process and so by one clock.
import { setTimeout as pause } from 'node:timers/promises';
import { answer } from './child.ts';
import { bodyOf, openWire, type Wire } from './wire.ts';

/** Requests to one port, one after the other. */
export interface Series {
  readonly port: number;
  readonly requests: readonly Uint8Array[];
}

/** Fails where the answer is none of success. */
const asked = async (wire: Wire, request: Uint8Array): Promise<string> => {
  const answered = await wire.ask(request);
  const body = bodyOf(answered);
  if (!answered.head.startsWith('HTTP/1.1 200') || !body.includes('<value>Success</value>')) {
    throw new Error(`${answered.head}\n${body}`);
  }
  return body;
};

/** A paced series of writes to one object, each with a number one higher than the last. */
interface Written {
  readonly sentMs: number[];
  readonly answeredMs: number[];
  /** When each reader had first read it, or something later. */
  readonly readMs: number[][];
}

/** Reads between which nothing is asked: they must not be what the hosts are busy with. */
const pollMs = 2;
const patienceMs = 10_000;

/** What each object holds: the number of its writer and of the write. */
const marks = /\bw(\d+)-(\d+)\b/g;

const note = (written: readonly Written[], reader: number, body: string, nowMs: number): void => {
  for (const [, writer, number] of body.matchAll(marks)) {
    const seen = written[Number(writer)]?.readMs[reader];
    while (seen !== undefined && seen.length <= Number(number)) seen.push(nowMs);
  }
};

const commands = {
  /** Every first request, then every second and so on, so that all suffer alike from what else the machine does. */
  turns: async (series: readonly Series[]): Promise<readonly (readonly number[])[]> => {
    const wires = await Promise.all(series.map(({ port }) => openWire(port, true)));
    const taken: number[][] = series.map(() => []);
    for (let round = 0; round < Math.min(...series.map(({ requests }) => requests.length)); round++) {
      for (const [i, { requests }] of series.entries()) {
        const startMs = performance.now();
        await asked(wires[i] as Wire, requests[round] as Uint8Array);
        taken[i]?.push(performance.now() - startMs);
      }
    }
    for (const wire of wires) wire.close();
    return taken;
  },

  /**
   * Each writer has an object of its own; together they write so often a second. Readers read all objects again
   * and again until they have read the last of all. Answers how long after a write was sent, and after it was
   * answered, all readers had it.
   */
  replicate: async (given: {
    readonly writers: readonly Series[];
    readonly readers: readonly { readonly port: number; readonly request: Uint8Array }[];
    readonly perSecond: number;
  }) => {
    const { writers, readers, perSecond } = given;
    const written: readonly Written[] = writers.map(() => ({
      sentMs: [],
      answeredMs: [],
      readMs: readers.map(() => []),
    }));
    const open = await Promise.all(writers.map(({ port }) => openWire(port, true)));
    const beganMs = performance.now();
    const write = async ({ requests }: Series, writer: number): Promise<void> => {
      const { sentMs, answeredMs } = written[writer] as Written;
      for (const [n, request] of requests.entries()) {
        const dueMs = beganMs + ((n * writers.length + writer) * 1_000) / perSecond;
        const waitMs = dueMs - performance.now();
        if (waitMs > 0) await pause(waitMs);
        sentMs.push(performance.now());
        await asked(open[writer] as Wire, request);
        answeredMs.push(performance.now());
      }
    };
    let lastMs = Number.POSITIVE_INFINITY;
    const read = async (reader: (typeof readers)[number], i: number): Promise<void> => {
      const wire = await openWire(reader.port, true);
      const isOver = (): boolean => written.every(({ readMs }, w) => readMs[i]?.length === lengthOf(w));
      const lengthOf = (writer: number): number | undefined => writers[writer]?.requests.length;
      while (!isOver()) {
        const body = await asked(wire, reader.request);
        note(written, i, body, performance.now());
        if (performance.now() > lastMs + patienceMs) throw new Error('A member never showed a write');
        await pause(pollMs);
      }
      wire.close();
    };
    const writing = Promise.all(writers.map(write)).then(() => {
      lastMs = performance.now();
    });
    await Promise.all([writing, ...readers.map(read)]);
    for (const wire of open) wire.close();
    const since = (from: 'sentMs' | 'answeredMs'): readonly number[] =>
      written.flatMap((one) =>
        one[from].map((ms, n) => Math.max(0, ...one.readMs.map((read) => (read[n] as number) - ms))),
      );
    const count = writers.reduce((sum, { requests }) => sum + requests.length, 0);
    return {
      perSecond: (count * 1_000) / (lastMs - beganMs),
      sinceSentMs: since('sentMs'),
      sinceAnsweredMs: since('answeredMs'),
    };
  },
};

export type PoolLoad = typeof commands;
answer(commands);
