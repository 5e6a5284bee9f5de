import type { Duplex } from 'node:stream';
import type { Clock } from '../std/clock.ts';
import { type Abortable, abort, contextOf } from './context.ts';
import { MeshFailure, problemOf } from './failure.ts';
import type { Item } from './frame.ts';
import type { MeshLimits } from './limits.ts';
import type { Outbox } from './outbox.ts';
import type { Execution, Requests } from './requests.ts';
import type { Service } from './services.ts';
import { type Streams, tooManyStreams } from './streams.ts';
import { type Timed, underwayOf } from './underway.ts';

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

interface Running extends Timed {
  readonly context: Abortable;
  readonly dies: boolean;
}

export const answersOf = (given: {
  readonly host: string;
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly limits: MeshLimits;
  readonly services: ReadonlyMap<string, Service>;
  readonly requests: Requests;
  readonly streams: Streams;
}): Answers => {
  const { host, clock, outbox, limits, services, requests, streams } = given;
  const running = underwayOf<Running>(clock, (_, { context }) => abort(context, late(host)));

  const fail = (id: number, error: unknown): void => outbox.put(['fail', id, problemOf(error)]);

  /** The service that a call is for, or why it has none. */
  const found = (kind: Service['kind'], id: number, name: string, sender: Sender): Service | MeshFailure => {
    const service = services.get(name);
    if (service?.kind !== kind) return new MeshFailure('unknown', `No ${kind} named ${name} is served there`);
    if (sender.behind !== undefined && !service.anyEpoch) return sender.behind;
    if (running.get(id) !== undefined) return new MeshFailure('failed', `The call ${id} is open already`);
    if (running.count() < limits.callsInFlightMax) return service;
    return new MeshFailure(
      'busy',
      `${running.count()} calls of host ${host} are open there: try again later`,
    );
  };

  const execute = ({ handle }: Service, payload: unknown, context: Abortable): Execution => {
    try {
      return { context, outcome: handle(payload, context) };
    } catch (error) {
      return { context, outcome: Promise.reject(error) };
    }
  };

  /**
   * Answers what an execution comes to. An answer that comes at once needs no place among those under way.
   */
  const follow = (id: number, { outcome, context }: Execution, dies: boolean, succeed: Succeed): void => {
    if (!(outcome instanceof Promise)) {
      succeed(id, outcome);
      return;
    }
    running.add(id, { context, dies, dueMs: clock.monotonicMs() + context.timeoutMs });
    outcome.then(
      (value) => {
        running.take(id);
        succeed(id, value);
      },
      (error: unknown) => {
        running.take(id);
        fail(id, error);
      },
    );
  };

  const reply = (id: number, value: unknown): void => outbox.put(['reply', id, value]);

  /** Uses a stream that a handler has accepted. */
  const accept = (id: number, outBytes: number, anyEpoch: boolean, take: (stream: Duplex) => void): void => {
    const stream = streams.make(-id, outBytes, anyEpoch);
    if (stream === undefined) {
      fail(id, tooManyStreams(host));
      return;
    }
    reply(id, limits.streamWindowBytesMax);
    try {
      take(stream);
    } catch (error) {
      stream.destroy(error as Error);
    }
  };

  return {
    call: (item, sender) => {
      const id = item[1];
      const requestId = item[5];
      const service = found('call', id, item[2], sender);
      if (service instanceof MeshFailure) {
        fail(id, service);
        return;
      }
      const begin = (): Execution =>
        execute(service, item[3], contextOf(host, sender.epoch, requestId, item[4]));
      follow(id, requestId === '' ? begin() : requests.once(requestId, begin), item[6], reply);
    },

    open: ([, id, name, payload, timeoutMs, outBytes], sender) => {
      const service = found('stream', id, name, sender);
      if (service instanceof MeshFailure) {
        fail(id, service);
        return;
      }
      const context = contextOf(host, sender.epoch, '', timeoutMs);
      follow(id, execute(service, payload, context), true, (_, take) => {
        // Whoever asked has given up or is gone: a stream would have nobody at its other end.
        if (context.reason !== undefined) fail(id, context.reason);
        else accept(id, outBytes, service.anyEpoch, take);
      });
    },

    cancel: (id) => {
      const one = running.get(id);
      if (one !== undefined) abort(one.context, givenUp(host));
    },

    count: running.count,

    close: (failure) => {
      for (const [, { context, dies }] of running.entries()) if (dies) abort(context, failure);
    },
  };
};

type Succeed = (id: number, value: any) => void;

const late = (host: string): MeshFailure =>
  new MeshFailure('deadline', `The time that host ${host} gave for its call is over`);

const givenUp = (host: string): MeshFailure => new MeshFailure('failed', `Host ${host} gave the call up`);
