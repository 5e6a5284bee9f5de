import type { Command } from './command.ts';
import type { Printer } from './printer.ts';

/** Of `xe help`, which needs no login. */
export const help: Command = {
  name: 'help',
  doc: 'Lists the commands, or says what one of them takes.',
  standard: true,
  run: async () => {},
};

const lineMax = 78;

/** Names between commas, in lines that a terminal shows whole. */
const wrapped = (names: readonly string[]): string => {
  const lines = [''];
  for (const name of names.map((one, i) => (i < names.length - 1 ? `${one}, ` : one))) {
    const last = lines.length - 1;
    if ((lines[last] as string).length + name.trimEnd().length > lineMax) lines.push(name);
    else lines[last] += name;
  }
  return lines.map((line) => `    ${line.trimEnd()}`).join('\n');
};

const usage = [
  'Usage: xe COMMAND [NAME=VALUE ...] [--minimal] [--multiple] [--all]',
  '       [-s SERVER] [-u USER] [-pw PASSWORD | -pwf FILE] [-p PORT]',
  '',
  'A value with blanks in it stands in quotes: xe vm-param-set uuid=... name-label="My VM".',
].join('\n');

/** `words` is what follows `help`. */
export const printHelp = async (
  commands: readonly Command[],
  words: readonly string[],
  all: boolean,
  print: Printer,
): Promise<void> => {
  const shown = commands.filter(({ hidden }) => hidden !== true);
  if (words.length > 0) return printEach(commands, words, print);
  await print.message(`${usage}\n`);
  const part = async (title: string, names: readonly Command[]): Promise<void> => {
    await print.message(`${title}\n`);
    await print.message(`${wrapped(names.map(({ name }) => name))}\n`);
  };
  if (!all) {
    await part(
      'Commands that are used most:',
      shown.filter(({ standard }) => standard === true),
    );
    await print.message('All commands: xe help --all. What one of them takes: xe help COMMAND.\n');
    return;
  }
  const begins = (prefix: string) => shown.filter(({ name }) => name.startsWith(prefix));
  await part('Commands about hosts:', begins('host-'));
  await part('Commands about VMs:', begins('vm-'));
  await part(
    'Other commands:',
    shown.filter(({ name }) => !/^(host|vm)-/.test(name)),
  );
};

const printEach = async (commands: readonly Command[], words: readonly string[], print: Printer) => {
  for (const word of words) {
    const command = commands.find(({ name }) => name === word);
    if (command === undefined) await print.message(`Unknown command '${word}'`);
    else await print.table([described(command)]);
  }
};

const described = ({ name, required = [], optional = [], selects, doc }: Command) =>
  [
    ['command name        ', name],
    ['reqd params     ', required.join(', ')],
    [
      'optional params ',
      [...optional, ...(selects === undefined ? [] : [`<${selects}-selectors>`])].join(', '),
    ],
    ['description     ', doc],
  ] as const;
