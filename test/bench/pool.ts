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

/** The product in a process of its own, with the simulated hypervisor, for measuring from outside. */
export interface Pool {
  readonly url: URL;
  /** A client with a connection of its own, logged in. */
  client(): Promise<Client>;
  close(): Promise<void>;
}

export interface Client {
  call(method: string, ...params: readonly Value[]): Promise<Value>;
}

const password = 'bench';
const program = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const limits = { depthMax: 64, itemsMax: 10_000_000, textMax: 1 << 29 };

export const openPool = async (): Promise<Pool> => {
  const data = await mkdtemp(join(tmpdir(), 'xenact-bench-'));
  const flags = ['--data', data, '--http-port', '0', '--https-port', '0', '--hypervisor', 'sim'];
  const child = spawn(process.execPath, [program, 'up', ...flags, '--root-password', password], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await readyUrl(child);
  const agents: Agent[] = [];
  return {
    url,
    client: async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agents.push(agent);
      const session = (await post(url, agent, 'session.login_with_password', ['root', password])) as string;
      return { call: (method, ...params) => post(url, agent, method, [session, ...params]) };
    },
    close: async () => {
      for (const agent of agents) agent.destroy();
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
      await rm(data, { recursive: true, force: true });
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
