/** Files that stand somewhere under a URL. */
export interface Web {
  /**
   * Asks for a file by HTTP or HTTPS, and goes where it is sent on to. Certificates have to be trusted by
   * this machine. Rejects with `WebFailure`.
   */
  get(url: URL, asked: WebAsked): Promise<WebFile>;
}

export interface WebAsked {
  /** Whether what only this machine reaches may be asked: its loopback, and the links that it is on. */
  readonly within: boolean;
  readonly signal: AbortSignal;
}

export interface WebFile {
  /** As it arrives, no more ahead than is taken. Throws `BodyBroken` where it ends early, or falls silent. */
  readonly bytes: AsyncIterable<Uint8Array>;
  close(): void;
}

export class WebFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WebFailure';
  }
}
