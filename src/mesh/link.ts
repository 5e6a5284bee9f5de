import type { Duplex } from 'node:stream';
import type { Wire, WireEvents } from '../drivers/mesh-wire.ts';
import type { Clock } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import { type Answers, answersOf, type Sender } from './answers.ts';
import { type CallOptions, type Calls, callsOf } from './calls.ts';
import { MeshFailure, problemOf } from './failure.ts';
import { decodeFrame, type Frame, type Item } from './frame.ts';
import { type Heartbeat, heartbeatOf } from './heartbeat.ts';
import type { MeshLimits } from './limits.ts';
import { type Outbox, outboxOf } from './outbox.ts';
import type { Requests } from './requests.ts';
import type { Service } from './services.ts';
import { type Streams, streamsOf, tooManyStreams } from './streams.ts';
import type { Traffic } from './traffic.ts';

/** What all links of a mesh have in common. */
export interface MeshContext {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: MeshLimits;
  readonly services: ReadonlyMap<string, Service>;
  readonly epoch: () => number;
  /** Resolves once a higher epoch is stored. */
  readonly onEpoch: (epoch: number, from: string) => Promise<void>;
}

export interface LinkOptions {
  readonly wire: Wire;
  readonly host: string;
  /** Both sides know the link by this name. */
  readonly name: string;
  readonly version: number;
  readonly requests: Requests;
  readonly traffic: Traffic;
  readonly onDown: (why: string) => void;
}

/** One connection to another host, after both have greeted each other, until either has gone. */
export interface Link {
  readonly name: string;
  readonly version: number;
  readonly peerCertificate: string;
  readonly events: WireEvents;
  call(name: string, payload: unknown, options: CallOptions): Promise<any>;
  open(name: string, payload: unknown, options: CallOptions): Promise<Duplex>;
  load(): LinkLoad;
  close(why: string): void;
}

export interface LinkLoad {
  readonly callsOut: number;
  readonly callsIn: number;
  readonly streams: number;
  readonly bufferedBytes: number;
  readonly roundTripMs: number | undefined;
}

/** What a link is made of, for those who take items to their place. */
interface Parts {
  readonly outbox: Outbox;
  readonly calls: Calls;
  readonly streams: Streams;
  readonly answers: Answers;
  readonly heartbeat: Heartbeat;
}

/** Tells whoever waits for an item that it cannot be sent. False where nobody does. */
const givenBack = ({ calls, outbox }: Parts, item: Item, failure: MeshFailure): boolean => {
  if (item[0] === 'call' || item[0] === 'open') calls.reject(item[1], failure);
  else if (item[0] === 'reply') outbox.put(['fail', item[1], problemOf(failure)]);
  else return false;
  return true;
};

export const linkOf = (context: MeshContext, options: LinkOptions): Link => {
  const { clock, log, limits, epoch, onEpoch } = context;
  const { wire, host, name, version, traffic, onDown } = options;
  const outbox = outboxOf({
    wire,
    limits,
    head: () => ({ version, epoch: epoch() }),
    onFrame: (bytes) => traffic.count('out', bytes),
    onUnsendable: (item, failure) => unsendable(item, failure),
  });
  const streams = streamsOf(outbox, limits);
  const parts: Parts = {
    outbox,
    streams,
    calls: callsOf({ ...context, host, outbox }),
    answers: answersOf({ ...context, ...options, outbox, streams }),
    heartbeat: heartbeatOf({
      clock,
      limits,
      outbox,
      receivedBytes: wire.receivedBytes,
      silent: (ms) => close(`Nothing was heard for ${ms} ms`),
    }),
  };
  let down: MeshFailure | undefined;

  const close = (why: string): void => {
    if (down !== undefined) return;
    down = new MeshFailure('unreachable', `Host ${host} cannot be reached: ${why}`);
    parts.heartbeat.stop();
    outbox.close();
    parts.calls.close(down);
    parts.answers.close(down);
    streams.close(down);
    wire.close(why);
    onDown(why);
  };

  const act = (frame: Frame): void => {
    const behind = frame.epoch < epoch() ? staleBy(host, frame.epoch, epoch()) : undefined;
    for (const item of frame.items) {
      if (down !== undefined) return;
      traffic.item('in', item[0]);
      take(parts, item, { epoch: frame.epoch, behind });
    }
  };

  const unsendable = (item: Item, failure: MeshFailure): void => {
    log.error({ host, kind: item[0], failure: failure.message }, 'This cannot be sent to a host of the pool');
    if (!givenBack(parts, item, failure)) close(failure.message);
  };

  const refuse = (error: unknown): void => {
    const why = error instanceof Error ? error.message : String(error);
    log.warn({ host, link: name, why }, 'A link of the mesh is ended: a frame could not be taken');
    close(why);
  };

  return {
    name,
    version,
    peerCertificate: wire.peerCertificate,
    events: {
      message: (bytes) => {
        if (down !== undefined) return;
        parts.heartbeat.heard();
        traffic.count('in', bytes.length);
        try {
          const frame = decodeFrame(bytes, limits);
          if (frame.version !== version)
            throw new Error(`A frame is of version ${frame.version}, not ${version}`);
          if (frame.epoch <= epoch()) return act(frame);
          return onEpoch(frame.epoch, host)
            .then(() => act(frame))
            .catch(refuse);
        } catch (error) {
          refuse(error);
        }
      },
      drained: outbox.drained,
      closed: close,
    },
    call: (named, payload, called) => {
      traffic.item('out', 'call');
      const { requestId = '', dieWithCaller = false } = called;
      return parts.calls.ask((id, ms) => ['call', id, named, payload, ms, requestId, dieWithCaller], called);
    },
    open: (named, payload, called) => openStream(parts, host, limits, [named, payload, called]),
    load: () => ({
      callsOut: parts.calls.count(),
      callsIn: parts.answers.count(),
      streams: streams.count(),
      bufferedBytes: wire.bufferedBytes(),
      roundTripMs: parts.heartbeat.roundTripMs(),
    }),
    close,
  };
};

