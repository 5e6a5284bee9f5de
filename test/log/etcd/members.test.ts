// Goal: against real members of etcd a pool's log keeps its promises when members, hosts and connections fail.
// Method: three etcd processes on loopback, hosts in this process, one killed in a process of its own; connections
// through a relay that swallows.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connectEtcd } from '../../../src/drivers/node/etcd/etcd.ts';
import { lmdbDurable } from '../../../src/store/lmdb.ts';
import { type EtcdMember, leaderOf, noEtcd, startEtcd } from '../../etcd-cluster.ts';
import { booksOf, digest } from './pool.ts';
import { type RealHost, realHost, until, write } from './real-host.ts';

const large = ['--max-txn-ops', '16384', '--max-request-bytes', '10485760'];
const endpointsOf = (members: readonly EtcdMember[]): string[] => members.map(({ endpoint }) => endpoint);

const host = (...args: Parameters<typeof realHost>): RealHost => {
  const made = realHost(...args);
  onTestFinished(() => made.close());
  return made;
};

const alike = async (hosts: readonly RealHost[]): Promise<void> => {
  const digests = await Promise.all(hosts.map(digest));
  expect(new Set(digests).size).toBe(1);
};

/** A pool of two on three members. */
const begun = async (): Promise<{ members: readonly EtcdMember[]; first: RealHost; second: RealHost }> => {
  const members = await startEtcd(3, large);
  const first = host('first', endpointsOf(members), { mayBegin: true });
  await until([first], () => first.leads);
  const second = host('second', endpointsOf(members));
  await until([second], () => second.follows);
  return { members, first, second };
};

/** Writes until it is told to stop, by whichever host leads; what was acknowledged is noted. */
const writing = (hosts: readonly RealHost[]) => {
  const acknowledged: string[] = [];
  let stopped = false;
  const run = async (): Promise<void> => {
    for (let count = 0; !stopped; count += 1) {
      await until(hosts, () => stopped || hosts.some(({ leads }) => leads));
      const leader = hosts.find(({ leads }) => leads);
      const name = `book ${count}`;
      if (leader === undefined) continue;
      await write(leader, name).then(
        () => acknowledged.push(name),
        // One that is refused at once must not keep the machine from saying so.
        () => new Promise((resolve) => setImmediate(resolve)),
      );
    }
  };
  const running = run();
  return {
    acknowledged,
    stop: async () => {
      stopped = true;
      await running;
    },
  };
};

