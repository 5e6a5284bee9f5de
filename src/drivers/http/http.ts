import type { Duplex } from 'node:stream';
import type { Endpoint, Serving } from '../network.ts';

/** The HTTP and HTTPS server that clients of the XenAPI talk to. */
export interface HttpServer {
  listen(on: HttpListen, handler: HttpHandler): Promise<Serving>;
}

/** Port 0 is any free one; `Serving.endpoint` tells which. */
export type HttpListen = Endpoint & {
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly limits: HttpLimits;
};

export interface HttpLimits {
  readonly connectionsMax: number;
  /** From one address, or one network of IPv6 addresses. */
  readonly connectionsOfOneMax: number;
  /** Requests of one connection that are sent ahead while others are being answered. */
  readonly pipelinedMax: number;
  /** A head that is not complete after this long closes the connection. */
  readonly headMs: number;
  /** A body of which nothing arrives for this long closes the connection. */
  readonly bodyIdleMs: number;
  readonly headBytesMax: number;
}

export interface HttpHandler {
  /** Every request but those below. Must answer exactly once; a rejection is answered 500. */
  request(request: HttpRequest, answer: HttpAnswer): Promise<void>;
  /**
   * `CONNECT path HTTP/1.x`, as clients of consoles send it, and whatever `takes` names: the socket is the
   * handler's from here on.
   */
  connect(request: HttpHead, socket: Duplex): Promise<void>;
  /**
   * Requests of other methods whose connection is handed over as it is after the head, body and all, by
   * method and target. Absent: there are none.
   */
  takes?(method: string, target: string): boolean;
  /**
   * A WebSocket handshake. `accept` answers it with the subprotocol and gives a stream of binary messages.
   */
  upgrade(
    request: HttpHead,
    accept: (protocol: string | undefined) => Promise<Duplex>,
    refuse: Refuse,
  ): Promise<void>;
}

export type Refuse = (status: number, headers: Readonly<Record<string, string>>, body: string) => void;

export interface HttpHead {
  readonly method: string;
  /** Percent-decoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly httpVersion: '1.0' | '1.1';
  readonly remoteAddress: string;
  readonly secure: boolean;
}

export interface HttpRequest extends HttpHead {
  /** Undefined: chunked, or HTTP/1.0 data until the client closes. */
  contentLength(): bigint | undefined;
  /**
   * The whole body. Rejects with `BodyTooLarge` past the limit, with `BodyLate` when it takes too long, with
   * `BodyBroken` when it ends early, and with what `limits` refuse it for.
   */
  bytes(limits: BodyLimits): Promise<Buffer>;
  /**
   * The body as it arrives. Ends early with `BodyBroken` when the client goes away before its Content-Length.
   */
  chunks(): AsyncIterable<Uint8Array>;
  /**
   * Aborted when the client goes away before it was answered. Made for the first who asks: few requests need
   * it.
   */
  gone(): AbortSignal;
}

/** What a whole body may take. */
export interface BodyLimits {
  readonly bytesMax: number;
  /** From when it is first waited for until its end. */
  readonly withinMs: number;
  /**
   * Told how much there is each time that more arrived, and by `beginning` what it is; refuses it by
   * throwing.
   */
  readonly grown?: (sizeBytes: number, beginning: () => Buffer) => void;
  /** Refuses the body with its reason while it is waited for. */
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  /** A whole answer at once; Content-Length is set. Parts are written without joining them first. */
  send(
    status: number,
    headers: Readonly<Record<string, string>>,
    parts: readonly (string | Uint8Array)[],
  ): void;
  /**
   * An answer in pieces: Content-Length when `headers` has it, else chunked for HTTP/1.1 and until
   * the end of the connection for HTTP/1.0.
   */
  begin(status: number, headers: Readonly<Record<string, string>>): HttpBody;
  /**
   * Writes `HTTP/1.1 200 OK` and an empty line before the body was read, for clients that send their
   * body only after they have seen it. The connection closes after the body.
   */
  early(status: number, headers: Readonly<Record<string, string>>): void;
  /** True once a head has been sent. */
  begun(): boolean;
  /** Ends the connection, so that the client sees that something is missing. */
  cut(): void;
}

export interface HttpBody {
  /**
   * Resolves when all of it was handed on and the client is ready for more: the memory of the chunks may
   * then be used again. Rejects with `BodyBroken` when the client went away.
   */
  write(...chunks: readonly Uint8Array[]): Promise<void>;
  end(): Promise<void>;
  /** Cuts the connection so that the client sees that something is missing. */
  fail(): void;
}

export class BodyTooLarge extends Error {
  readonly bytesMax: number;

  constructor(bytesMax: number) {
    super(`The body is over the limit of ${bytesMax} bytes`);
    this.name = 'BodyTooLarge';
    this.bytesMax = bytesMax;
  }
}

export class BodyLate extends Error {
  constructor(withinMs: number) {
    super(`The body did not arrive within ${withinMs / 1_000} seconds`);
    this.name = 'BodyLate';
  }
}

/** The client went away, or fell silent, before the end of what it sends or of what it is sent. */
export class BodyBroken extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BodyBroken';
  }
}
