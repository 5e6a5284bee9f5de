import type { Duplex } from 'node:stream';
import type { Log } from '../std/log.ts';
import { type LazyAbort, lazyAbort } from './abort.ts';
import type { Deadlines } from './deadlines.ts';
import { MeshFailure, problemOf } from './failure.ts';
import type { Item } from './frame.ts';
import type { MeshLimits } from './limits.ts';
import type { Outbox } from './outbox.ts';
import type { Execution, Requests } from './requests.ts';
import type { CallContext, Service } from './services.ts';
import { type Streams, tooManyStreams } from './streams.ts';

/** What another host has asked this one over one link. */
export interface Answers {
  call(item: Extract<Item, readonly ['call', ...unknown[]]>, sender: Sender): void;
  open(item: Extract<Item, readonly ['open', ...unknown[]]>, sender: Sender): void;
  cancel(id: number): void;
  count(): number;
  /** The link is down: what was to die with it is aborted, the rest goes on and is answered to nobody. */
  close(failure: MeshFailure): void;
}

/** Whose frame an item came in. */
export interface Sender {
  readonly epoch: number;
  /** Set when that epoch is below this host's. */
  readonly behind: MeshFailure | undefined;
}

interface Running {
  readonly abort: LazyAbort;
  readonly dies: boolean;
}

export const answersOf = (given: {
  readonly host: string;
  readonly log: Log;
  readonly outbox: Outbox;
  readonly deadlines: Deadlines;
  readonly limits: MeshLimits;
  readonly services: ReadonlyMap<string, Service>;
  readonly requests: Requests;
  readonly streams: Streams;
}): Answers => {
  const { host, log, outbox, deadlines, limits, services, requests, streams } = given;
  const running = new Map<number, Running>();

  /** The service that a call is for, or why it has none. */
  const found = (kind: Service['kind'], name: string, { behind }: Sender): Service | MeshFailure => {
    const service = services.get(name);
    if (service?.kind !== kind) return new MeshFailure('unknown', `No ${kind} named ${name} is served there`);
    if (behind !== undefined && !service.anyEpoch) return behind;
    if (running.size < limits.callsInFlightMax) return service;
    return new MeshFailure('busy', `${running.size} calls of host ${host} are open there: try again later`);
  };

  const execute = (
    service: Service,
    call: Omit<CallContext, 'from' | 'signal'>,
    payload: unknown,
  ): Execution => {
    const abort = lazyAbort();
    const context: CallContext = {
      ...call,
      from: host,
      get signal() {
        return abort.signal;
      },
    };
    const disarm = deadlines(call.timeoutMs, () => abort.abort(late(context)));
    const outcome = attempt(service.handle, payload, context);
    outcome.then(disarm, disarm);
    return { outcome, abort };
  };

  /** Answers what an execution comes to, unless the link is down by then. */
  const follow = (
    id: number,
    { outcome, abort }: Execution,
    dies: boolean,
    succeed: (value: any) => void,
  ): void => {
    const one: Running = { abort, dies };
    running.set(id, one);
    const isOver = (): boolean => running.get(id) !== one || !running.delete(id);
    const fail = (error: unknown): void => outbox.put(['fail', id, problemOf(error)]);
    outcome.then(
      (value) => isOver() || succeed(value),
      (error: unknown) => isOver() || fail(error),
    );
  };

  const reply = (id: number, value: unknown): void =>
    outbox.put(['reply', id, value], (failure) => {
      if (failure === undefined) return;
      log.error({ host, failure: failure.message }, 'An answer cannot travel');
      outbox.put(['fail', id, problemOf(failure)]);
    });

  return {
    call: ([, id, name, payload, timeoutMs, requestId, dies], sender) => {
      const service = found('call', name, sender);
      if (service instanceof MeshFailure) return outbox.put(['fail', id, problemOf(service)]);
      const begin = (): Execution => execute(service, { epoch: sender.epoch, requestId, timeoutMs }, payload);
      const execution = requestId === '' ? begin() : requests.once(requestId, begin);
      follow(id, execution, dies, (value) => reply(id, value));
    },

    open: ([, id, name, payload, timeoutMs, outBytes], sender) => {
      const service = found('stream', name, sender);
      if (service instanceof MeshFailure) return outbox.put(['fail', id, problemOf(service)]);
      const execution = execute(service, { epoch: sender.epoch, requestId: '', timeoutMs }, payload);
      follow(id, execution, true, (take: (stream: Duplex) => void) => {
        // Whoever asked has given up: a stream would have nobody at its other end.
        if (execution.abort.aborted) return outbox.put(['fail', id, problemOf(givenUp(host))]);
        const stream = streams.make(-id, outBytes, service.anyEpoch);
        if (stream === undefined) return outbox.put(['fail', id, problemOf(tooManyStreams(host))]);
        reply(id, limits.streamWindowBytesMax);
        begin(take, stream);
      });
    },

    cancel: (id) => running.get(id)?.abort.abort(givenUp(host)),

    count: () => running.size,

    close: (failure) => {
      for (const { abort, dies } of running.values()) if (dies) abort.abort(failure);
      running.clear();
    },
  };
};

const attempt = async (
  handle: (payload: unknown, context: CallContext) => unknown,
  payload: unknown,
  context: CallContext,
): Promise<unknown> => handle(payload, context);

const begin = (take: (stream: Duplex) => void, stream: Duplex): void => {
  try {
    take(stream);
  } catch (error) {
    stream.destroy(error as Error);
  }
};

const late = ({ from, timeoutMs }: CallContext): MeshFailure =>
  new MeshFailure('deadline', `The ${timeoutMs} ms of the call of host ${from} are over`);

const givenUp = (host: string): MeshFailure => new MeshFailure('failed', `Host ${host} gave the call up`);
