/** How a host that joins knocks at the coordinator of a pool. */
export interface PoolDoor {
  /**
   * Connects over TLS to `host` or `host:port`. Nothing is sent before the caller has seen whom it speaks to.
   * Rejects when nobody answers.
   */
  open(address: string, timeoutMs: number): Promise<OpenDoor>;
}

/** One connection: what is posted goes to whoever showed this certificate, or nowhere. */
export interface OpenDoor {
  /** SHA-256 of the certificate of the other side, in hexadecimal digits. */
  readonly fingerprint: string;
  /** The other side is on this machine. */
  readonly local: boolean;
  post(path: string, body: Uint8Array, options: PoolDoorOptions): Promise<Posted>;
  close(): void;
}

export interface PoolDoorOptions {
  readonly timeoutMs: number;
  /** Sent as the bearer's token. */
  readonly invitation?: string;
}

export interface Posted {
  readonly status: number;
  readonly body: Uint8Array;
}
