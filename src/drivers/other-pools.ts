/** The HTTPS of pools that are not this one, for what moves there. */
export interface OtherPools {
  /**
   * Over a connection of its own. Nothing is sent before the other side has shown a certificate that is in
   * date, names the place, and is the one that was told or has a signature that this host trusts. Rejects
   * with `OtherPoolFailure`.
   */
  send(to: PoolPlace, request: PoolRequest): Promise<PoolAnswer>;
}

export interface PoolPlace {
  /** `host` or `host:port`, as in a URL. */
  readonly authority: string;
  /** SHA-256 of its certificate, in hexadecimal digits, where somebody who may know has told it. */
  readonly fingerprint?: string;
}

export interface PoolRequest {
  readonly method: 'POST' | 'PUT';
  /** With its query. */
  readonly path: string;
  readonly contentType: string;
  /** One that grows is sent as it comes; a piece is done with once the next one is asked for. */
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
  /** For how long nothing may happen on the connection. */
  readonly idleMs: number;
  readonly signal?: AbortSignal;
}

export interface PoolAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** `unreached`: nobody answered. `untrusted`: not who was meant. `lost`: it was cut off in the middle. */
export class OtherPoolFailure extends Error {
  readonly reason: 'unreached' | 'untrusted' | 'lost';

  constructor(reason: OtherPoolFailure['reason'], message: string) {
    super(message);
    this.name = 'OtherPoolFailure';
    this.reason = reason;
  }
}
