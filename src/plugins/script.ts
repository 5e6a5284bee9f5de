import { basename } from 'node:path';
import { own } from '../std/own.ts';
import { jsonIn } from '../std/reader.ts';
import type { OwnFolders } from '../std/repository-folder.ts';

// One SMAPIv3 call: the script's own name is the method, its arguments are a JSON object on standard
// input, its result is JSON on standard output. A refusal is printed likewise and the exit code is 1.

/** What a plugin can do, by `<Interface>.<method>`. */
export type Methods = Readonly<Record<string, ScriptMethod>>;

export interface ScriptMethod {
  (args: Args): Promise<unknown>;
  /** In JSON, of a method that always answers the same: it can be laid out as something cheaper. */
  readonly answer?: string;
}

/** Arguments as they came. Readers below refuse what is missing or of another kind. */
export type Args = Readonly<Record<string, unknown>>;

/** An answer for the caller: code and parameters reach the XenAPI client as they are. */
export class Refusal extends Error {
  readonly code: string;
  readonly params: readonly string[];

  constructor(code: string, params: readonly string[]) {
    super(`${code}(${params.join(', ')})`);
    this.name = 'Refusal';
    this.code = code;
    this.params = params;
  }
}

/** A refusal of the plugin's own, in words: what is wrong and what helps. */
export const failure = (what: string, detail = ''): Refusal =>
  new Refusal('SR_BACKEND_FAILURE', [what, '', detail]);

/** A method that answers this whatever it is asked. */
export const always = (answer: unknown): ScriptMethod =>
  Object.assign(async () => answer, { answer: JSON.stringify(answer) });

/** A method that has nothing to do. */
export const nothing = always(null);

/** The same methods, each within another; those that always answer the same stay as they are. */
export const wrapped = (methods: Methods, within: (method: ScriptMethod) => ScriptMethod): Methods =>
  Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      method.answer === undefined ? within(method) : method,
    ]),
  );

/** What all plugins of ours say of themselves alike. */
export const ofOurs = {
  vendor: 'Xenact',
  copyright: '',
  version: '1.0',
  required_api_version: '5.0',
  required_cluster_stack: [],
} as const;

const INPUT_CHARS_MAX = 4 * 1024 * 1024;

export interface OwnHost {
  readonly own: OwnFolders;
  /** Which host this is, among those that may have a folder. */
  readonly host: string;
}

/** What the script that started this process says of its host. */
export const ownHost = (): OwnHost => {
  const [, , , data, run, host] = process.argv;
  if (data?.startsWith('/') !== true || run?.startsWith('/') !== true || host === undefined)
    throw new Error('The script does not say which host it is of, and which folders are its own');
  return { own: { data, run }, host };
};

/** Runs the one call of this process: `node <module> <script> <data> <run> <host> --json`. */
export const serveScript = async (methods: Methods): Promise<void> => {
  const method = basename(process.argv[2] ?? '');
  try {
    const run = own(methods, method);
    if (run === undefined) throw failure('Not a method of this plugin', method);
    const result = await run(readArgs(await input()));
    process.stdout.write(`${JSON.stringify(result ?? null)}\n`);
  } catch (error) {
    process.exitCode = 1;
    process.stdout.write(`${JSON.stringify(report(error))}\n`);
  }
};

const input = async (): Promise<string> => {
  process.stdin.setEncoding('utf8');
  let text = '';
  for await (const chunk of process.stdin) {
    text += chunk;
    if (text.length > INPUT_CHARS_MAX) throw failure('The arguments are too long');
  }
  return text;
};

const readArgs = (text: string): Args => {
  const args = jsonIn(text);
  if (!isObject(args)) throw failure('The arguments are not an object of JSON');
  return args;
};

const report = (error: unknown) => {
  const { code, params, message } = error instanceof Refusal ? error : systemFailure(error);
  return { code, params, backtrace: { error: message, files: [], lines: [] } };
};

const systemFailure = (error: unknown): Refusal => {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return new Refusal('SR_BACKEND_FAILURE', [
    typeof code === 'string' ? code : 'Internal error',
    typeof message === 'string' ? message : String(error),
  ]);
};

export const isObject = (value: unknown): value is Args =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const wrong = (name: string, expected: string): Refusal =>
  failure(`The argument ${name} is missing or is not ${expected}`);

export const textOf = (args: Args, name: string): string => {
  const value = own(args, name);
  if (typeof value !== 'string') throw wrong(name, 'a text');
  return value;
};

export const flagOf = (args: Args, name: string): boolean => {
  const value = own(args, name);
  if (typeof value !== 'boolean') throw wrong(name, 'true or false');
  return value;
};

/** A whole number that JavaScript can count with exactly. */
export const bytesOf = (args: Args, name: string): number => {
  const value = own(args, name);
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrong(name, 'a size in bytes');
  return value as number;
};

export const textsOf = (args: Args, name: string): Readonly<Record<string, string>> => {
  const value = own(args, name);
  if (!isObject(value) || Object.values(value).some((item) => typeof item !== 'string')) {
    throw wrong(name, 'an object of texts');
  }
  return value as Readonly<Record<string, string>>;
};
