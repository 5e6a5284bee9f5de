import type { Log } from '../std/log.ts';

/** What was opened, to be closed in the opposite order. */
export interface Closing {
  /** What is opened after the end, by a start that had not come to its own end, is closed at once. */
  add(part: { close(): Promise<unknown> }): void;
  /** Closes everything, also when a part of it fails. Never rejects. */
  close(): Promise<void>;
}

export const closing = (log: Log): Closing => {
  const parts: { close(): Promise<unknown> }[] = [];
  let closed = false;
  const end = (part: { close(): Promise<unknown> }): Promise<unknown> =>
    part.close().catch((error: unknown) => log.warn({ error }, 'A part could not be closed'));
  return {
    add: (part) => {
      if (closed) void end(part);
      else parts.push(part);
    },
    close: async () => {
      closed = true;
      for (let part = parts.pop(); part !== undefined; part = parts.pop()) await end(part);
    },
  };
};
