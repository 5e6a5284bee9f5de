import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { connect as connectSecurely } from 'node:tls';
import { type CommandClient, obey } from '../cli/client.ts';
import { completionScript, completions } from '../cli/completion.ts';
import { type Login, loginOf } from '../cli/login.ts';
import { nodeClock } from '../drivers/node/clock.ts';
import { type Environment, UsageError } from './flags.ts';
import { pathsFor } from './paths.ts';
import { StartFailure } from './start-failure.ts';
import { fetchFile, isTrusted, joinTerminal, type Progress, sendFile, type XeServer } from './xe-transfer.ts';

const help = `Usage: xenact xe [-s SERVER] [-u USER] [-pw PASSWORD | -pwf FILE] COMMAND [NAME=VALUE ...]

The commands of xe. Without a server it is the host of this machine, reached as whoever may use its data
folder; xenact xe help lists the commands, and xenact xe help COMMAND says what one of them takes.

  -s, -h SERVER   the host to ask, over HTTPS; a member of a pool says where its coordinator is
  -p PORT         its port (default: 443)
  -u USER         who to log in as (default: root)
  -pw PASSWORD    the user's password; -pwf FILE: a file with the user and the password in two lines
  --insecure      take any certificate; else it must be signed by somebody whom NODE_EXTRA_CA_CERTS names
  --nossl         HTTP
  --debug         show what the server says of itself
  completion bash|zsh|fish   print what the shell is to read so that it completes commands

The file ~/.xe has such words as lines, XE_EXTRA_ARGS between commas; the data folder is XENACT_DATA.
`;

const text = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);

const readLogin = async (args: readonly string[], environment: Environment): Promise<Login> => {
  const login = loginOf(args, environment['XE_EXTRA_ARGS'], await text(join(homedir(), '.xe')));
  if (login.passwordFile === undefined) return login;
  const lines = (await text(login.passwordFile))?.split('\n');
  if (lines === undefined) throw new StartFailure(`${login.passwordFile} cannot be read`);
  return { ...login, user: (lines[0] ?? '').trim(), password: (lines[1] ?? '').trim() };
};

const serverOf = (login: Login, environment: Environment): XeServer => {
  const { server, port, plain, insecure } = login;
  if (server === undefined && port === undefined) {
    const { xapiSocket } = pathsFor(undefined, environment);
    return { options: { socketPath: xapiSocket }, secure: false, insecure };
  }
  const host = server ?? '127.0.0.1';
  const rejectUnauthorized = !isTrusted(host, insecure);
  const options = { host, port: Number(port ?? (plain ? 80 : 443)), rejectUnauthorized };
  return { options, secure: !plain, insecure };
};

const opened = ({ options, secure }: XeServer): Promise<Socket> =>
  new Promise((done, reject) => {
    const to = options as { host: string; port: number; rejectUnauthorized?: boolean };
    const socket: Socket = secure
      ? connectSecurely(to, () => done(socket))
      : connect(options.socketPath ? { path: options.socketPath } : to, () => done(socket));
    socket.once('error', ({ message }: Error) => {
      const where = options.socketPath ?? `${to.host}:${to.port}`;
      reject(new StartFailure(`${where} cannot be asked (${message}). Is xenact up there? Give it with -s.`));
    });
  });

/** Lines that are typed, one for each question; undefined once there are no more. */
const typedLines = (): { next(): Promise<string | undefined>; close(): void } => {
  let lines: ReturnType<typeof createInterface> | undefined;
  let each: AsyncIterator<string> | undefined;
  return {
    next: async () => {
      lines ??= createInterface({ input: process.stdin });
      each ??= lines[Symbol.asyncIterator]();
      const { value, done } = await each.next();
      return done === true ? undefined : value;
    },
    close: () => lines?.close(),
  };
};

const barWidth = 40;

