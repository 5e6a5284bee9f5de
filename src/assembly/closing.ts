import type { Log } from '../std/log.ts';

/** What was opened, to be closed in the opposite order. */
export interface Closing {
  add(part: { close(): Promise<unknown> }): void;
  /** Closes everything, also when a part of it fails. Never rejects. */
  close(): Promise<void>;
}

export const closing = (log: Log): Closing => {
  const parts: { close(): Promise<unknown> }[] = [];
  return {
    add: (part) => {
      parts.push(part);
    },
    close: async () => {
      for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
        await part.close().catch((error: unknown) => log.warn({ error }, 'A part could not be closed'));
      }
    },
  };
};
