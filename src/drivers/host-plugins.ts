import { join } from 'node:path';
import { readXmlRpcResponse } from '../codec/xmlrpc-reader.ts';
import { xmlCall } from '../codec/xmlrpc-writer.ts';
import { DecodeFailure } from '../std/decode-failure.ts';
import type { Struct, Value } from '../std/value.ts';
import type { Disk } from './disk.ts';
import { type Finished, type Processes, ProcessFailure } from './processes.ts';

// Plugins of a host: executables of one folder, run once for each call. The call is the one argument, in
// XML-RPC: the function by name, a session, and the arguments. The answer is printed as the XenAPI answers.

export interface HostPlugins {
  /** What the function answers. Rejects with `PluginMissing`, `PluginFailed` or `PluginRefusal`. */
  run(plugin: string, call: PluginCall): Promise<string>;
}

export interface PluginCall {
  readonly fn: string;
  readonly session: string;
  readonly args: ReadonlyMap<string, string>;
  readonly signal: AbortSignal;
}

/** There is no such plugin. */
export class PluginMissing extends Error {
  constructor(plugin: string) {
    super(`There is no plugin ${plugin} on this host`);
    this.name = 'PluginMissing';
  }
}

/** It ended, and not as plugins do. */
export class PluginFailed extends Error {
  readonly stdout: string;
  readonly stderr: string;

  constructor(reason: string, { stdout, stderr }: Partial<Finished> = {}) {
    super(reason);
    this.name = 'PluginFailed';
    this.stdout = (stdout ?? '').slice(0, quotedMax);
    this.stderr = (stderr ?? '').slice(-quotedMax);
  }
}

/** The plugin's own answer that it did not do it: a code and parameters of the XenAPI. */
export class PluginRefusal extends Error {
  readonly code: string;
  readonly params: readonly string[];

  constructor(code: string, params: readonly string[]) {
    super(`${code}(${params.join(', ')})`);
    this.name = 'PluginRefusal';
    this.code = code;
    this.params = params;
  }
}

const quotedMax = 4_096;
const runMsMax = 24 * 60 * 60_000;
const outputBytesMax = 16 * 1024 * 1024;
const refusalParamsMax = 32;

/** A plugin is called by the name of its file, and by no way to it. */
const isName = (name: string): boolean => /^[^/\0]{1,255}$/.test(name) && name !== '.' && name !== '..';

/** Without a folder there are none. */
export const hostPluginsIn = (
  { disk, processes }: { readonly disk: Disk; readonly processes: Processes },
  folder: string | undefined,
): HostPlugins => ({
  run: async (plugin, { fn, session, args, signal }) => {
    const path = folder !== undefined && isName(plugin) ? join(folder, plugin) : undefined;
    if (path === undefined || !(await disk.isExecutable(path))) throw new PluginMissing(plugin);
    const argument = xmlCall(fn, [session, new Map(args) as Struct]);
    const finished = await processes
      .run(path, [argument], { timeoutMs: runMsMax, outputMax: outputBytesMax, signal })
      .catch((error: unknown) => {
        signal.throwIfAborted();
        if (error instanceof ProcessFailure) throw new PluginFailed(error.message);
        throw error;
      });
    return pluginAnswer(finished);
  },
});

/** What a plugin printed: a text, or its refusal. */
export const pluginAnswer = (finished: Finished): string => {
  const { code, signal, stdout } = finished;
  if (signal !== null) throw new PluginFailed(`signal: ${signal}`, finished);
  if (code !== 0) throw new PluginFailed('non-zero exit', finished);
  const response = parsed(stdout, finished);
  if (response.kind === 'success' && typeof response.value === 'string') return response.value;
  if (response.kind === 'failure') throw refusalOf(response.error, finished);
  if (response.kind === 'fault')
    throw new PluginFailed(`fault ${response.code}: ${response.message}`, finished);
  throw new PluginFailed('It answered something other than a text', finished);
};

const parsed = (stdout: string, finished: Finished): ReturnType<typeof readXmlRpcResponse> => {
  try {
    return readXmlRpcResponse(stdout);
  } catch (error) {
    if (!(error instanceof DecodeFailure)) throw error;
    throw new PluginFailed(`Its answer is not XML-RPC: ${error.message}`, finished);
  }
};

const refusalOf = (error: Value, finished: Finished): Error => {
  const texts = Array.isArray(error) ? (error as readonly Value[]).slice(0, refusalParamsMax) : [];
  const [code, ...params] = texts.filter((one): one is string => typeof one === 'string');
  if (code === undefined || params.length + 1 !== texts.length) {
    return new PluginFailed('It failed without saying why', finished);
  }
  return new PluginRefusal(code, params);
};
