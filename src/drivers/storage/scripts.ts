import { join } from 'node:path';
import { readJson } from '../../codec/jsonrpc-reader.ts';
import { jsonValue } from '../../codec/jsonrpc-writer.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { listOf, member, stringOf } from '../../std/reader.ts';
import { type Struct, struct, type Value } from '../../std/value.ts';
import type { Disk } from '../disk.ts';
import { type Processes, ProcessFailure } from '../processes.ts';
import { type StorageCall, StorageError } from './storage.ts';

/** SMAPIv3 on its lowest level: folders of executables, one for each method, run once for each call. */
export interface ScriptFolder {
  readonly name: string;
  readonly path: string;
  /** Whether there is a script for `<Interface>.<method>`. */
  has(method: string): boolean;
  /** The method's result; `read` checks it, since a plugin is not to be trusted. */
  run<T>(method: string, args: ScriptArgs, call: StorageCall, read: (value: Value) => T): Promise<T>;
}

export type ScriptArgs = Readonly<Record<string, Value | undefined>>;

export interface ScriptFolders {
  /** By SR type and queue: `org.xen.xapi.storage.<type>`. */
  readonly volume: ReadonlyMap<string, ScriptFolder>;
  /** By URI scheme. */
  readonly datapath: ReadonlyMap<string, ScriptFolder>;
}

export interface ScriptLimits {
  /** After this long a script and its children are killed. */
  readonly runMsMax: number;
  readonly outputBytesMax: number;
}

export const scriptLimits: ScriptLimits = { runMsMax: 10 * 60_000, outputBytesMax: 16 * 1024 * 1024 };

const QUOTED_MAX = 200;
const ERROR_PARAMS_MAX = 32;

/**
 * Looks for `volume/<plugin>` and `datapath/<scheme>` below the roots; of two with one name the first counts.
 */
export const findScripts = async (
  given: { readonly disk: Disk; readonly processes: Processes; readonly limits: ScriptLimits },
  roots: readonly string[],
): Promise<ScriptFolders> => {
  const below = async (kind: string): Promise<ReadonlyMap<string, ScriptFolder>> => {
    const found = new Map<string, ScriptFolder>();
    for (const root of roots) {
      for (const { name, kind: entry } of await entriesOf(given.disk, join(root, kind))) {
        if (entry === 'file' || found.has(name)) continue;
        const path = join(root, kind, name);
        const scripts = await executablesOf(given.disk, path);
        if (scripts.size > 0)
          found.set(name, folderOf({ ...given, marks: marksOf(kind, root) }, name, path, scripts));
      }
    }
    return found;
  };
  return { volume: await below('volume'), datapath: await below('datapath') };
};

const MARK = 'XENACT_CALL';

/** In the environment of a call, by which it is found when who asked for it was killed. */
export const callMark = (root: string): string => `${MARK}=${root}`;

/** What datapaths leave running on purpose may be what guests have their disks from. */
const marksOf = (kind: string, root: string): Readonly<Record<string, string>> =>
  kind === 'volume' ? { [MARK]: root } : {};

const entriesOf = async (disk: Disk, folder: string): ReturnType<Disk['list']> => {
  try {
    return await disk.list(folder);
  } catch (error) {
    // A root need not have both kinds, and what looks like a plugin may be a link to a file.
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
};

/** Paths by the method's name in lower case: authors write both Plugin.Query and Plugin.query. */
const executablesOf = async (disk: Disk, folder: string): Promise<ReadonlyMap<string, string>> => {
  const found = new Map<string, string>();
  for (const { name, kind } of await entriesOf(disk, folder)) {
    const path = join(folder, name);
    if (kind !== 'folder' && name.includes('.') && (await disk.isExecutable(path))) {
      found.set(name.toLowerCase(), path);
    }
  }
  return found;
};

const folderOf = (
  {
    processes,
    limits,
    marks,
  }: {
    readonly processes: Processes;
    readonly limits: ScriptLimits;
    readonly marks: Readonly<Record<string, string>>;
  },
  name: string,
  path: string,
  scripts: ReadonlyMap<string, string>,
): ScriptFolder => ({
  name,
  path,
  has: (method) => scripts.has(method.toLowerCase()),
  run: async (method, args, call, read) => {
    const script = scripts.get(method.toLowerCase());
    if (script === undefined) {
      const why = 'Check whether the file exists and may be executed';
      throw new StorageError('SCRIPT_MISSING', [join(path, method), why]);
    }
    const finished = await processes
      .run(script, ['--json'], {
        stdin: jsonValue(struct({ dbg: call.debugInfo, ...args })),
        timeoutMs: limits.runMsMax,
        outputMax: limits.outputBytesMax,
        cwd: path,
        env: marks,
        ...(call.signal && { signal: call.signal }),
      })
      .catch((error: unknown) => {
        call.signal?.throwIfAborted();
        if (error instanceof ProcessFailure) throw failed(script, error.message);
        throw error;
      });
    const { code, signal, stdout, stderr } = finished;
    if (code === 0) return understood(script, stdout, read);
    const ended = signal === null ? `It ended with exit code ${code}` : `It was ended by ${signal}`;
    throw (
      refusalIn(stdout) ?? failed(script, ended, `stdout: ${quoted(stdout)}`, `stderr: ${quoted(stderr)}`)
    );
  },
});

const failed = (script: string, ...why: readonly string[]): StorageError =>
  new StorageError('SCRIPT_FAILED', [script, ...why]);

const understood = <T>(script: string, stdout: string, read: (value: Value) => T): T => {
  try {
    return read(readJson(stdout));
  } catch (error) {
    if (!(error instanceof DecodeFailure)) throw error;
    throw failed(script, `Its answer is not valid. ${error.message}`, `stdout: ${quoted(stdout)}`);
  }
};

/** The error that a script reports on its standard output, if that is what it printed. */
const refusalIn = (stdout: string): StorageError | undefined => {
  try {
    const error: Struct | Value = readJson(stdout);
    const params = listOf(member(error, 'params')).slice(0, ERROR_PARAMS_MAX);
    return new StorageError(
      stringOf(member(error, 'code')),
      params.map((param) => (typeof param === 'string' ? param : jsonValue(param))),
    );
  } catch (error) {
    if (error instanceof DecodeFailure) return undefined;
    throw error;
  }
};

const quoted = (output: string): string =>
  JSON.stringify(output.length > QUOTED_MAX ? `${output.slice(0, QUOTED_MAX)}...` : output);
