import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectEtcd } from '../src/drivers/node/etcd/etcd.ts';
import { freePorts } from './free-ports.ts';

const found = spawnSync('etcd', ['--version'], { encoding: 'utf8' });

/** Why tests against real members cannot run here; undefined when they can. */
export const noEtcd: string | undefined =
  found.status === 0 ? undefined : 'there is no etcd here: install the Debian package etcd-server';

export interface EtcdMember {
  readonly name: string;
  /** `host:port` for clients. */
  readonly endpoint: string;
  readonly folder: string;
  /** Ends it as a power cut would, as far as a process can tell. */
  kill(): Promise<void>;
  /** Resolves once it serves, which takes a quorum. */
  start(): Promise<void>;
  suspend(): void;
  resume(): void;
}

/** Real members on loopback, until they are closed. */
export const openEtcd = async (
  count: number,
  flags: readonly string[] = [],
  scheme: 'http' | 'https' = 'http',
): Promise<{ readonly members: readonly EtcdMember[]; close(): Promise<void> }> => {
  const folder = mkdtempSync(join(tmpdir(), 'xenact-etcd-'));
  const ports = await freePorts(2 * count);
  const names = Array.from({ length: count }, (_, index) => `m${index}`);
  const peer = (index: number) => `http://127.0.0.1:${ports[2 * index + 1]}`;
  const cluster = names.map((name, index) => `${name}=${peer(index)}`).join(',');
  const members = names.map((name, index) => {
    const client = `${scheme}://127.0.0.1:${ports[2 * index]}`;
    const folderOf = join(folder, name);
    return member(name, client, folderOf, [
      ...['--name', name, '--data-dir', folderOf, '--initial-cluster', cluster],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer(index), '--initial-advertise-peer-urls', peer(index)],
      ...['--initial-cluster-token', folder, '--logger', 'zap', ...flags],
    ]);
  });
  const close = async (): Promise<void> => {
    await Promise.all(members.map((one) => one.kill()));
    rmSync(folder, { recursive: true, force: true });
  };
  await Promise.all(members.map((one) => one.start())).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return { members, close };
};

const member = (name: string, url: string, folder: string, args: readonly string[]): EtcdMember => {
  let child: ChildProcess | undefined;
  return {
    name,
    endpoint: url.replace(/^https?:\/\//, ''),
    folder,
    start: () => {
      const begun = spawn('etcd', args, { stdio: ['ignore', 'ignore', 'pipe'] });
      child = begun;
      return serving(begun);
    },
    kill: async () => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
    suspend: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
  };
};

const serving = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (part) => {
      if (said.includes(ready)) return;
      said += part;
      if (said.includes(ready)) resolve();
    });
    child.once('exit', () => reject(new Error(`etcd ended: ${said.slice(-2_000)}`)));
  });

const ready = 'serving client traffic';

/** The member that leads the others now. */
export const leaderOf = async (members: readonly EtcdMember[]): Promise<EtcdMember> => {
  const etcd = connectEtcd({ endpoints: members.map(({ endpoint }) => endpoint) });
  try {
    for (const one of members) {
      const status = await etcd.status(one.endpoint).catch(() => undefined);
      if (status !== undefined && status.leader === status.header.memberId) return one;
    }
    throw new Error('No member leads');
  } finally {
    etcd.close();
  }
};
