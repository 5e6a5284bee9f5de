import type { Duplex } from 'node:stream';

/** What a handler knows of a call beside its payload. */
export interface CallContext {
  /** The host that calls. */
  readonly from: string;
  /** The caller's epoch. Below this host's only where the handler takes any. */
  readonly epoch: number;
  /** The caller's, or ''. */
  readonly requestId: string;
  /** What was left of the caller's time when the call came in. */
  readonly timeoutMs: number;
  /** Aborts when the caller gives up, its time is over, or it went away and the call was to die with it. */
  readonly signal: AbortSignal;
}

/** Answers by its value; what it throws reaches the caller, a `Fault` as that fault. */
export type MeshHandler = (payload: any, context: CallContext) => unknown;

/** Throws to refuse; what it returns is given the stream once the other side has heard that it is open. */
export type StreamHandler = (
  payload: any,
  context: CallContext,
) => ((stream: Duplex) => void) | Promise<(stream: Duplex) => void>;

export interface ServeOptions {
  /** Hosts whose epoch is behind are answered too. */
  readonly anyEpoch?: boolean;
}

export type Service = { readonly anyEpoch: boolean } & (
  | { readonly kind: 'call'; readonly handle: MeshHandler }
  | { readonly kind: 'stream'; readonly handle: StreamHandler }
);
