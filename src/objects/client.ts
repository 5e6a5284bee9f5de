import type { Duplex } from 'node:stream';

/**
 * The bytes of whoever asked for an action, as the work sees them: by HTTP here, or on their way from
 * another host.
 */
export interface Client {
  /** How much it sends, where it says so. */
  readonly sizeBytes: bigint | undefined;
  /**
   * What it sends, as it arrives. A client that waits for a word before it sends is given it, so that only
   * the task is told of what goes wrong afterwards. Throws `BodyBroken` where it ended early.
   */
  body(): AsyncIterable<Uint8Array>;
  /** Begins what it is answered. Nobody is answered in full before the work has settled. */
  answer(head: AnswerHead): Sink;
  /** Lets it in where the action is `duplex`: bytes both ways from here on. */
  open(): Promise<Duplex>;
}

export interface AnswerHead {
  readonly type: string;
  /** Absent: the end of the answer says how much it is. */
  readonly sizeBytes?: bigint;
  /** Of the file, for clients that keep it. Of letters, digits, dots and dashes. */
  readonly name?: string;
}

export interface Sink {
  /**
   * Resolves when the client is ready for more: the memory may then be used again. Rejects when it went
   * away.
   */
  write(chunk: Uint8Array): Promise<void>;
}

/** The client of one piece of work, which ends with the signal. */
export type ClientFor = (signal: AbortSignal) => Client;
