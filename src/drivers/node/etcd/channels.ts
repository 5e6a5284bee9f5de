import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { Client, connectivityState, credentials, Metadata } from '@grpc/grpc-js';
import { type EtcdCallOptions, EtcdFailure } from '../../etcd.ts';
import { failureOf } from './failure.ts';
import type { header } from './messages.ts';
import { type Decoded, decode, type Encodable, encode, type ProtobufMessage } from './protobuf.ts';

export interface EtcdTls {
  /** In PEM: who may have signed the members' certificates. */
  readonly ca: string;
  /** What this client shows, if the members ask for it. */
  readonly cert?: string;
  readonly key?: string;
}

export interface ConnectOptions {
  /** `host:port` of each member. */
  readonly endpoints: readonly string[];
  /** Absent: without encryption. */
  readonly tls?: EtcdTls;
  readonly timeoutMs?: number;
  /** The only cluster that is spoken with; absent: that of the first answer. */
  readonly clusterId?: bigint;
}

/** A method of the API: its path, what it takes and gives, and whether it changes anything. */
export interface EtcdMethod<Q extends ProtobufMessage, A extends ProtobufMessage> {
  readonly path: string;
  readonly request: Q;
  readonly answer: A;
  readonly changes: boolean;
  /** A member that sees no leader answers too. */
  readonly leaderless?: true;
}

/** One connection to each member. Calls go to one member until it fails, then to the next. */
export interface Channels {
  readonly endpoints: readonly string[];
  /**
   * Rejects with `EtcdFailure`. What changes nothing is asked of each member in turn until the time is up.
   */
  call<Q extends ProtobufMessage, A extends ProtobufMessage>(
    method: EtcdMethod<Q, A>,
    request: Encodable<Q>,
    options?: EtcdCallOptions & { readonly endpoint?: string },
  ): Promise<Decoded<A>>;
  /** The member that calls go to now, for streams. */
  current(): { readonly endpoint: string; readonly client: Client };
  /** The connection to one member, for streams. */
  clientOf(endpoint: string): Client;
  /** That member failed: the next one is current, unless another is already. */
  failed(endpoint: string): void;
  /** Throws when an answer is of another cluster than those before it. */
  check(endpoint: string, head: Decoded<typeof header> | undefined): void;
  close(): void;
}

export const timeoutMsDefault = 2_000;
/** Of a single answer. Reads come in pages and watches in fragments, which are less. */
const answerBytesMax = 64 * 1_024 * 1_024;
const connectMsMax = 1_000;
/** A member ends a connection that is pinged more often than each five seconds. */
const keepaliveMs = 10_000;

const channelOptions = {
  'grpc.keepalive_time_ms': keepaliveMs,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 0,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.min_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.max_receive_message_length': answerBytesMax,
  'grpc.max_send_message_length': -1,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
  'grpc-node.flow_control_window': 4 * 1_024 * 1_024,
};

/**
 * A member that sees no leader says so at once, and ends its watches, instead of keeping everybody waiting.
 */
export const withLeader = (): Metadata => {
  const metadata = new Metadata();
  metadata.set('hasleader', 'true');
  return metadata;
};

/**
 * Named to a member that is reached by its address: TLS names no addresses, and the library always names
 * something. No certificate can have it.
 */
const unnamed = 'etcd.invalid';

const clientFor = (endpoint: string, tls: EtcdTls | undefined): Client => {
  if (tls === undefined) return new Client(endpoint, credentials.createInsecure(), channelOptions);
  const { hostname } = new URL(`https://${endpoint}`);
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  const isAddress = isIP(address) !== 0;
  const bytes = (pem: string | undefined): Buffer | null => (pem === undefined ? null : Buffer.from(pem));
  const secret = credentials.createSsl(bytes(tls.ca), bytes(tls.key), bytes(tls.cert), {
    checkServerIdentity: (name, cert) => checkServerIdentity(isAddress ? address : name, cert),
  });
  const named = isAddress ? { 'grpc.ssl_target_name_override': unnamed } : {};
  return new Client(endpoint, secret, { ...channelOptions, ...named });
};

