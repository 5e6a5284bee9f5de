import type { Clock } from '../std/clock.ts';
import { errorOf, MeshFailure, type Problem } from './failure.ts';
import type { Item } from './frame.ts';
import type { MeshLimits } from './limits.ts';
import type { Outbox } from './outbox.ts';
import { type Timed, underwayOf } from './underway.ts';

export interface CallOptions {
  /** From now until the answer; the time that is left travels with the call. */
  readonly timeoutMs: number;
  /** Gives the call up, here and at the other side. */
  readonly signal?: AbortSignal;
  /** A call that is repeated with the same id is done once. */
  readonly requestId?: string;
  /** The handler's signal aborts when the link to its caller goes down. */
  readonly dieWithCaller?: boolean;
  /** An answer of a host whose epoch is behind is taken too. */
  readonly anyEpoch?: boolean;
}

/** What this host has asked another over one link. */
export interface Calls {
  ask(make: (id: number, leftMs: number) => Item, options: CallOptions): Promise<any>;
  /** `behind`: why an answer does not count where its sender's epoch is below this host's. */
  reply(id: number, value: unknown, behind: MeshFailure | undefined): void;
  fail(id: number, problem: Problem, behind: MeshFailure | undefined): void;
  /** It could not be sent. */
  reject(id: number, failure: MeshFailure): void;
  count(): number;
  /** Rejects what is open. */
  close(failure: MeshFailure): void;
}

interface Open extends Timed {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly options: CallOptions;
  readonly abort: (() => void) | undefined;
}

export const callsOf = (given: {
  readonly host: string;
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly limits: MeshLimits;
}): Calls => {
  const { host, clock, outbox, limits } = given;
  let lastId = 0;

  const giveUp = (id: number, error: unknown): void => {
    const call = take(id);
    if (call === undefined) return;
    outbox.put(['cancel', id]);
    call.reject(error);
  };

  const open = underwayOf<Open>(clock, (id, { options }) =>
    giveUp(id, new MeshFailure('deadline', `Host ${host} did not answer within ${options.timeoutMs} ms`)),
  );

  const take = (id: number): Open | undefined => {
    const call = open.take(id);
    if (call?.abort !== undefined) call.options.signal?.removeEventListener('abort', call.abort);
    return call;
  };

  const counts = (call: Open, behind: MeshFailure | undefined): boolean => {
    if (behind === undefined || call.options.anyEpoch) return true;
    call.reject(behind);
    return false;
  };

  return {
    ask: (make, options) =>
      new Promise((resolve, reject) => {
        const { timeoutMs, signal } = options;
        if (signal?.aborted) return reject(signal.reason);
        if (open.count() >= limits.callsInFlightMax) {
          return reject(
            new MeshFailure('busy', `${open.count()} calls are open at host ${host}: try again later`),
          );
        }
        lastId += 1;
        const id = lastId;
        outbox.put(make(id, wholeMs(timeoutMs)));
        const abort = signal && (() => giveUp(id, signal.reason));
        if (abort) signal.addEventListener('abort', abort, { once: true });
        open.add(id, { resolve, reject, options, abort, dueMs: clock.monotonicMs() + timeoutMs });
      }),

    reply: (id, value, behind) => {
      const call = take(id);
      if (call !== undefined && counts(call, behind)) call.resolve(value);
    },

    fail: (id, problem, behind) => {
      const call = take(id);
      if (call !== undefined && counts(call, behind)) call.reject(errorOf(problem));
    },

    reject: (id, failure) => take(id)?.reject(failure),

    count: open.count,

    close: (failure) => {
      for (const [id] of open.entries()) take(id)?.reject(failure);
    },
  };
};

/** As time travels. */
const wholeMs = (timeoutMs: number): number =>
  timeoutMs > 0 ? Math.min(Math.ceil(timeoutMs), Number.MAX_SAFE_INTEGER) : 0;
