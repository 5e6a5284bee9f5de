// QMP, the control protocol of QEMU: lines of JSON over a stream. The emulator greets, then takes
// commands and answers each by its id; events come in between at any time.

import type { Duplex } from 'node:stream';
import type { Network } from '../../../drivers/network.ts';
import { type Said, type Spelt, said } from '../../../std/allowed.ts';
import type { Clock } from '../../../std/clock.ts';
import { jsonIn, membersOf, noMembers } from '../../../std/reader.ts';

export interface Qmp {
  /** Answers what the command returned; rejects with `QmpFailure`. */
  execute<const C extends string>(command: C & Spelt<C>, args?: Said, timeoutMs?: number): Promise<unknown>;
  /** Calls `listener` with every event until the returned function is called. */
  onEvent(listener: (event: QmpEvent) => void): () => void;
  /** Ends the connection; the guest goes on. `onClose` is not called. */
  close(): void;
}

export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** `refused` is the emulator's own answer, `absent` that it has no such device; after the others nothing is
 * known about the command. */
export class QmpFailure extends Error {
  readonly reason: 'refused' | 'absent' | 'closed' | 'timeout' | 'busy';

  constructor(reason: QmpFailure['reason'], message: string) {
    super(message);
    this.name = 'QmpFailure';
    this.reason = reason;
  }
}

export interface QmpLimits {
  /** Of one answer or event. A longer one ends the connection. */
  readonly lineBytesMax: number;
  /** Commands without an answer. One more is refused with `busy`. */
  readonly waitingMax: number;
  /** How long a command, the connection and the greeting may each take unless told otherwise. */
  readonly answerMsMax: number;
}

export const qmpLimits: QmpLimits = { lineBytesMax: 4 * 1024 * 1024, waitingMax: 64, answerMsMax: 30_000 };

export interface QmpOptions {
  readonly socketPath: string;
  readonly network: Network;
  readonly clock: Clock;
  /** The other side went away, or what it said made no sense. */
  readonly onClose: (error: QmpFailure) => void;
  /** Told how much came, for whoever keeps a log of it. */
  readonly onReceived?: (sizeBytes: number) => void;
  readonly limits?: QmpLimits;
}

export const connectQmp = async (options: QmpOptions): Promise<Qmp> => {
  const limits = options.limits ?? qmpLimits;
  const timeoutMs = limits.answerMsMax;
  const stream = await options.network.connect({ socketPath: options.socketPath }, { timeoutMs });
  const session = qmpSession(stream, options, limits);
  try {
    await session.greeted;
    await session.qmp.execute('qmp_capabilities');
    session.ready();
    return session.qmp;
  } catch (error) {
    session.qmp.close();
    throw error;
  }
};

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: QmpFailure) => void;
  readonly cancelTimeout: () => void;
}

/** The id under which the greeting is waited for; commands count from 1. */
const GREETING = 0;

const nothing = said({});

