import type { Duplex } from 'node:stream';
import { type Endpoint, type Network, NetworkFailure } from '../drivers/network.ts';
import type { Turns } from '../drivers/turns.ts';
import type { Clock } from '../std/clock.ts';

// Calls of a daemon's interface over one stream, side by side: what is written in the same turn goes out at
// once, and no call waits for another. A frame is the length of its text, the number of its call and the
// text, in UTF-8. One without any text takes the call of that number back: nobody waits for its answer any
// more.

/** Where daemons of ours have it. */
export const callStreamPath = '/calls';

const headBytes = 8;
/** Calls of one stream that have no answer yet. */
export const callsOpenMax = 16_384;
const openMs = 10_000;

interface Frames {
  send(id: number, text: string): void;
  end(why: Error): void;
}

/** Lets others in the same turn of the event loop add to what goes out. */
type NextTurn = Turns['next'];

interface FramesOptions {
  readonly stream: Duplex;
  readonly nextTurn: NextTurn;
  readonly textBytesMax: number;
  readonly onFrame: (id: number, text: string) => void;
  /** Told once. */
  readonly onEnd: (why: Error) => void;
}

const framesOf = ({ stream, nextTurn, textBytesMax, onFrame, onEnd }: FramesOptions): Frames => {
  let out: Buffer[] = [];
  let ended = false;
  const end = (why: Error): void => {
    if (ended) return;
    ended = true;
    stream.destroy();
    onEnd(why);
  };
  const flush = (): void => {
    if (!ended) stream.write(Buffer.concat(out));
    out = [];
  };
  const tooLong = (bytes: number): Error =>
    new NetworkFailure('too-large', `A text of ${bytes} bytes is over the limit of ${textBytesMax}`);
  stream.on('data', readingOf({ textBytesMax, onFrame, onTooLong: (bytes) => end(tooLong(bytes)) }));
  stream.once('error', (error) => end(new NetworkFailure('closed', error.message)));
  // One whose far end has gone may stay half open.
  for (const last of ['end', 'close'] as const)
    stream.once(last, () => end(new NetworkFailure('closed', 'The stream of calls has ended')));
  return {
    send: (id, text) => {
      const head = Buffer.allocUnsafe(headBytes);
      const bytes = Buffer.from(text, 'utf8');
      head.writeUInt32BE(bytes.length, 0);
      head.writeUInt32BE(id, 4);
      if (out.length === 0) void nextTurn().then(flush);
      out.push(head, bytes);
    },
    end,
  };
};

/** Takes bytes as they come; a long text is put together once all of it is there. */
const readingOf = ({
  textBytesMax,
  onFrame,
  onTooLong,
}: Pick<FramesOptions, 'textBytesMax' | 'onFrame'> & { readonly onTooLong: (bytes: number) => void }): ((
  bytes: Buffer,
) => void) => {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let wantedBytes = headBytes;
  return (bytes) => {
    held.push(bytes);
    heldBytes += bytes.length;
    if (heldBytes < wantedBytes) return;
    const all = held.length === 1 ? bytes : Buffer.concat(held);
    let at = 0;
    wantedBytes = headBytes;
    while (all.length - at >= headBytes) {
      const length = all.readUInt32BE(at);
      if (length > textBytesMax) return onTooLong(length);
      const from = at + headBytes;
      wantedBytes = headBytes + length;
      if (all.length < from + length) break;
      onFrame(all.readUInt32BE(at + 4), all.toString('utf8', from, from + length));
      at = from + length;
      wantedBytes = headBytes;
    }
    held = [all.subarray(at)];
    heldBytes = all.length - at;
  };
};

