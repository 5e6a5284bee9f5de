import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { Inspection } from '../../src/pool/inspection.ts';
import type { Value } from '../../src/std/value.ts';
import { clean } from '../e2e/xenact.ts';
import { processorMs, residentBytes } from './process-facts.ts';

/** The product in a process of its own, with the simulated hypervisor, for measuring from outside. */
export interface Pool {
  readonly url: URL;
  readonly port: number;
  readonly https: URL;
  readonly data: string;
  readonly pid: number;
  readonly process: ChildProcess;
  /** From the start of the process until it said that it is ready. */
  readonly startMs: number;
  /** Memory that the process holds, its daemons not counted. */
  residentBytes(): Promise<number>;
  /** Processor time that the process has used. */
  processorMs(): Promise<number>;
  /** A client with a connection of its own, logged in. */
  client(): Promise<Client>;
  /** What `xenact inspect` would show of it. */
  inspect(): Promise<Inspection>;
  close(): Promise<void>;
}

export interface Client {
  readonly session: string;
  call(method: string, ...params: readonly Value[]): Promise<Value>;
}

export const password = 'bench';
/** A host that waits for others may wait for ever. */
const readyMsMax = 60_000;
/** For whoever looks closer: such as `--cpu-prof`. */
const nodeFlags = (process.env['XENACT_BENCH_NODE_FLAGS'] ?? '').split(' ').filter((flag) => flag !== '');
const program = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const limits = { depthMax: 64, itemsMax: 10_000_000, textMax: 1 << 29 };

/** A folder that is there already is kept. `more`: flags of `xenact up`. */
export const openPool = async (folder?: string, more: readonly string[] = []): Promise<Pool> => {
  const data = folder ?? (await mkdtemp(join(tmpdir(), 'xenact-bench-')));
  const began = performance.now();
  const ports = ['--http-port', '0', '--https-port', '0', '--mesh-port', '0'];
  const flags = ['--data', data, ...ports, '--hypervisor', 'sim'];
  const child = spawn(
    process.execPath,
    [...nodeFlags, program, 'up', ...flags, '--root-password', password, ...more],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const [url, https] = await readyUrls(child);
  const startMs = performance.now() - began;
  const agents: Agent[] = [];
  return {
    url,
    port: Number(url.port),
    https,
    data,
    pid: child.pid as number,
    process: child,
    startMs,
    residentBytes: () => residentBytes(child.pid as number),
    processorMs: () => processorMs(child.pid as number),
    client: async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agents.push(agent);
      const session = (await post(url, agent, 'session.login_with_password', ['root', password])) as string;
      return { session, call: (method, ...params) => post(url, agent, method, [session, ...params]) };
    },
    inspect: () => inspect(url),
    close: async () => {
      for (const agent of agents) agent.destroy();
      const ended = child.exitCode !== null || child.signalCode !== null;
      const gone = ended ? undefined : once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
      if (folder === undefined) await clean(data);
    },
  };
};

const readyUrls = async (child: ChildProcess): Promise<readonly [http: URL, https: URL]> => {
  if (child.stdout === null) throw new Error('xenact has no output');
  const impatient = setTimeout(() => child.kill('SIGKILL'), readyMsMax);
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /^xenact ready: (\S+) (\S+)/.exec(line);
    if (found === null) continue;
    clearTimeout(impatient);
    return [new URL(found[1] as string), new URL(found[2] as string)];
  }
  throw new Error(`xenact ended, or was not ready within ${readyMsMax / 1_000} s`);
};

const inspect = async (url: URL): Promise<Inspection> => {
  const authorization = `Basic ${Buffer.from(`root:${password}`).toString('base64')}`;
  const answer = await fetch(new URL('/inspect?host=', url), { headers: { authorization } });
  if (answer.status !== 200) throw new Error(`/inspect: ${answer.status} ${await answer.text()}`);
  const [seen] = (await answer.json()) as Inspection[];
  return seen as Inspection;
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
