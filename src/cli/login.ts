import { own } from '../std/own.ts';

/** What the client keeps to itself of a command line, and what goes to the server. */
export interface Login {
  readonly server: string | undefined;
  readonly port: string | undefined;
  readonly user: string;
  readonly password: string;
  readonly passwordFile: string | undefined;
  readonly plain: boolean;
  readonly insecure: boolean;
  readonly debug: boolean;
  readonly words: readonly string[];
}

const valued: Readonly<Record<string, string>> = {
  ...{ '-s': 'server', '-h': 'server', '-p': 'port', '-u': 'username', '-pw': 'password' },
  ...{ '-pwf': 'passwordfile', '--traceparent': 'traceparent' },
};
const switches: Readonly<Record<string, string>> = {
  ...{ '--nossl': 'nossl', '--debug': 'debug', '--debug-on-fail': 'debugonfail', '--insecure': 'insecure' },
};
const kept = new Set([...Object.values(valued), ...Object.values(switches)]);

/** Takes what is the client's own out of a list of words. Of what comes twice the first counts. */
const taken = (words: readonly string[], options: Map<string, string>): readonly string[] => {
  const rest: string[] = [];
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] as string;
    const option = own(valued, word);
    const toggle = own(switches, word);
    const at = word.indexOf('=');
    const name = at < 0 ? '' : word.slice(0, at);
    const put = (key: string, value: string): void => void (options.has(key) || options.set(key, value));
    if (option !== undefined) {
      i += 1;
      put(option, words[i] ?? '');
    } else if (toggle !== undefined) put(toggle, 'true');
    else if (kept.has(name)) put(name, word.slice(at + 1));
    else rest.push(word);
  }
  return rest;
};

/** Commas part the words of `XE_EXTRA_ARGS`; a backslash keeps one. */
const extraWords = (text: string): readonly string[] =>
  text === ''
    ? []
    : [...text.matchAll(/(?:\\.|[^,\\])+/gs)].map(([word]) => word.replaceAll(/\\(.)/gs, '$1'));

/** The command line counts before the environment, and that before the file `~/.xe`. */
export const loginOf = (
  args: readonly string[],
  extra: string | undefined,
  file: string | undefined,
): Login => {
  const options = new Map<string, string>();
  const words = taken(args, options);
  const more = taken(extraWords(extra ?? ''), options);
  const lines = (file ?? '').split('\n').map((line) => line.trim());
  const last = taken(
    lines.filter((line) => line !== ''),
    options,
  );
  const isSet = (name: string): boolean => options.has(name) && options.get(name) !== 'false';
  return {
    server: options.get('server'),
    port: options.get('port'),
    user: options.get('username') ?? 'root',
    // What the program of other servers sends where nobody gives one.
    password: options.get('password') ?? 'null',
    passwordFile: options.get('passwordfile'),
    plain: isSet('nossl'),
    insecure: isSet('insecure'),
    debug: isSet('debug'),
    words: [...words, ...more, ...last],
  };
};