/** Answers the calls of a stream until it ends. `signal` is aborted once nobody waits for the answer. */
export const serveCallStream = (
  { stream, nextTurn, textBytesMax }: Pick<FramesOptions, 'stream' | 'nextTurn' | 'textBytesMax'>,
  answer: (text: string, signal: AbortSignal) => Promise<string>,
): void => {
  const open = new Map<number, AbortController>();
  const gone = new NetworkFailure('closed', 'The caller went away');
  const begin = (id: number, text: string): void => {
    const controller = new AbortController();
    open.set(id, controller);
    answer(text, controller.signal).then((said) => {
      if (open.get(id) !== controller) return;
      open.delete(id);
      frames.send(id, said);
    }, frames.end);
  };
  const frames = framesOf({
    ...{ stream, nextTurn, textBytesMax },
    onFrame: (id, text) => {
      if (text === '') {
        open.get(id)?.abort(gone);
        open.delete(id);
      } else if (open.size < callsOpenMax && !open.has(id)) begin(id, text);
      else frames.end(new NetworkFailure('too-large', `More than ${callsOpenMax} calls have no answer yet`));
    },
    onEnd: () => {
      for (const controller of open.values()) controller.abort(gone);
      open.clear();
    },
  });
};

/** The asking end of a stream, opened when it is first needed and again when it has ended. */
export interface CallStream {
  /** Rejects with `NetworkFailure`: `refused` where there is no such stream, and only then. */
  ask(text: string, by: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<string>;
  close(): void;
}

interface Caller {
  ask(...args: Parameters<CallStream['ask']>): Promise<string>;
  end(why: Error): void;
}

export interface CallStreamOptions {
  readonly network: Pick<Network, 'openStream'>;
  readonly clock: Clock;
  readonly nextTurn: NextTurn;
  readonly endpoint: Endpoint;
}

export const callStream = (options: CallStreamOptions, textBytesMax: number): CallStream => {
  const { network, endpoint } = options;
  let caller: Promise<Caller> | undefined;
  const open = async (): Promise<Caller> => {
    const stream = await network.openStream(endpoint, callStreamPath, { timeoutMs: openMs });
    return callerOf({ ...options, stream, textBytesMax, onEnd: forget });
  };
  const forget = (): void => {
    caller = undefined;
  };
  const opened = (): Promise<Caller> => {
    if (caller === undefined) {
      caller = open();
      caller.catch(forget);
    }
    return caller;
  };
  return {
    ask: async (text, by) => (await opened()).ask(text, by),
    close: () => {
      caller?.then(
        ({ end }) => end(new NetworkFailure('closed', 'This client is closed')),
        () => {},
      );
    },
  };
};

interface Waiting {
  readonly resolve: (text: string) => void;
  readonly reject: (why: Error) => void;
}

type CallerOptions = Omit<FramesOptions, 'onFrame'> & Pick<CallStreamOptions, 'clock'>;

const callerOf = ({ stream, nextTurn, clock, textBytesMax, onEnd }: CallerOptions): Caller => {
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  const frames = framesOf({
    ...{ stream, nextTurn, textBytesMax },
    onFrame: (id, text) => waiting.get(id)?.resolve(text),
    onEnd: (why) => {
      onEnd(why);
      for (const one of [...waiting.values()]) one.reject(why);
    },
  });
  return {
    end: frames.end,
    ask: (text, { timeoutMs, signal }) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(new NetworkFailure('aborted', 'The call was aborted'));
        if (waiting.size >= callsOpenMax)
          return reject(new NetworkFailure('too-large', `${callsOpenMax} calls have no answer yet`));
        lastId = (lastId + 1) % 2 ** 32;
        const id = lastId;
        const over = (): void => {
          waiting.delete(id);
          cancel();
          signal?.removeEventListener('abort', abort);
        };
        const takeBack = (why: NetworkFailure): void => {
          over();
          frames.send(id, '');
          reject(why);
        };
        const abort = (): void => takeBack(new NetworkFailure('aborted', 'The call was aborted'));
        const cancel = clock.after(timeoutMs, () =>
          takeBack(new NetworkFailure('timeout', `The call was not answered within ${timeoutMs} ms`)),
        );
        signal?.addEventListener('abort', abort, { once: true });
        waiting.set(id, {
          resolve: (answer) => {
            over();
            resolve(answer);
          },
          reject: (why) => {
            over();
            reject(why);
          },
        });
        frames.send(id, text);
      }),
  };
};
