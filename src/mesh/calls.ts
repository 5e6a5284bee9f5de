import type { Deadlines } from './deadlines.ts';
import { errorOf, MeshFailure, type Problem } from './failure.ts';
import type { Item } from './frame.ts';
import type { MeshLimits } from './limits.ts';
import type { Outbox } from './outbox.ts';

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
  reply(id: number, value: unknown, behind: MeshFailure | undefined): void;
  fail(id: number, problem: Problem, behind: MeshFailure | undefined): void;
  count(): number;
  /** Rejects what is open. */
  close(failure: MeshFailure): void;
}

interface Open {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly anyEpoch: boolean;
  readonly disarm: () => void;
}

export const callsOf = (given: {
  readonly host: string;
  readonly outbox: Outbox;
  readonly deadlines: Deadlines;
  readonly limits: MeshLimits;
}): Calls => {
  const { host, outbox, deadlines, limits } = given;
  const open = new Map<number, Open>();
  let lastId = 0;

  const take = (id: number): Open | undefined => {
    const call = open.get(id);
    if (call === undefined) return undefined;
    open.delete(id);
    call.disarm();
    return call;
  };

  return {
    ask: (make, options) =>
      new Promise((resolve, reject) => {
        const { timeoutMs, signal, anyEpoch = false } = options;
        if (signal?.aborted) return reject(signal.reason);
        if (open.size >= limits.callsInFlightMax) {
          return reject(
            new MeshFailure('busy', `${open.size} calls are open at host ${host}: try again later`),
          );
        }
        lastId += 1;
        const id = lastId;
        const item = make(id, leftMs(timeoutMs));
        const giveUp = (error: unknown): void => {
          if (take(id) === undefined) return;
          outbox.put(['cancel', id]);
          reject(error);
        };
        const late = (): void =>
          giveUp(new MeshFailure('deadline', `Host ${host} did not answer within ${timeoutMs} ms`));
        const disarm = deadlines(timeoutMs, late);
        const abort = signal && ((): void => giveUp(signal.reason));
        if (abort) signal.addEventListener('abort', abort, { once: true });
        open.set(id, {
          resolve,
          reject,
          anyEpoch,
          disarm: abort
            ? () => {
                disarm();
                signal.removeEventListener('abort', abort);
              }
            : disarm,
        });
        outbox.put(item, (failure) => {
          if (failure !== undefined) take(id)?.reject(failure);
        });
      }),

    reply: (id, value, behind) => {
      const call = take(id);
      if (behind !== undefined && !call?.anyEpoch) call?.reject(behind);
      else call?.resolve(value);
    },

    fail: (id, problem, behind) => {
      const call = take(id);
      call?.reject(behind !== undefined && !call.anyEpoch ? behind : errorOf(problem));
    },

    count: () => open.size,

    close: (failure) => {
      for (const id of [...open.keys()]) take(id)?.reject(failure);
    },
  };
};

/** Whole milliseconds, as they travel. */
const leftMs = (timeoutMs: number): number =>
  timeoutMs > 0 ? Math.min(Math.ceil(timeoutMs), Number.MAX_SAFE_INTEGER) : 0;
