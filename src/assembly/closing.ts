import { type Clock, within } from '../std/clock.ts';
import type { Log } from '../std/log.ts';

/** What was opened, to be closed in the opposite order. */
export interface Closing {
  /** What is opened after the end, by a start that had not come to its own end, is closed at once. */
  add(name: string, part: { close(): Promise<unknown> }): void;
  /**
   * Closes everything, also when a part of it fails. A part that takes too long is left as it is, so this
   * lasts `closingMsMax` and a little. Never rejects; answers the names of what was left. Once more: closes
   * what was opened since.
   */
  close(): Promise<readonly string[]>;
}

/** One part has this long. */
export const partMsMax = 5_000;
/** All parts together; those whose turn comes later have `partMsMin` each. */
export const closingMsMax = 14_000;
export const partMsMin = 250;

export const closing = (log: Log, clock: Clock): Closing => {
  const parts: { readonly name: string; readonly part: { close(): Promise<unknown> } }[] = [];
  const late: Promise<unknown>[] = [];
  let closed: Promise<readonly string[]> | undefined;
  const end = ({ name, part }: (typeof parts)[number]): Promise<unknown> =>
    part.close().catch((error: unknown) => log.warn({ error, part: name }, 'A part could not be closed'));
  const endAll = async (): Promise<readonly string[]> => {
    const left: string[] = [];
    const untilMs = clock.monotonicMs() + closingMsMax;
    for (let one = parts.pop(); one !== undefined; one = parts.pop()) {
      const leftMs = Math.max(partMsMin, Math.min(partMsMax, untilMs - clock.monotonicMs()));
      if (await within(clock, leftMs, end(one))) continue;
      log.warn({ part: one.name, leftMs }, 'A part was not closed in time, and is left as it is');
      left.push(one.name);
    }
    return left;
  };
  return {
    add: (name, part) => {
      if (closed !== undefined) late.push(end({ name, part }));
      else parts.push({ name, part });
    },
    close: async () => {
      const first = closed === undefined;
      closed ??= endAll();
      const left = await closed;
      const ended = await within(clock, partMsMax, Promise.all(late.splice(0)));
      return [...(first ? left : []), ...(ended ? [] : ['what was opened late'])];
    },
  };
};