export const openChannels = (options: ConnectOptions): Channels => {
  const { endpoints, timeoutMs = timeoutMsDefault } = options;
  if (endpoints.length === 0) throw new RangeError('An etcd cluster has at least one endpoint');
  const clients = new Map(endpoints.map((endpoint) => [endpoint, clientFor(endpoint, options.tls)]));
  let clusterId = options.clusterId;
  let current = endpoints[0] as string;
  let closed = false;

  const clientOf = (endpoint: string): Client => {
    const client = clients.get(endpoint);
    if (client === undefined) throw new RangeError(`${endpoint} is no endpoint of this client`);
    return client;
  };
  const failed = (endpoint: string): void => {
    if (current === endpoint) {
      current = endpoints[(endpoints.indexOf(endpoint) + 1) % endpoints.length] as string;
    }
  };
  const check = (endpoint: string, head: Decoded<typeof header> | undefined): void => {
    if (head === undefined) return;
    clusterId ??= head.clusterId;
    if (head.clusterId === clusterId) return;
    throw new EtcdFailure(
      'wrong-cluster',
      `${endpoint} is of the cluster ${head.clusterId.toString(16)}, not of ${clusterId.toString(16)}: ` +
        'give the endpoints of one cluster only',
    );
  };
  const once: Once = async (endpoint, method, request, byMs, signal) => {
    const client = clientOf(endpoint);
    await connected(client, endpoint, byMs);
    if (closed || signal?.aborted)
      throw new EtcdFailure('closed', 'The call was given up before it was sent');
    const answer = await send(client, method, request, byMs, signal);
    check(endpoint, (answer as { header?: Decoded<typeof header> }).header);
    return answer;
  };
  return {
    endpoints,
    call: async (method, request, call = {}) => {
      const byMs = Date.now() + (call.timeoutMs ?? timeoutMs);
      const first = call.endpoint ?? current;
      const rest = call.endpoint === undefined ? endpoints.filter((one) => one !== first) : [];
      let failure: EtcdFailure | undefined;
      for (const [index, endpoint] of [first, ...rest].entries()) {
        // What is left is shared among those that have not been asked, so that one which is silent is not the
        // last.
        const left = byMs - Date.now();
        if (left <= 0 && failure !== undefined) break;
        const share = method.changes ? left : left / (rest.length + 1 - index);
        try {
          return await once(endpoint, method, request, Date.now() + share, call.signal);
        } catch (error) {
          failure = failureOf(error, endpoint, method.changes);
          if (!rotates.has(failure.reason)) throw failure;
          if (call.endpoint === undefined) failed(endpoint);
          if (failure.reason === 'unknown') throw failure;
        }
      }
      throw failure as EtcdFailure;
    },
    clientOf,
    current: () => ({ endpoint: current, client: clientOf(current) }),
    failed,
    check,
    close: () => {
      closed = true;
      for (const client of clients.values()) client.close();
    },
  };
};

/** Another member may do better. */
const rotates: ReadonlySet<string> = new Set(['unavailable', 'unknown', 'denied', 'wrong-cluster']);

type Once = <Q extends ProtobufMessage, A extends ProtobufMessage>(
  endpoint: string,
  method: EtcdMethod<Q, A>,
  request: Encodable<Q>,
  byMs: number,
  signal?: AbortSignal,
) => Promise<Decoded<A>>;

/**
 * Waits until there is a connection, or it is known that there is none: a call made then fails at once and
 * says why, and nothing of it was sent.
 */
const connected = async (client: Client, endpoint: string, byMs: number): Promise<void> => {
  const channel = client.getChannel();
  const untilMs = Math.min(byMs, Date.now() + connectMsMax);
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY || state === connectivityState.TRANSIENT_FAILURE) return;
    if (state === connectivityState.SHUTDOWN) {
      throw new EtcdFailure('closed', 'The client of etcd was closed');
    }
    await new Promise<void>((resolve, reject) =>
      channel.watchConnectivityState(state, untilMs, (error) => {
        if (error == null) resolve();
        else reject(new EtcdFailure('unavailable', `${endpoint} does not answer`));
      }),
    );
  }
};

const send = <Q extends ProtobufMessage, A extends ProtobufMessage>(
  client: Client,
  method: EtcdMethod<Q, A>,
  request: Encodable<Q>,
  byMs: number,
  signal?: AbortSignal,
): Promise<Decoded<A>> =>
  new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(
      method.path,
      (value: Encodable<Q>) => encode(method.request, value),
      (bytes) => bytes,
      request,
      method.leaderless ? new Metadata() : withLeader(),
      { deadline: byMs },
      (error, bytes) => {
        signal?.removeEventListener('abort', abort);
        if (error !== null) return reject(error);
        try {
          resolve(decode(method.answer, bytes as Buffer));
        } catch (bad) {
          reject(bad);
        }
      },
    );
    const abort = (): void => call.cancel();
    signal?.addEventListener('abort', abort, { once: true });
  });
