// Goal: a pool makes, changes and keeps a cluster of etcd on its own hosts, and each refusal says what to do.
// Method: the engine of each host in this process, with a real etcd process and certificates for each.
import { once } from 'node:events';
import { type RequestOptions, request } from 'node:https';
import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { smallDisk } from '../e2e/small-disk.ts';
import { noEtcd } from '../etcd-cluster.ts';
import { clientOf, etcdPool, type TestHost, type TestPool } from './etcd-pool.ts';

const patience = { timeout: 60_000, interval: 100 } as const;
const key = Buffer.from('/test/key');

const init = ({ coordinator, ports }: TestPool): Promise<void> =>
  coordinator.engine.init({ members: 'auto', ...ports });
const put = async (host: TestHost, value: string): Promise<void> => {
  const etcd = await clientOf(host);
  const { succeeded } = await etcd.txn({
    compare: [],
    success: [{ put: { key, value: Buffer.from(value) } }],
    failure: [],
  });
  expect(succeeded).toBe(true);
};
const get = async (host: TestHost): Promise<string> => {
  const { kvs } = await (await clientOf(host)).range({ key });
  return Buffer.from(kvs[0]?.value ?? '').toString();
};
const parts = async ({ coordinator }: TestPool): Promise<readonly string[]> =>
  (await coordinator.engine.status()).hosts.map(({ part }) => part);
const allWell = (pool: TestPool, members: number) =>
  vi.waitFor(async () => {
    const { cluster } = await pool.coordinator.engine.status();
    expect(cluster).toMatchObject({ voters: members, well: members });
  }, patience);
const said = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'done',
    ({ message }: Error) => message,
  );

