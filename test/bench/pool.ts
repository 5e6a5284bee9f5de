import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { Value } from '../../src/std/value.ts';
import { processorMs, residentBytes } from './process-facts.ts';

/** The product in a process of its own, with the simulated hypervisor, for measuring from outside. */
export interface Pool {
  readonly url: URL;
  readonly port: number;
  /** From the start of the process until it said that it is ready. */
  readonly startMs: number;
  /** Memory that the process holds, its daemons not counted. */
  residentBytes(): Promise<number>;
  /** Processor time that the process has used. */
  processorMs(): Promise<number>;
  /** A client with a connection of its own, logged in. */
  client(): Promise<Client>;
  close(): Promise<void>;
}

export interface Client {
  readonly session: string;
  call(method: string, ...params: readonly Value[]): Promise<Value>;
}

const password = 'bench';
/** For whoever looks closer: such as `--cpu-prof`. */
const nodeFlags = (process.env['XENACT_BENCH_NODE_FLAGS'] ?? '').split(' ').filter((flag) => flag !== '');
const program = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const limits = { depthMax: 64, itemsMax: 10_000_000, textMax: 1 << 29 };

/** A folder that is there already is kept. */
export const openPool = async (folder?: string): Promise<Pool> => {
  const data = folder ?? (await mkdtemp(join(tmpdir(), 'xenact-bench-')));
  const began = performance.now();
  const flags = ['--data', data, '--http-port', '0', '--https-port', '0', '--hypervisor', 'sim'];
  const child = spawn(
    process.execPath,
    [...nodeFlags, program, 'up', ...flags, '--root-password', password],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const url = await readyUrl(child);
  const startMs = performance.now() - began;
  const agents: Agent[] = [];
  return {
    url,
    port: Number(url.port),
    startMs,
    residentBytes: () => residentBytes(child.pid as number),
    processorMs: () => processorMs(child.pid as number),
    client: async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agents.push(agent);
      const session = (await post(url, agent, 'session.login_with_password', ['root', password])) as string;
      return { session, call: (method, ...params) => post(url, agent, method, [session, ...params]) };
    },
    close: async () => {
      for (const agent of agents) agent.destroy();
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
      if (folder === undefined) await rm(data, { recursive: true, force: true });
    },
  };
};

const readyUrl = async (child: ChildProcess): Promise<URL> => {
  if (child.stdout === null) throw new Error('xenact has no output');
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /^xenact ready: (\S+)/.exec(line);
    if (found !== null) return new URL(found[1] as string);
  }
  throw new Error('xenact ended before it was ready');
};

const post = async (url: URL, agent: Agent, method: string, params: readonly Value[]): Promise<Value> => {
  const response = readXmlRpcResponse(await exchange(url, agent, xmlCall(method, params)), limits);
  if (response.kind === 'success') return response.value;
  throw new Error(`${method}: ${JSON.stringify(response)}`);
};

const exchange = (url: URL, agent: Agent, body: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () => resolve(text));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
