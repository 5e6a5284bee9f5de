import { type EtcdCallOptions, EtcdFailure } from '../../etcd.ts';
import { type Channels, timeoutMsDefault, withLeader } from './channels.ts';
import { failureOf } from './failure.ts';
import { leaseKeepAliveResponse, leaseRequest } from './messages.ts';
import { type Decoded, decode, type Encodable, encode } from './protobuf.ts';

type Response = Decoded<typeof leaseKeepAliveResponse>;

/**
 * One question and one answer on a stream of its own, so that it has a deadline like every other call. A
 * keepalive that may have been done does no harm, so it fails as a read does.
 */
export const keepAlive = async (
  channels: Channels,
  id: bigint,
  options: EtcdCallOptions = {},
): Promise<number> => {
  const { endpoint, client } = channels.current();
  const stream = client.makeBidiStreamRequest(
    '/etcdserverpb.Lease/LeaseKeepAlive',
    (value: Encodable<typeof leaseRequest>) => encode(leaseRequest, value),
    (bytes) => decode(leaseKeepAliveResponse, bytes),
    withLeader(),
    { deadline: Date.now() + (options.timeoutMs ?? timeoutMsDefault) },
  );
  const abort = (): void => stream.cancel();
  options.signal?.addEventListener('abort', abort, { once: true });
  try {
    const answer = await new Promise<Response>((resolve, reject) => {
      stream.on('data', resolve);
      stream.on('error', reject);
      stream.on('end', () =>
        reject(new EtcdFailure('unavailable', `${endpoint} did not answer a keepalive`)),
      );
      stream.write({ id });
    });
    channels.check(endpoint, answer.header);
    return Math.max(0, answer.ttlSeconds);
  } catch (error) {
    const failure = failureOf(error, endpoint, false);
    channels.failed(endpoint);
    throw failure;
  } finally {
    options.signal?.removeEventListener('abort', abort);
    stream.cancel();
  }
};