/** Says on a terminal how far a file is. */
const bar = (): Progress & { end(): void } => {
  const { stderr } = process;
  let shown = '';
  const show: Progress = (doneBytes, totalBytes) => {
    if (!stderr.isTTY) return;
    const done = `${(doneBytes / 1_048_576).toFixed(1)} MiB`;
    const part = totalBytes === undefined || totalBytes === 0 ? undefined : doneBytes / totalBytes;
    const filled = part === undefined ? '' : '#'.repeat(Math.floor(part * barWidth)).padEnd(barWidth);
    const now = part === undefined ? done : `[${filled}] ${Math.floor(part * 100)} % ${done}`;
    if (now === shown) return;
    shown = now;
    stderr.write(`\r${now}`);
  };
  return Object.assign(show, { end: () => void (shown !== '' && stderr.write('\n')) });
};

/** False: it failed, and the user has been told. */
const unlessFailed = async (done: Promise<void>): Promise<boolean> => {
  try {
    await done;
    return true;
  } catch (error) {
    process.stderr.write(`Operation failed. Error: ${(error as Error).message}\n`);
    return false;
  }
};

const clientOf = (server: XeServer, login: Login, lines: ReturnType<typeof typedLines>): CommandClient => {
  const files = new Set(
    login.words
      .filter((word) => word.includes('='))
      .map((word) => resolve(word.slice(word.indexOf('=') + 1))),
  );
  return {
    out: (said) => void process.stdout.write(said),
    error: (said) => void process.stderr.write(said),
    line: lines.next,
    read: (file) => readFile(file).catch(() => undefined),
    named: (file) => files.has(resolve(file)),
    debug: login.debug,
    connect: (url) => unlessFailed(joinTerminal(server, url)),
    transfer: async (kind, file, url) => {
      const progress = bar();
      const moved = (kind === 'get' ? fetchFile : sendFile)(server, url, file, progress);
      return unlessFailed(moved.finally(progress.end));
    },
  };
};

/** Commands of VMs that may take long. */
const long = ['vm-start', 'vm-resume', 'vm-suspend', 'vm-shutdown', 'vm-reboot', 'vm-migrate'];

/** On a terminal they show how far they are. */
const withProgress = (words: readonly string[], isTerminal: boolean): readonly string[] =>
  isTerminal && long.includes(words[0] ?? '') && !words.some((word) => /^(--)?progress\b/.test(word))
    ? [...words, 'progress=true']
    : words;

const bodyOf = ({ words, user, password }: Login): readonly string[] => [
  ...words,
  `username=${user}`,
  `password=${password}`,
];

/** Candidates for the shell, one a line. */
const complete = async (words: readonly string[], environment: Environment): Promise<number> => {
  const asked = async (command: readonly string[]): Promise<string> => {
    const login = { ...(await readLogin([], environment)), words: command };
    const said: string[] = [];
    const server = serverOf(login, environment);
    const client = {
      ...clientOf(server, login, typedLines()),
      out: (more: string) => void said.push(more),
      error: () => {},
    };
    const status = await obey(await opened(server), bodyOf(login), client, nodeClock);
    return status === 0 ? said.join('').replace(/\n$/, '') : '';
  };
  for (const one of await completions(words, asked)) process.stdout.write(`${one}\n`);
  return 0;
};

/** `xenact xe`: answers the status to exit with. */
export const xeCommand = async (args: readonly string[], environment: Environment): Promise<number> => {
  const [first, shell, ...rest] = args;
  if (first === 'complete') return complete(shell === '--' ? rest : args.slice(1), environment);
  if (first === 'completion') {
    const script = completionScript(shell ?? '');
    if (script === undefined) throw new UsageError('xenact xe completion takes bash, zsh or fish.');
    process.stdout.write(script);
    return 0;
  }
  const login = await readLogin(args, environment);
  if (login.words.length === 0 || args.includes('--help') || args.includes('-help')) {
    process.stdout.write(help);
    return 0;
  }
  const server = serverOf(login, environment);
  const lines = typedLines();
  try {
    const words = withProgress(login.words, process.stderr.isTTY);
    const body = bodyOf({ ...login, words });
    return await obey(await opened(server), body, clientOf(server, login, lines), nodeClock);
  } finally {
    lines.close();
  }
};
