// Goal: one command makes a pool of three survive the loss of any one host.
// Method: three built programs with a real etcd each; `xenact engine` as an operator types it; a client that changes rows
//   while the coordinator is killed.
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noEtcd } from '../etcd-cluster.ts';
import { freePorts } from '../free-ports.ts';
import type { Session } from './client.ts';
import { eventually, type Lab, leaderOf, leaderSession, type PoolHost, poolOf } from './hosts.ts';
import { program } from './xenact.ts';

let pool: Lab;

/** What `xenact engine` says on a host. Resolves when it ends. */
const engine = (
  host: PoolHost,
  ...args: readonly string[]
): Promise<{ status: number | null; said: string }> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [program, 'engine', ...args, '--data', host.data], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    child.once('close', (status) => resolve({ status, said }));
  });

interface Writing {
  /** Ends it; answers the keys that were acknowledged and are missing. */
  stop(): Promise<{ readonly acknowledged: number; readonly missing: readonly string[] }>;
}

/** A client that adds keys to the pool's other_config, one after the other, wherever it is answered. */
const write = (prefix: string): Writing => {
  const acknowledged: string[] = [];
  let goes = true;
  const add = async (session: Session, key: string): Promise<void> => {
    const [ref = ''] = (await session.call('pool.get_all')) as string[];
    await session.call('pool.add_to_other_config', ref, key, 'x');
    acknowledged.push(key);
  };
  const run = async (): Promise<void> => {
    for (let next = 0; goes; ) {
      const session = await leaderSession(pool.hosts).catch(() => undefined);
      // A change whose answer was lost may be there all the same, so each has a key of its own.
      while (goes && session !== undefined) {
        next += 1;
        try {
          await add(session, `${prefix}-${next}`);
        } catch {
          break;
        }
      }
    }
  };
  const running = run();
  return {
    stop: async () => {
      goes = false;
      await running;
      return eventually(async () => {
        const session = await leaderSession(pool.hosts);
        const [ref = ''] = (await session.call('pool.get_all')) as string[];
        const there = (await session.call('pool.get_other_config', ref)) as ReadonlyMap<string, unknown>;
        const missing = acknowledged.filter((key) => !there.has(key));
        return { acknowledged: acknowledged.length, missing };
      });
    },
  };
};

describe.skipIf(noEtcd)(`xenact engine${noEtcd ? ` (skipped: ${noEtcd})` : ''}`, () => {
  beforeAll(async () => {
    pool = await poolOf(3);
  }, 60_000);
  afterAll(() => pool.close());

  test('makes a pool of three survive the loss of any one host, by one command', {
    timeout: 180_000,
  }, async () => {
    const [clientPort, peerPort] = await freePorts(2);
    const ports = ['--client-port', `${clientPort}`, '--peer-port', `${peerPort}`];
    const made = await engine(pool.host(0), 'init', ...ports);
    expect(made.said).toMatch(/^engine etcd\n.*3 of 3 members well/s);
    // A member that takes the new log says that it is starting.
    let refused = await engine(pool.host(1), 'init', ...ports);
    while (refused.said.includes('try again in a moment'))
      refused = await engine(pool.host(1), 'init', ...ports);
    expect(refused.said).toContain('run it on the coordinator');
    for (let killed = 0; killed < 3; killed += 1) {
      const leader = await leaderOf(pool.hosts);
      const writing = write(`kill-${killed}`);
      await leader.down('SIGKILL');
      const others = pool.hosts.filter((host) => host !== leader);
      const next = await leaderOf(others);
      expect(next).not.toBe(leader);
      await leader.up();
      const { acknowledged, missing } = await writing.stop();
      expect(missing).toEqual([]);
      expect(acknowledged).toBeGreaterThan(0);
    }
  });
});
