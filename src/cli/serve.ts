import type { Duplex } from 'node:stream';
import type { Clock } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { type CommandLine, CommandLineError, parseCommandLine, wordsOf } from './arguments.ts';
import type { Api, Command } from './command.ts';
import { type ByteSource, ClientGone, type Conversation, converse } from './conversation.ts';
import { CommandFailure, Ended, ParameterFailure } from './failures.ts';
import { faultText } from './fault-text.ts';
import { FrameFailure } from './frames.ts';
import { type CommandWords, givenOf } from './given.ts';
import { printHelp } from './help.ts';
import { minimalPrinter, plainPrinter } from './printer.ts';

/** Who runs a command: by a session that is open already, or by a user's name and password. */
export type RunBy =
  | { readonly session: string }
  | { readonly user: string; readonly password: string; readonly local?: true };

/** The API as somebody uses it. */
export interface OpenApi extends Api {
  /** Ends what was opened for the command alone. Never rejects. */
  close(): Promise<void>;
}

export interface CommandServing {
  readonly commands: readonly Command[];
  readonly clock: Clock;
  readonly log: Log;
  /** Rejects with a `Fault`. `gone` ends what waits on behalf of the client. */
  open(credentials: RunBy, gone: AbortSignal): Promise<OpenApi>;
}

/** A client has so long for its greeting. */
const greetMs = 15_000;
const usageHint = "For usage run: 'xe help'\n";

/**
 * One command of one client, from the greeting to the exit: what was asked for is in `body`. Never rejects,
 * and leaves the stream open for its owner to close.
 */
export const serveCommand = async (
  stream: Duplex,
  source: ByteSource,
  body: string,
  serving: CommandServing,
): Promise<void> => {
  try {
    const client = await converse(stream, source, { clock: serving.clock, greetMs });
    const status = await run(client, body, serving);
    await client.tell({ kind: 'exit', status });
  } catch (error) {
    // Nobody is there to hear of it.
    if (error instanceof ClientGone || error instanceof FrameFailure) return;
    serving.log.error({ error }, 'A command ended with something that nobody expected');
  }
};

/** Says what went wrong, and answers the status of the command. */
const run = async (client: Conversation, body: string, serving: CommandServing): Promise<number> => {
  const refuse = async (text: string): Promise<number> => {
    await client.tell({ kind: 'print-error', text });
    return 1;
  };
  const [first, ...rest] = wordsOf(body);
  const session = first?.startsWith('session_id=') ? first.slice('session_id='.length) : undefined;
  const line = parsed(session === undefined ? wordsOf(body) : rest);
  if (line === undefined) return refuse(`Syntax error: \n${usageHint}`);
  const params = givenOf(line.params);
  const isMinimal = params.get('minimal') === 'true';
  const print = isMinimal ? minimalPrinter(client) : plainPrinter(client);
  if (line.command === 'help') {
    await helped(serving, params, print, isMinimal);
    return 0;
  }
  const command = serving.commands.find(({ name }) => name === line.command);
  if (command === undefined) return refuse(`Unknown command: ${line.command}\n${usageHint}`);
  const missing = command.required?.find((name) => params.get(name) === undefined);
  if (missing !== undefined) return refuse(`Required parameter not found: ${missing}\n${usageHint}`);
  const user = params.get('username') ?? '';
  if (session === undefined && user === '')
    return refuse(`Username/password must be specified\n${usageHint}`);
  const { local } = command;
  const password = params.get('password') ?? '';
  const by = session === undefined ? { user, password, ...(local && { local }) } : { session };
  let api: OpenApi;
  try {
    api = await serving.open(by, client.gone);
  } catch (error) {
    const isWrong = error instanceof Fault && error.code === 'SESSION_AUTHENTICATION_FAILED';
    if (isWrong) return refuse(`Authentication failed\n${usageHint}`);
    return failed(client, error, undefined, serving);
  }
  try {
    await command.run({ api, params, print, client, clock: serving.clock });
    await print.end();
    return 0;
  } catch (error) {
    return await failed(client, error, api, serving);
  } finally {
    await api.close();
  }
};

/** Words that belong to whoever connects and not to the command. */
const ofClient = ['username', 'password', 'minimal', 'all'];

const helped = async (
  { commands }: CommandServing,
  { pairs, get }: CommandWords,
  print: ReturnType<typeof plainPrinter>,
  isMinimal: boolean,
): Promise<void> => {
  const words = pairs.map(([name]) => name).filter((name) => !ofClient.includes(name));
  const shown = commands.filter(({ hidden }) => hidden !== true);
  if (isMinimal && words.length === 0)
    await print.list(
      shown.filter((one) => get('all') === 'true' || one.standard === true).map(({ name }) => name),
    );
  else await printHelp(commands, words, get('all') === 'true', print);
  await print.end();
};

const parsed = (words: readonly string[]): CommandLine | undefined => {
  try {
    return parseCommandLine(words);
  } catch (error) {
    if (error instanceof CommandLineError) return undefined;
    throw error;
  }
};

/** Tells the client why a command failed, as its kind of failure asks for. */
const failed = async (
  client: Conversation,
  error: unknown,
  api: Api | undefined,
  { log }: CommandServing,
): Promise<number> => {
  if (error instanceof Ended) return error.status;
  if (error instanceof ClientGone || error instanceof FrameFailure) throw error;
  if (error instanceof CommandFailure) {
    await client.tell({ kind: 'print-error', text: `Error: ${error.message}\n` });
  } else if (error instanceof ParameterFailure) {
    await client.tell({ kind: 'error', code: 'Missing parameter', params: [error.parameter] });
  } else {
    if (!(error instanceof Fault))
      log.error({ error }, 'A command failed with something that is not a fault');
    const text = await faultText(error, api);
    if (typeof text === 'string') await client.tell({ kind: 'print-error', text });
    else await client.tell({ kind: 'error', ...text });
  }
  return 1;
};
