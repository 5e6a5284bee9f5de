import { divergedFiles, type KeptDiverged } from '../log/diverged.ts';
import { type Environment, folderFlags, readFlags, UsageError } from './flags.ts';
import { machine } from './machine.ts';
import { pathsFor } from './paths.ts';
import { StartFailure } from './start-failure.ts';

const help = `Usage: xenact diverged [show NAME | remove NAME] [FLAG ...]

Changes that this host had on its disk, some of them answered to clients, when another host was made the
coordinator without them. They are not in the pool. Run it as the user that xenact runs as, whether or not the
host runs.

  (nothing)      lists the files that hold them, one for each time
  show NAME      the rows of one: class, reference, fields as they were here
  remove NAME    removes a file that nobody needs any more

  --json         for programs
  --data DIR     the host's data folder, or XENACT_DATA (default: as of xenact up)
`;

export const divergedFlags = {
  json: { type: 'boolean', default: false },
  ...folderFlags,
} as const;

export const divergedCommand = async (
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> => {
  const { values, positionals } = readFlags(args, divergedFlags, `\n${help}`, true);
  const [act = 'list', name = '', ...more] = positionals;
  if (values.help) return write(help);
  const takesName = act === 'show' || act === 'remove';
  if ((!takesName && act !== 'list') || takesName !== (name !== '') || more.length > 0)
    throw new UsageError(`xenact diverged lists, or takes show NAME or remove NAME.\n\n${help}`);
  const paths = pathsFor(values.data, environment);
  const files = divergedFiles({ disk: machine.disk, folder: paths.diverged, now: machine.clock.now });
  if (act === 'remove') {
    if (!(await files.remove(name))) throw unknown(name);
    return write(`${name} is removed\n`);
  }
  const kept = await files.list();
  if (act === 'list')
    return write(
      values.json ? jsonOf(kept.map(({ rows, ...one }) => ({ ...one, rows: rows.length }))) : textOf(kept),
    );
  const one = kept.find((file) => file.name === name);
  if (one === undefined) throw unknown(name);
  write(values.json ? jsonOf(one) : rowsText(one));
};

const unknown = (name: string): StartFailure =>
  new StartFailure(`There is no file ${name} of such changes; xenact diverged lists those that there are`);

const jsonOf = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const textOf = (kept: readonly KeptDiverged[]): string =>
  kept.length === 0
    ? 'This host has nothing that its pool lacks\n'
    : kept
        .map(({ name, rows, from, to, epoch, at }) => {
          const when = new Date(at).toISOString();
          return (
            `${name}  ${rows.length} rows, generations ${from} to ${to} of epoch ${epoch}, set aside ` +
            `${when}\n`
          );
        })
        .join('');

const rowsText = ({ rows }: KeptDiverged): string =>
  rows
    .map(({ class: cls, ref, generation, deleted, fields }) =>
      deleted
        ? `${generation}  ${cls} ${ref} was deleted\n`
        : `${generation}  ${cls} ${ref}\n    ${JSON.stringify(fields)}\n`,
    )
    .join('');