/** A way to a member that can begin to swallow what comes through it, without ending anything. */
const swallower = async (
  to: string,
): Promise<{
  readonly endpoint: string;
  swallow(on: boolean): void;
  /** Ends what is open. */
  cut(): void;
}> => {
  const [host = '', port = ''] = to.split(':');
  const sockets = new Set<Socket>();
  let swallows = false;
  const pass = (from: Socket, into: Socket): void => {
    from.on('data', (bytes) => {
      if (!swallows) into.write(bytes);
    });
    from.on('error', () => into.destroy());
    from.on('close', () => into.destroy());
    sockets.add(from);
  };
  const server = createServer((client) => {
    const member = connectTcp(Number(port), host);
    pass(client, member);
    pass(member, client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    endpoint: `127.0.0.1:${(server.address() as { port: number }).port}`,
    swallow: (on) => {
      swallows = on;
    },
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
};

describe.skipIf(noEtcd !== undefined)(
  `a pool on three members${noEtcd === undefined ? '' : `: ${noEtcd}`}`,
  () => {
    test('has the same rows on each host, and goes on under the other when one gives up', async () => {
      const { first, second } = await begun();
      await Promise.all(Array.from({ length: 50 }, (_, index) => write(first, `book ${index}`)));
      await until([second], () => booksOf(second).size === 50);
      await alike([first, second]);
      await first.close();
      await until([second], () => second.leads);
      await write(second, 'after');
      expect(booksOf(second).size).toBe(51);
    });

    test('loses nothing that it acknowledged when the leading member is killed, again and again', async () => {
      const { members, first, second } = await begun();
      const hosts = [first, second];
      const writes = writing(hosts);
      for (let round = 0; round < 3; round += 1) {
        const before = writes.acknowledged.length;
        await until(hosts, () => writes.acknowledged.length > before + 20);
        const leader = await leaderOf(members);
        await leader.kill();
        const after = writes.acknowledged.length;
        await until(hosts, () => writes.acknowledged.length > after + 20);
        await leader.start();
      }
      await writes.stop();
      await until(hosts, () =>
        writes.acknowledged.every((name) => hosts.every((one) => booksOf(one).has(name))),
      );
      await until(hosts, () => hosts.some(({ leads }) => leads) && hosts.some(({ follows }) => follows));
      await alike(hosts);
    });

    test('answers nothing without a quorum, and goes on with all that it acknowledged', async () => {
      const { members, first, second } = await begun();
      await write(first, 'before');
      await (members[1] as EtcdMember).kill();
      await (members[2] as EtcdMember).kill();
      let answered: boolean | undefined;
      const during = write(first, 'during').then(
        () => {
          answered = true;
        },
        () => {
          answered = false;
        },
      );
      await until([first, second], () => !first.leads && !second.leads);
      expect(answered).not.toBe(true);
      await Promise.all([(members[1] as EtcdMember).start(), (members[2] as EtcdMember).start()]);
      await until([first, second], () => first.leads || second.leads);
      const leader = first.leads ? first : second;
      await write(leader, 'after');
      await until([first, second], () =>
        [first, second].every((one) => booksOf(one).has('after') && booksOf(one).has('before')),
      );
      await during;
      expect(answered).toBe(booksOf(leader).has('during'));
      await alike([first, second]);
    });

    test('notices a watch that is cut without a word', async () => {
      const members = await startEtcd(3, large);
      const first = host('first', endpointsOf(members), { mayBegin: true });
      await until([first], () => first.leads);
      const [near, ...rest] = endpointsOf(members) as [string, ...string[]];
      const relay = await swallower(near);
      const second = host('second', [relay.endpoint, ...rest]);
      await until([second], () => second.follows);
      relay.swallow(true);
      await write(first, 'unheard');
      await until([second], () => booksOf(second).has('unheard'));
      await alike([first, second]);
    });

    test('reads everything anew where history is gone', async () => {
      const members = await startEtcd(3, large);
      const first = host('first', endpointsOf(members), { mayBegin: true });
      await until([first], () => first.leads);
      const relay = await swallower((members[0] as EtcdMember).endpoint);
      const second = host('second', [relay.endpoint]);
      await until([second], () => second.follows);
      relay.swallow(true);
      for (let count = 0; count < 10; count += 1) await write(first, `book ${count}`);
      const etcd = connectEtcd({ endpoints: endpointsOf(members) });
      const { header } = await etcd.range({ key: Buffer.from('x') });
      await etcd.compact(header.revision);
      etcd.close();
      relay.swallow(false);
      relay.cut();
      await until([second], () => booksOf(second).size === 10);
      await alike([first, second]);
    });

    test('has a member that is killed while it takes the log, which has all of it afterwards', {
      timeout: 120_000,
    }, async () => {
      const members = await startEtcd(3, large);
      const first = host('first', endpointsOf(members), { mayBegin: true });
      await until([first], () => first.leads);
      const folder = mkdtempSync(join(tmpdir(), 'xenact-replica-'));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      const writes = writing([first]);
      for (const enough of [10, 40, 80]) {
        const program = ['node_modules/vite-node/vite-node.mjs', 'test/log/etcd/take-log.ts', folder];
        const child = spawn(process.execPath, [...program, ...endpointsOf(members)], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        for await (const line of createInterface({ input: child.stdout })) if (Number(line) >= enough) break;
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      }
      await writes.stop();
      const again = host('child', endpointsOf(members), { durable: lmdbDurable(folder) });
      await until([again], () => again.follows && booksOf(again).size >= writes.acknowledged.length);
      for (const name of writes.acknowledged) expect(booksOf(again)).toContain(name);
      await alike([first, again]);
    });
  },
);