const staleBy = (host: string, theirs: number, ours: number): MeshFailure =>
  new MeshFailure('stale', `Host ${host} is at epoch ${theirs}, which is behind ${ours}`, ours);

type Taker<K extends Item[0]> = (
  parts: Parts,
  item: Extract<Item, readonly [K, ...any[]]>,
  sender: Sender,
) => void;

/** Where each kind of item goes. Greetings have no place after the first frame. */
const takers: { readonly [K in Exclude<Item[0], 'hello' | 'refuse'>]: Taker<K> } = {
  call: ({ answers }, item, sender) => answers.call(item, sender),
  open: ({ answers }, item, sender) => answers.open(item, sender),
  cancel: ({ answers }, [, id]) => answers.cancel(id),
  reply: ({ calls }, [, id, value], { behind }) => calls.reply(id, value, behind),
  fail: ({ calls }, [, id, problem], { behind }) => calls.fail(id, problem, behind),
  data: ({ streams }, item, { behind }) => streams.take(item, behind),
  credit: ({ streams }, item, { behind }) => streams.take(item, behind),
  end: ({ streams }, item, { behind }) => streams.take(item, behind),
  cut: ({ streams }, item, { behind }) => streams.take(item, behind),
  ping: ({ outbox }, [, id]) => outbox.put(['pong', id]),
  pong: ({ heartbeat }, [, id]) => heartbeat.pong(id),
};

const take = (parts: Parts, item: Item, sender: Sender): void => {
  const taker = (takers as Readonly<Record<string, Taker<any> | undefined>>)[item[0]];
  if (taker === undefined) throw new Error(`A frame of a greeted host holds ${item[0]}`);
  taker(parts, item, sender);
};

/** The stream is there before the other side knows of it: what it sends with its answer has a place. */
const openStream = async (
  { calls, streams }: Parts,
  host: string,
  limits: MeshLimits,
  [name, payload, options]: readonly [string, unknown, CallOptions],
): Promise<Duplex> => {
  const opened: { id: number; duplex?: Duplex } = { id: 0 };
  try {
    const window: unknown = await calls.ask((id, leftMs) => {
      const duplex = streams.make(id, 0, options.anyEpoch ?? false);
      if (duplex === undefined) throw tooManyStreams(host);
      Object.assign(opened, { id, duplex });
      return ['open', id, name, payload, leftMs, limits.streamWindowBytesMax];
    }, options);
    streams.credit(opened.id, Number(window));
    const duplex = opened.duplex as Duplex;
    // The other side may have ended it in the very frame in which it accepted it.
    if (duplex.errored) throw duplex.errored;
    return duplex;
  } catch (error) {
    opened.duplex?.destroy(error as Error);
    throw error;
  }
};
