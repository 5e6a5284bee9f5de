import { own } from '../std/own.ts';

// The command line that follows `xe`: a command, then `name=value`, switches and bare words.

export interface CommandLine {
  readonly command: string;
  /** In the order in which they were given; a name may come more than once. */
  readonly params: readonly (readonly [name: string, value: string])[];
}

/** Thrown where no command can be made out. */
export class CommandLineError extends Error {
  constructor() {
    super('Syntax error');
    this.name = 'CommandLineError';
  }
}

/** Short switches, which take the word after them as their value. */
const short: Readonly<Record<string, string>> = {
  s: 'server',
  h: 'server',
  p: 'port',
  u: 'username',
  pw: 'password',
  pwf: 'pwfile',
};

/** Everything after the first `=` is the value; a word without one has an empty value. */
const pairOf = (word: string): readonly [string, string] => {
  const at = word.indexOf('=');
  return at < 0 ? [word, ''] : [word.slice(0, at), word.slice(at + 1)];
};

/** The words of a command as a client sends them, each on a line of its own. */
export const wordsOf = (body: string): readonly string[] =>
  body === '' ? [] : body.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));

export const parseCommandLine = (argv: readonly string[]): CommandLine => {
  const [command, ...words] = argv;
  if (command === undefined || command.includes('=')) throw new CommandLineError();
  const params: (readonly [string, string])[] = [];
  while (words.length > 0) {
    const word = words.shift() ?? '';
    if (word.startsWith('--')) {
      params.push([word.slice(2), 'true']);
    } else if (word.startsWith('-')) {
      const name = own(short, word.slice(1));
      const value = words.shift();
      if (name === undefined || value === undefined) throw new CommandLineError();
      params.push([name, value]);
    } else {
      params.push(pairOf(word));
    }
  }
  return { command, params };
};
