import type { CommandRun } from './command.ts';
import { CommandFailure } from './failures.ts';

/** A line that is typed, of at most so many bytes. */
const lineBytesMax = 4_096;

/** Asks on the terminal, unless `force` was given. False: the user does not want it, and was told so. */
export const confirmed = async (
  { client, params }: CommandRun,
  warning: readonly string[],
): Promise<boolean> => {
  if (params.get('force') !== undefined && params.flag('force')) return true;
  const print = (text: string): Promise<void> => client.tell({ kind: 'print', text });
  for (const line of warning) await print(line);
  await print("Type 'yes' to continue");
  await client.tell({ kind: 'prompt' });
  const typed = (await client.blob(lineBytesMax)).toString('utf8').trim();
  if (typed.toLowerCase() === 'yes') return true;
  await print(`Aborted (you typed: '${typed}')`);
  return false;
};

/** Throws where `force` was not given. */
export const assertForced = ({ params }: CommandRun): void => {
  if (params.flag('force')) return;
  throw new CommandFailure('This may lose data or cut others off: add --force where it is meant');
};

/** The content of a file that the user named in full. */
export const loaded = async ({ client }: CommandRun, file: string, what: string): Promise<Buffer> => {
  await client.tell({ kind: 'load', file });
  if ((await client.reply()).kind !== 'ok') throw new CommandFailure(`Failed to read ${what}`);
  return client.blob(loadBytesMax);
};

/** What a client may send of a file; larger ones go to a door of their own. */
export const loadBytesMax = 33_554_432;
