import { askSocket } from './ask-socket.ts';
import { type Environment, folderFlags, readFlags, UsageError } from './flags.ts';
import { leaksPath, type ToldLeak } from './leaks.ts';
import { pathsFor } from './paths.ts';

const help = `Usage: xenact leaks [clean] [FLAG ...]

What the host that runs here has and its pool does not know of, or does not need: guests without a VM,
disks that work left which was cut off, disks attached for nobody. Run it as the user that xenact runs as.

  (nothing)    lists them
  clean        ends such guests, lets such disks go and destroys what work left. Disks that were found on a
               repository stay, as only their owner knows: VDI.destroy destroys one

  --json       for programs
  --data DIR   the host's data folder, or XENACT_DATA (default: as of xenact up)
`;

export const leaksFlags = {
  json: { type: 'boolean', default: false },
  ...folderFlags,
} as const;

/** Guests are ended and storage is asked meanwhile. */
const askMsMax = 600_000;

export const leaksCommand = async (
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> => {
  const { values, positionals } = readFlags(args, leaksFlags, `\n${help}`, true);
  const [act = 'list', ...more] = positionals;
  if (values.help) return write(help);
  if (!['list', 'clean'].includes(act) || more.length > 0)
    throw new UsageError(`xenact leaks lists, or takes clean.\n\n${help}`);
  const paths = pathsFor(values.data, environment);
  const answer = await askSocket(paths, leaksPath, { clean: act === 'clean' }, askMsMax);
  const leaks = answer['leaks'] as readonly ToldLeak[];
  write(values.json ? `${JSON.stringify(leaks, null, 2)}\n` : textOf(leaks, act === 'clean'));
};

const textOf = (leaks: readonly ToldLeak[], cleaned: boolean): string =>
  leaks.length === 0
    ? 'This host has leaked nothing\n'
    : leaks.map((leak) => `${leak.kind}  ${leak.what}${cleaned ? outcomeOf(leak) : ''}\n`).join('');

const outcomeOf = ({ left }: ToldLeak): string => (left === undefined ? ': gone' : `: ${left}`);