const qmpSession = (stream: Duplex, options: QmpOptions, limits: QmpLimits) => {
  const waiting = new Map<number, Waiting>();
  const listeners = new Set<(event: QmpEvent) => void>();
  let lastId = 0;
  let ended: QmpFailure | undefined;
  let isReady = false;

  const end = (error: QmpFailure): void => {
    if (ended) return;
    ended = error;
    stream.destroy();
    for (const one of waiting.values()) {
      one.cancelTimeout();
      one.reject(error);
    }
    waiting.clear();
  };
  const lost = (why: string): void => {
    if (ended) return;
    const failure = new QmpFailure('closed', `the emulator's control connection ended: ${why}`);
    end(failure);
    if (isReady) options.onClose(failure);
  };
  const answerTo = (id: number, what: string, timeoutMs: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const cancelTimeout = options.clock.after(timeoutMs, () => {
        waiting.delete(id);
        reject(new QmpFailure('timeout', `the emulator did not answer ${what} within ${timeoutMs} ms`));
      });
      waiting.set(id, { resolve, reject, cancelTimeout });
    });
  const finishCall = (id: number, how: (one: Waiting) => void): void => {
    const one = waiting.get(id);
    // An answer that came after its timeout.
    if (!one) return;
    waiting.delete(id);
    one.cancelTimeout();
    how(one);
  };

  const receive = (line: string): void => {
    const message = parseMessage(line);
    if (!message) lost('it sent a line that is not a JSON object');
    else if ('QMP' in message) finishCall(GREETING, (one) => one.resolve(undefined));
    else if (typeof message['event'] === 'string') {
      const event = { name: message['event'], data: membersOf(message['data']) };
      for (const listener of [...listeners]) listener(event);
    } else if (typeof message['id'] === 'number') answered(message['id'], message);
  };
  const answered = (id: number, message: Readonly<Record<string, unknown>>): void => {
    if (!('error' in message)) {
      finishCall(id, (one) => one.resolve(message['return']));
      return;
    }
    const { class: kind, desc } = membersOf(message['error']);
    const reason = kind === 'DeviceNotFound' ? 'absent' : 'refused';
    finishCall(id, (one) => one.reject(new QmpFailure(reason, String(desc ?? 'no reason given'))));
  };

  const split = splitLines(limits.lineBytesMax, receive, () => lost('a line was over the limit'));
  stream.on('data', (chunk: Buffer) => {
    options.onReceived?.(chunk.length);
    split(chunk);
  });
  stream.on('error', (error) => lost(error.message));
  stream.on('close', () => lost('it was closed'));
  const greeted = answerTo(GREETING, 'with its greeting', limits.answerMsMax);
  greeted.catch(() => {});

  const qmp: Qmp = {
    execute: (command, args = nothing, timeoutMs = limits.answerMsMax) => {
      if (ended) return Promise.reject(ended);
      if (waiting.size >= limits.waitingMax) {
        return Promise.reject(new QmpFailure('busy', `${limits.waitingMax} commands are already waiting`));
      }
      lastId += 1;
      const answer = answerTo(lastId, command, timeoutMs);
      stream.write(`${JSON.stringify({ execute: command, arguments: args, id: lastId })}\n`);
      return answer;
    },
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => end(new QmpFailure('closed', 'the control connection was closed by this side')),
  };
  return {
    qmp,
    greeted,
    ready: () => {
      isReady = true;
    },
  };
};

/** Resolves with the first event that `wanted` accepts, started before the command that causes it. */
export const nextEvent = (
  qmp: Qmp,
  clock: Clock,
  wanted: (event: QmpEvent) => boolean,
  timeoutMs: number,
): { readonly arrived: Promise<QmpEvent | undefined>; readonly stop: () => void } => {
  let stop = (): void => {};
  const arrived = new Promise<QmpEvent | undefined>((resolve) => {
    const cancelTimeout = clock.after(timeoutMs, () => finish(undefined));
    const unlisten = qmp.onEvent((event) => {
      if (wanted(event)) finish(event);
    });
    const finish = (event: QmpEvent | undefined): void => {
      cancelTimeout();
      unlisten();
      resolve(event);
    };
    stop = () => finish(undefined);
  });
  return { arrived, stop };
};

/** The events in a text of QMP lines; what is cut off or not an event is passed over. */
export const eventsIn = (text: string): QmpEvent[] =>
  text.split('\n').flatMap((line) => {
    const message = parseMessage(line);
    return typeof message?.['event'] === 'string'
      ? [{ name: message['event'], data: membersOf(message['data']) }]
      : [];
  });

/** Undefined for what is no object of JSON. */
const parseMessage = (line: string): Readonly<Record<string, unknown>> | undefined => {
  const message = membersOf(jsonIn(line));
  return message === noMembers ? undefined : message;
};

const NEWLINE = 0x0a;

/** Takes chunks and hands over whole lines. Splits bytes, because a chunk may end inside a character. */
export const splitLines = (bytesMax: number, onLine: (line: string) => void, onTooLong: () => void) => {
  let parts: Buffer[] = [];
  let sizeBytes = 0;
  return (chunk: Buffer): void => {
    let rest = chunk;
    for (let at = rest.indexOf(NEWLINE); at >= 0; at = rest.indexOf(NEWLINE)) {
      const line = Buffer.concat([...parts, rest.subarray(0, at)])
        .toString('utf8')
        .trim();
      parts = [];
      sizeBytes = 0;
      rest = rest.subarray(at + 1);
      if (line !== '') onLine(line);
    }
    sizeBytes += rest.length;
    if (sizeBytes > bytesMax) onTooLong();
    else if (rest.length > 0) parts.push(rest);
  };
};
