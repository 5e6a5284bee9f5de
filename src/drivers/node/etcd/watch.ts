import type { ClientDuplexStream } from '@grpc/grpc-js';
import {
  EtcdFailure,
  type Header,
  type WatchEvent,
  type WatchEvents,
  type Watching,
  type WatchRequest,
} from '../../etcd.ts';
import { type Channels, withLeader } from './channels.ts';
import { failureOf } from './failure.ts';
import { watchRequest, watchResponse } from './messages.ts';
import { type Decoded, decode, type Encodable, encode } from './protobuf.ts';

type Request = Encodable<typeof watchRequest>;
type Response = Decoded<typeof watchResponse>;
type Stream = ClientDuplexStream<Request, Response>;

/** One stream for each watch. Answers are handed over one at a time, and read no sooner. */
export const openWatch = (channels: Channels, request: WatchRequest, events: WatchEvents): Watching => {
  const { endpoint, client } = channels.current();
  const stream: Stream = client.makeBidiStreamRequest(
    '/etcdserverpb.Watch/Watch',
    (value: Request) => encode(watchRequest, value),
    (bytes) => decode(watchResponse, bytes),
    withLeader(),
  );
  let ended = false;
  const end = (): boolean => {
    const first = !ended;
    ended = true;
    if (first) stream.cancel();
    return first;
  };
  const fail = (error: unknown): void => {
    const failure = failureOf(error, endpoint, false);
    // What was asked for is the same with every member; anything else may be this one's trouble.
    if (failure.reason === 'unavailable') channels.failed(endpoint);
    if (end()) events.failed(failure);
  };
  const whole = revisions(events);
  const take = async (response: Response): Promise<void> => {
    channels.check(endpoint, response.header);
    if (response.canceled) throw canceled(endpoint, response);
    const head = response.header as Header;
    if (response.created) events.created?.(head);
    else if (response.events.length === 0) events.progress?.(head);
    await whole(response, () => ended);
  };
  stream.on('data', (response: Response) => {
    stream.pause();
    take(response).then(() => ended || stream.resume(), fail);
  });
  stream.on('error', (error) => ended || fail(error));
  stream.on('end', () => fail(new EtcdFailure('unavailable', `${endpoint} ended the watch`)));
  stream.write({ create: { ...request, progressNotify: true, fragment: true } });
  return {
    askProgress: () => {
      if (!ended) stream.write({ progress: {} });
    },
    close: end,
  };
};

/**
 * A fragment may end within a revision, so its last one is kept until the next begins or there are no more.
 */
const revisions = (events: WatchEvents) => {
  let kept: WatchEvent[] = [];
  let revision = 0;
  const give = async (ended: () => boolean): Promise<void> => {
    const whole = kept;
    kept = [];
    if (whole.length > 0 && !ended()) await events.revision(whole, revision);
  };
  return async (response: Response, ended: () => boolean): Promise<void> => {
    for (const { type, kv } of response.events) {
      if (kv === undefined) continue;
      if (kv.modRevision !== revision) await give(ended);
      revision = kv.modRevision;
      kept.push({ kind: type === 1 ? 'delete' : 'put', kv });
    }
    if (!response.fragment) await give(ended);
  };
};

const canceled = (endpoint: string, { compactRevision, cancelReason }: Response): EtcdFailure => {
  if (compactRevision > 0) {
    return new EtcdFailure('compacted', `${endpoint} has no revisions before ${compactRevision} any more`);
  }
  return new EtcdFailure(
    'unavailable',
    `${endpoint} ended the watch: ${cancelReason || 'it says no reason'}`,
  );
};
