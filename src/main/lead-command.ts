import { askSocket } from './ask-socket.ts';
import { type Environment, folderFlags, readFlags } from './flags.ts';
import { leadPath } from './lead.ts';
import { pathsFor } from './paths.ts';

const help = `Usage: xenact lead [--force] [FLAG ...]

Orders the host that runs here to coordinate its pool. Run it as the user that xenact runs as. Where the
coordinator is there, it hands over. Where it is gone, and this host cannot know that it has every change, it
says what may be missing and does nothing.

  --force      lead all the same: what this host lacks is lost to the pool. Only while the coordinator is
               off, or cut off, and stays so. docs/pool.md says what becomes of what it had answered
  --data DIR   the host's data folder, or XENACT_DATA (default: as of xenact up)
`;

export const leadFlags = {
  force: { type: 'boolean', default: false },
  ...folderFlags,
} as const;

/** It asks the others first, and its disk may be slow. */
const askMsMax = 120_000;

export const leadCommand = async (
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> => {
  const { values: given } = readFlags(args, leadFlags, `\n${help}`);
  if (given.help) return write(help);
  const paths = pathsFor(given.data, environment);
  const { already } = await askSocket(paths, leadPath, { force: given.force }, askMsMax);
  write(already === true ? 'This host coordinates its pool already\n' : 'This host coordinates its pool\n');
};