describe.skipIf(noEtcd)(`a cluster on the hosts of a pool${noEtcd ? ` (skipped: ${noEtcd})` : ''}`, () => {
  test('one order makes a cluster of three, and the fourth host is its client', {
    timeout: 90_000,
  }, async () => {
    const pool = await etcdPool(4);
    const [, , third, fourth] = pool.hosts as [TestHost, TestHost, TestHost, TestHost];
    await init(pool);
    expect(await parts(pool)).toEqual(['member', 'member', 'member', 'client']);
    await put(fourth, 'of a client');
    expect(await get(third)).toBe('of a client');
    expect(await said(init(pool))).toContain('has its cluster already');
    expect(await said(third.engine.init({ members: 'auto', ...pool.ports }))).toContain('HOST_IS_SLAVE');
  });

  test('members that are killed come back, and no change is taken while most are away', {
    timeout: 120_000,
  }, async () => {
    const pool = await etcdPool(3, { limits: { againMs: 1_500, againMsMax: 1_500 } });
    const { coordinator } = pool;
    const [, second, third] = pool.hosts as [TestHost, TestHost, TestHost];
    await init(pool);
    await put(coordinator, 'before');
    for (const host of pool.hosts) {
      await host.kill();
      await vi.waitFor(async () => put(coordinator, `without ${host.name}`), patience);
      await allWell(pool, 3);
      expect(host.context.process.state().restarts).toBe(1);
    }
    // Nobody looks after two of them now, so they stay away.
    await Promise.all([second.stop(), third.stop()]);
    await Promise.all([second.kill(), third.kill()]);
    await expect(put(coordinator, 'nobody has it')).rejects.toThrow();
    const { cluster, advice } = await coordinator.engine.status();
    expect(cluster).toMatchObject({ voters: 3, needed: 2 });
    expect(advice[0]).toContain('nothing can be changed');
    await Promise.all([second.start(), third.start()]);
    await allWell(pool, 3);
    await put(coordinator, 'after');
    expect(await get(third)).toBe('after');
  });

  test('etcd goes on while the program of its host is started again', { timeout: 60_000 }, async () => {
    const pool = await etcdPool(3);
    await init(pool);
    const [, second] = pool.hosts as [TestHost, TestHost, TestHost];
    const before = await second.pid();
    await second.stop();
    await put(second, 'meanwhile');
    await second.start();
    await vi.waitFor(() => expect(second.context.process.state().running).toBe(true), patience);
    expect(await second.pid()).toBe(before);
    expect(second.context.process.state().restarts).toBe(0);
  });

  test('hosts come in as learners and leave, one at a time and never below three', {
    timeout: 120_000,
  }, async () => {
    const pool = await etcdPool(5);
    const { coordinator, ports } = pool;
    const [, second, , fourth, fifth] = pool.hosts as [TestHost, TestHost, TestHost, TestHost, TestHost];
    await init(pool);
    await put(coordinator, 'old');
    expect(await said(coordinator.engine.leave('host-2'))).toContain('would survive no loss');
    const joining = coordinator.engine.join('host-4', ports);
    expect(await said(coordinator.engine.join('host-5', ports))).toContain('one at a time');
    await joining;
    await coordinator.engine.join('127.0.0.5', ports);
    expect(await said(coordinator.engine.join('host-4', ports))).toContain('a member already');
    await allWell(pool, 5);
    expect(await get(fifth)).toBe('old');
    await coordinator.engine.leave('host-2');
    await coordinator.engine.leave('host-1');
    expect(await parts(pool)).toEqual(['client', 'client', 'member', 'member', 'member']);
    expect(second.context.store.current.member).toBeUndefined();
    expect(second.context.store.current.cluster?.endpoints).toHaveLength(3);
    // The coordinator is no member now, and another one signs for it.
    await coordinator.engine.join('host-2', ports);
    await put(second, 'new');
    expect(await get(fourth)).toBe('new');
    expect(await said(coordinator.engine.leave('nobody'))).toContain('no host "nobody"');
  });

  test('a member that is gone is taken out and replaced, and nothing else changes meanwhile', {
    timeout: 120_000,
  }, async () => {
    const pool = await etcdPool(4);
    const { coordinator, ports } = pool;
    const [, , third] = pool.hosts as [TestHost, TestHost, TestHost, TestHost];
    await init(pool);
    await third.stop();
    await third.context.process.stop();
    pool.away.add(third.ref);
    await vi.waitFor(
      async () => expect((await coordinator.engine.status()).cluster).toMatchObject({ well: 2 }),
      patience,
    );
    expect(await said(coordinator.engine.join('host-4', ports))).toContain('not healthy');
    expect(await said(coordinator.engine.leave('host-2'))).toContain('not healthy');
    await coordinator.engine.leave('host-3');
    await coordinator.engine.join('host-4', ports);
    await allWell(pool, 3);
    // It comes back with a member that nobody counts any more, and is told.
    pool.away.delete(third.ref);
    await third.start();
    await vi.waitFor(
      async () => expect(await parts(pool)).toEqual(['member', 'member', 'client', 'member']),
      patience,
    );
    await put(third, 'as a client');
  });

  test('who shows no certificate of the cluster, or one of another, is let in neither as client nor as member', {
    timeout: 60_000,
  }, async () => {
    const pool = await etcdPool(3);
    await init(pool);
    const { context } = pool.coordinator;
    const endpoints = context.store.current.cluster?.endpoints ?? [];
    const own = await context.store.credentials();
    const other = await context.certify.authority('xenact engine');
    const strange = await context.certify.sign(other, 'xenact-member', '127.0.0.1');
    const { address, port } = { address: '127.0.0.1', port: pool.ports.peerPort };
    const knock = (tls: object, to: number): Promise<string> =>
      handshake({ host: address, port: to, ...tls });
    const trusting = { ca: own.authority, servername: 'localhost' };
    for (const to of [pool.ports.clientPort, port]) {
      expect(await knock(trusting, to)).toMatch(/alert|reset|hang/i);
      expect(await knock({ ...trusting, ...strange }, to)).toMatch(/alert|reset|hang/i);
      expect(await knock({ ...trusting, key: own.key, cert: own.certificate }, to)).toBe('let in');
    }
    // A client of the cluster is not taken for a member.
    const authority = { key: own.authorityKey ?? '', cert: own.authority };
    const client = await context.certify.sign(authority, 'xenact-client', '127.0.0.1');
    expect(await knock({ ...trusting, ...client }, pool.ports.clientPort)).toBe('let in');
    expect(await knock({ ...trusting, ...client }, port)).toMatch(/alert|reset|hang/i);
    expect(endpoints).toHaveLength(3);
  });

  test('a cluster that does not come about leaves nothing, and the next attempt is a first one', {
    timeout: 60_000,
  }, async () => {
    const pool = await etcdPool(3);
    const { coordinator, ports } = pool;
    const taken = createServer((socket) => socket.destroy()).listen(ports.peerPort, '127.0.0.2');
    await once(taken, 'listening');
    expect(await said(init(pool))).toMatch(/host-2.*address already in use/);
    for (const host of pool.hosts) expect(host.context.store.current).toEqual({});
    expect(await parts(pool)).toEqual(['none', 'none', 'none']);
    taken.close();
    await once(taken, 'close');
    await init(pool);
    await put(coordinator, 'there');
  });

  test('a member whose disk is full stops alone, the others go on, and it is back once there is room', {
    timeout: 120_000,
  }, async ({ skip }) => {
    const disk = await smallDisk(320);
    if (disk === undefined) return skip('mounting a small disk takes root');
    onTestFinished(() => disk.remove());
    const pool = await etcdPool(3, { folders: [undefined, undefined, disk.folder] });
    const { coordinator } = pool;
    const third = pool.hosts[2] as TestHost;
    await init(pool);
    const large = 'x'.repeat(1 << 20);
    // etcd gives room back where it starts, and ends again.
    const fillsUp = async (): Promise<void> => {
      await disk.fill();
      await put(coordinator, large);
    };
    await vi.waitFor(async () => {
      await fillsUp();
      expect(third.context.process.state().why).toContain('no space left');
    }, patience);
    expect(third.context.process.state().restarts).toBeGreaterThan(0);
    await put(coordinator, 'the others go on');
    await vi.waitFor(async () => {
      await disk.fill();
      expect(pool.alerts.join()).toMatch(/host-3 \(127.0.0.3\): the disk is \d+ % full/);
    }, patience);
    await disk.free();
    await allWell(pool, 3);
    expect(await get(third)).toBe('the others go on');
  });

  test('a cluster that has reached its quota takes changes again once history was dropped', {
    timeout: 90_000,
  }, async () => {
    const pool = await etcdPool(3, { limits: { quotaBytes: 24 << 20 } });
    const { coordinator } = pool;
    await init(pool);
    const etcd = await clientOf(coordinator);
    const large = 'x'.repeat(1 << 20);
    await vi.waitFor(() => expect(put(coordinator, large)).rejects.toThrow('space exceeded'), {
      ...patience,
      interval: 1,
    });
    await vi.waitFor(() => expect(pool.alerts.join()).toContain('NOSPACE'), patience);
    const { hosts } = await coordinator.engine.status();
    expect(hosts.flatMap(({ member }) => member?.alarms ?? [])).toContain('NOSPACE');
    await expect(put(coordinator, 'small')).rejects.toThrow('space exceeded');
    const { header } = await etcd.range({ key });
    await etcd.compact(header.revision);
    await vi.waitFor(() => put(coordinator, 'small'), patience);
    expect((await coordinator.engine.status()).advice.join()).not.toContain('NOSPACE');
  });

  test('an order waits for the round under way, which goes by the members that it saw before', {
    timeout: 60_000,
  }, async () => {
    const pool = await etcdPool(3);
    await init(pool);
    const reports: (() => void)[] = [];
    const roundBegan = new Promise<void>((resolve) => {
      pool.beforeCalls = (name) =>
        new Promise((go) => {
          if (name !== 'engineReport') return go();
          reports.push(go);
          resolve();
        });
    });
    await roundBegan;
    const asked = reports.length;
    const order = said(pool.coordinator.engine.join('host-2', pool.ports));
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    expect(reports).toHaveLength(asked);
    pool.beforeCalls = async () => {};
    for (const go of reports) go();
    expect(await order).toContain('a member already');
  });

  test('members keep a bounded number of snapshots', { timeout: 60_000 }, async () => {
    const pool = await etcdPool(3, { limits: { snapshotMs: 200, snapshotsMax: 2 } });
    await init(pool);
    const { disk, store } = pool.coordinator.context;
    const names = async () => (await disk.list(store.files.snapshots)).map(({ name }) => name).sort();
    const first = await vi.waitFor(async () => {
      const [oldest] = await names();
      expect(oldest).toMatch(/Z\.db$/);
      return oldest as string;
    }, patience);
    await vi.waitFor(async () => expect(await names()).not.toContain(first), patience);
    expect((await names()).filter((name) => name.endsWith('.json')).length).toBeLessThanOrEqual(2);
  });
});

/** 'let in', or how a connection with these certificates ends. */
const handshake = (options: RequestOptions): Promise<string> =>
  new Promise((resolve) => {
    const asked = request({ ...options, path: '/version', agent: false }, (answer) => {
      resolve(answer.statusCode === 200 ? 'let in' : `answered ${answer.statusCode}`);
      answer.resume();
    });
    asked.on('error', ({ message }) => resolve(message));
    asked.end();
  });
