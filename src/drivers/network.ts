import type { Duplex } from 'node:stream';

/** Where something listens: a Unix socket, or a TCP port of an address. */
export type Endpoint = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** The small HTTP that daemons of one host speak among themselves. Bodies are text, UTF-8. */
export interface Network {
  /** Rejects with `NetworkFailure`. Connections are kept alive and reused. */
  post(
    to: Endpoint,
    path: string,
    body: string,
    options: PostOptions,
  ): Promise<{ status: number; body: string }>;
  /** Serves until closed. A request whose body is over `bodyMax` is answered 413. */
  serve(on: Endpoint, handle: PostHandler, limits: ServeLimits): Promise<Serving>;
  /** Asks a server for a raw byte stream at a path of its own. Rejects with `NetworkFailure`. */
  openStream(to: Endpoint, path: string, options: { readonly timeoutMs: number }): Promise<Duplex>;
  /** A raw byte stream; rejects with `NetworkFailure` when nobody listens. */
  connect(to: Endpoint, options: { readonly timeoutMs: number }): Promise<Duplex>;
  /**
   * Hands over every raw byte stream that is opened, until closed. One over `connectionsMax` is cut at once.
   */
  listen(
    on: Endpoint,
    handle: (stream: Duplex) => void,
    limits: { readonly connectionsMax: number },
  ): Promise<Serving>;
}

export interface ServeLimits {
  readonly bodyMax: number;
  /** Takes the raw streams that callers ask for, as HTTP upgrades. Without it there are none. */
  readonly onStream?: (path: string, stream: Duplex) => void;
}

export interface PostOptions {
  readonly contentType: string;
  /** From sending until the whole answer is there. */
  readonly timeoutMs: number;
  readonly responseMax: number;
  readonly signal?: AbortSignal;
}

export type PostHandler = (request: {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** Aborted when the caller went away. */
  readonly signal: AbortSignal;
}) => Promise<{ status: number; contentType: string; body: string }>;

export interface Serving {
  readonly endpoint: Endpoint;
  /** Stops listening, ends what is open and resolves when all is closed. */
  close(): Promise<void>;
}

export class NetworkFailure extends Error {
  readonly reason: 'refused' | 'timeout' | 'closed' | 'too-large' | 'aborted' | 'in-use';

  constructor(reason: NetworkFailure['reason'], message: string) {
    super(message);
    this.name = 'NetworkFailure';
    this.reason = reason;
  }
}
