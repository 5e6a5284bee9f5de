import type { DestinationStream } from 'pino';

/** Of what this process has logged that is kept for reports. */
export const recentCharsMax = 1_048_576;

export interface RecentLines extends DestinationStream {
  /** The newest lines, oldest first. */
  text(): string;
}

/** Remembers the newest lines of a log on their way to where it goes. */
export const recentLines = (to: DestinationStream, charsMax = recentCharsMax): RecentLines => {
  let [older, newer]: [string[], string[]] = [[], []];
  let chars = 0;
  return {
    write: (line) => {
      to.write(line);
      newer.push(line);
      chars += line.length;
      if (chars < charsMax / 2) return;
      // The older half goes at once, so that a line costs no more than itself.
      [older, newer] = [newer, []];
      chars = 0;
    },
    text: () => [...older, ...newer].join(''),
  };
};
