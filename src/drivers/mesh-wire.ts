/**
 * What the mesh needs of the world between two hosts: whole messages, both ways, in order, and certainty
 * about who the other side is. Whatever fails to come about rejects with `NetworkFailure`.
 */
export interface MeshNetwork {
  dial(to: MeshAddress, options: DialOptions): Promise<Wire>;
  /** Hands over a wire for each accepted connection, until closed. */
  listen(on: MeshAddress, options: ListenOptions, onWire: (wire: Wire) => void): Promise<MeshListening>;
}

export interface MeshAddress {
  readonly host: string;
  readonly port: number;
}

/** In PEM. Both sides of a wire present one; none is trusted for who signed it, only for being known. */
export interface MeshCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface DialOptions {
  readonly certificate: MeshCertificate;
  /** Fingerprints of which the other side must present one; nothing is sent to anybody else. */
  readonly pins: readonly string[];
  /** Until the wire can be used. */
  readonly timeoutMs: number;
  /** A longer message ends the wire. */
  readonly messageBytesMax: number;
  readonly signal?: AbortSignal;
}

export interface ListenOptions {
  readonly certificate: MeshCertificate;
  /** Asked for each connection, before anything that it sends is looked at. */
  readonly accepts: (fingerprint: string) => boolean;
  /** A connection that is not a wire by then is cut. */
  readonly handshakeMsMax: number;
  /** Open connections, finished or not; one more is cut at once. */
  readonly connectionsMax: number;
  readonly messageBytesMax: number;
}

export interface MeshListening {
  /** With the port that was chosen where 0 was asked for. */
  readonly address: MeshAddress;
  /** For connections that come from now on. */
  setCertificate(certificate: MeshCertificate): void;
  /** Stops listening and ends every wire that came of it; resolves when all is closed. */
  close(): Promise<void>;
}

export interface Wire {
  /** SHA-256 of the other side's certificate in DER, in hexadecimal, lower case. */
  readonly peerCertificate: string;
  /** Queues one message, which must not be changed any more. Does nothing once the wire is closed. */
  send(message: Uint8Array): void;
  /** Bytes that were queued and have not left this process. */
  bufferedBytes(): number;
  /**
   * Bytes that came in, also those of a message that is not complete: while it rises the other side is there.
   */
  receivedBytes(): number;
  /** Begins to hand over what arrives; called once. What came before is kept until then. */
  receive(events: WireEvents): void;
  /** Sends what is queued, with the reason, and ends. */
  close(reason: string): void;
}

export interface WireEvents {
  /** Until a returned promise resolves nothing more is handed over, and in time the sender is held up. */
  message(message: Uint8Array): void | Promise<void>;
  /** Something of what was queued has left. */
  drained(): void;
  /** Once, when nothing more will come or go, whoever ended it. */
  closed(reason: string): void;
}
