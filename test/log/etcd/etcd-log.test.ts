// Goal: a pool whose log is in etcd has one leader at a time, loses nothing that it acknowledged and has the same rows
// on every host, whatever happens to hosts, cluster, watches and leases.
// Method: hosts over a simulated cluster on a virtual clock; each trouble by itself, and then many by seeds.
import { describe, expect, test } from 'vitest';
import { endLog } from '../../../src/log/etcd/ending.ts';
import { type MemoryDurable, memoryDurable } from '../../../src/simulation/memory-durable.ts';
import { booksOf, digest, poolOf, type SimulatedHost, uuid, type WrittenBook } from './pool.ts';

type Pool = ReturnType<typeof poolOf>;

const begun = async (seed: string, options: Parameters<typeof poolOf>[1]): Promise<Pool> => {
  const pool = poolOf(seed, options);
  pool.start('h0');
  await pool.until('the first host leads', () => pool.leader() !== undefined);
  for (const name of pool.names.slice(1)) pool.start(name);
  await pool.until('the others follow', () => others(pool).every(({ follows }) => follows));
  return pool;
};

const others = (pool: Pool): SimulatedHost[] =>
  [...pool.running.values()].filter((host) => host !== pool.leader());

const keyOf = (name: string): Uint8Array => Buffer.from(`/xenact/${uuid}/${name}`);

const settled = (pool: Pool, book: WrittenBook): Promise<void> =>
  pool.until(`${book.name} is over`, () => book.outcome !== undefined);

const writeOne = async (pool: Pool): Promise<WrittenBook> => {
  const book = pool.write(pool.leader() as SimulatedHost);
  await settled(pool, book);
  return book;
};

/** Names of the books that a machine has on its disk. */
const onDisk = (pool: Pool, name: string): readonly string[] => {
  const { rows } = (pool.disks.get(name) as MemoryDurable).of(pool.lifeNamed('reader')).load();
  return [...rows].map(({ ref }) => ref);
};

const everywhere = (pool: Pool, { name }: WrittenBook): Promise<void> =>
  pool.until(`${name} is everywhere`, () =>
    [...pool.running.values()].every((host) => booksOf(host).has(name)),
  );

const alike = async (pool: Pool): Promise<void> => {
  const digests = new Set<string>();
  for (const host of pool.running.values()) digests.add(await pool.loop.finish(digest(host)));
  expect(digests.size).toBe(1);
};

describe('a pool', () => {
  test('begins its log with what its first host has, and the others have the same', async () => {
    const pool = await begun('begin', { hosts: 3 });
    const book = await writeOne(pool);
    expect(book.outcome).toBe('acknowledged');
    await everywhere(pool, book);
    await alike(pool);
  });

  test('tells every host of deletions', async () => {
    const pool = await begun('delete', { hosts: 2 });
    const book = await writeOne(pool);
    await everywhere(pool, book);
    const { store } = pool.leader() as SimulatedHost;
    await pool.loop.finish(store.commit((tx) => tx.delete('book' as never, book.name as never)));
    await pool.until('it is gone', () => others(pool).every((host) => !booksOf(host).has(book.name)));
    await alike(pool);
  });

  test('has a new leader when the one it had dies, and nothing acknowledged is lost', async () => {
    const pool = await begun('die', { hosts: 3 });
    const book = await writeOne(pool);
    const first = pool.leader() as SimulatedHost;
    const { epoch } = first.now as { epoch: number };
    pool.kill(first.name);
    await pool.until('another leads', () => pool.leader() !== undefined, 15_000);
    const second = pool.leader() as SimulatedHost;
    expect((second.now as { epoch: number }).epoch).toBeGreaterThan(epoch);
    expect(booksOf(second).has(book.name)).toBe(true);
    expect((await writeOne(pool)).outcome).toBe('acknowledged');
    pool.start(first.name);
    await pool.until('the first follows', () => pool.running.get(first.name)?.follows === true);
    await alike(pool);
  });

  test('has its leader back at once when that one is started again before its lease is over', async () => {
    const pool = await begun('back', { hosts: 2, limits: { leaseSeconds: 60 } });
    const first = pool.leader() as SimulatedHost;
    pool.kill(first.name);
    pool.start(first.name);
    await pool.until('somebody leads', () => pool.leader() !== undefined, 5_000);
  });

  test('is handed over to the host that was chosen', async () => {
    const pool = await begun('hand', { hosts: 4 });
    const first = pool.leader() as SimulatedHost;
    await pool.loop.finish(first.log.handOver('h3' as never));
    await pool.until('the chosen one leads', () => pool.leader()?.name === 'h3', 5_000);
    expect(booksOf(pool.leader() as SimulatedHost)).toEqual(booksOf(first));
  });

  test('goes on when the chosen host is not there', async () => {
    const pool = await begun('hand-nobody', { hosts: 3 });
    pool.kill('h2');
    await pool.loop.finish((pool.leader() as SimulatedHost).log.handOver('h2' as never));
    await pool.until('somebody leads', () => pool.leader() !== undefined, 20_000);
  });

  test('has no leader any more once its log was ended, whoever stands', async () => {
    const pool = await begun('ended', { hosts: 3 });
    // The host that began the log, and may begin it again, is none of them.
    pool.kill('h0');
    await pool.until('another one leads', () => pool.leader() !== undefined);
    pool.start('h0', false);
    await pool.until('the others follow', () => others(pool).every(({ follows }) => follows));
    const leader = pool.leader() as SimulatedHost;
    const epochs = new Set<number>();
    for (const host of pool.running.values())
      host.onRole(() => host.now.kind !== 'none' && epochs.add(host.now.epoch));
    const etcd = pool.cluster.client(leader.life);
    const { generation } = leader.replica.position;
    const ends = (at: number) =>
      pool.loop.finish(endLog(etcd, uuid, { host: leader.name as never, generation: at }));
    await expect(ends(generation - 1)).rejects.toThrow('repeat the command');
    await ends(generation);
    // What it decides still is refused, so that it gives the lead up, and others stand.
    await settled(pool, pool.write(leader));
    await pool.loop.run({ until: () => false, untilMs: pool.clock.monotonicMs() + 60_000 });
    expect(epochs).toEqual(new Set());
    for (const { now } of pool.running.values())
      expect((now as { why: Error }).why.message).toContain('no log of this pool any more');
  });

  test('says whom to ask when an operator orders a host to lead while another does', async () => {
    const pool = await begun('promote', { hosts: 2 });
    const { log } = others(pool)[0] as SimulatedHost;
    await expect(pool.loop.finish(log.promote({ insist: true }))).rejects.toMatchObject({
      params: [expect.stringContaining('pool.designate_new_master')],
    });
  });
});

describe('a leader', () => {
  test('that cannot reach the cluster stops before another may lead', async () => {
    const pool = await begun('isolated', { hosts: 3 });
    const first = pool.leader() as SimulatedHost;
    const before = pool.clock.monotonicMs();
    pool.cluster.cut(first.name, true);
    await pool.until('it stops', () => !first.leads);
    expect(pool.clock.monotonicMs() - before).toBeLessThanOrEqual(0.75 * 5_000);
    expect(pool.leader()).toBeUndefined();
    await pool.until('another leads', () => pool.leader() !== undefined, 15_000);
    const book = await writeOne(pool);
    pool.cluster.cut(first.name, false);
    await everywhere(pool, book);
    await alike(pool);
  });

  test('that stood still does nothing when it wakes', async () => {
    const pool = await begun('still', { hosts: 3 });
    const first = pool.leader() as SimulatedHost;
    first.life.pause();
    await pool.until(
      'another leads',
      () => [...pool.running.values()].some((one) => one !== first && one.leads),
      15_000,
    );
    // The first thing that it does, before any timer of it ran.
    const book = pool.write(first);
    first.life.resume();
    await settled(pool, book);
    expect(book.outcome).toBe('refused');
    await pool.until('it follows', () => first.follows);
    await alike(pool);
  });

  test('that hears late what the log has shows it only once it is in line with the log', async () => {
    let heard = (): void => {};
    let isHeldUp = false;
    const pool = await begun('late', {
      hosts: 3,
      bugs: {
        etcd: (one, life) => ({
          ...one,
          txn: async (txn, options) => {
            const answer = await one.txn(txn, options);
            if (!isHeldUp) return answer;
            isHeldUp = false;
            life.pause();
            heard();
            await new Promise<void>((resolve) => life.after(0, resolve));
            return answer;
          },
        }),
      },
    });
    const first = pool.leader() as SimulatedHost;
    let isStill = false;
    heard = () => {
      isStill = true;
    };
    isHeldUp = true;
    const book = pool.write(first);
    await pool.until('it stands still', () => isStill);
    const leader = (): SimulatedHost | undefined =>
      [...pool.running.values()].find((one) => one !== first && one.leads);
    await pool.until('another leads', () => leader() !== undefined, 15_000);
    const leadsWhenShown: boolean[] = [];
    first.store.watch(() => leadsWhenShown.push(first.leads));
    first.life.resume();
    await settled(pool, book);
    expect(book.outcome).toBe('acknowledged');
    expect(leadsWhenShown).toContain(false);
    expect(leadsWhenShown).not.toContain(true);
    await alike(pool);
  });

  test('whose answers are lost finds out what was done', async () => {
    const pool = await begun('lost', { hosts: 3 });
    pool.cluster.loseAnswers(0.7);
    const books = Array.from({ length: 20 }, () => pool.write(pool.leader() as SimulatedHost));
    await pool.until('all are over', () => books.every(({ outcome }) => outcome !== undefined));
    pool.cluster.loseAnswers(0);
    await pool.until('somebody leads', () => pool.leader() !== undefined);
    const seen = booksOf(pool.leader() as SimulatedHost);
    expect(books.filter(({ outcome }) => outcome === 'acknowledged').length).toBeGreaterThan(0);
    for (const { name, outcome } of books) {
      if (outcome === 'acknowledged') expect(seen).toContain(name);
      if (outcome === 'refused') expect(seen).not.toContain(name);
    }
  });

  test('whose disk refuses gives way, and what the cluster has is not lost', async () => {
    const pool = await begun('disk', { hosts: 3 });
    const first = pool.leader() as SimulatedHost;
    pool.disks.get(first.name)?.refuseWrites('full');
    const book = pool.write(first);
    await settled(pool, book);
    expect(book.outcome).toBe('acknowledged');
    await pool.until('another leads', () => pool.leader() !== undefined && pool.leader() !== first, 30_000);
    expect(booksOf(pool.leader() as SimulatedHost)).toContain(book.name);
    pool.disks.get(first.name)?.refuseWrites(undefined);
    await everywhere(pool, book);
    await everywhere(pool, await writeOne(pool));
    await alike(pool);
    expect(onDisk(pool, first.name)).toContain(book.name);
  });

  test('that crashes before its disk has what the cluster has loses nothing', async () => {
    const pool = await begun('behind', { hosts: 1 });
    const first = pool.leader() as SimulatedHost;
    pool.disks.get(first.name)?.takeLonger([600_000, 600_000]);
    const books = [await writeOne(pool), await writeOne(pool)];
    expect(books.map(({ outcome }) => outcome)).toEqual(['acknowledged', 'acknowledged']);
    for (const { name } of books) expect(onDisk(pool, first.name)).not.toContain(name);
    pool.kill(first.name);
    pool.disks.get(first.name)?.takeLonger(undefined);
    pool.start(first.name);
    await pool.until('it leads again', () => pool.leader() !== undefined, 20_000);
    for (const { name } of books) {
      expect(booksOf(pool.leader() as SimulatedHost)).toContain(name);
      expect(onDisk(pool, first.name)).toContain(name);
    }
  });

  test.each([
    ['is not the one whose name is there', 'coord'],
    ['did not write the newest group', 'gen'],
  ])('that %s commits nothing', async (_, key) => {
    const pool = await begun(`fence ${key}`, { hosts: 2 });
    const first = pool.leader() as SimulatedHost;
    const [there] = pool.cluster.history.range({ key: keyOf(key) }).kvs;
    // As the same value by another hand: only revisions tell.
    const put = { key: keyOf(key), value: there?.value as Uint8Array };
    const success = key === 'coord' ? [{ deleteRange: { key: keyOf(key) } }] : [{ put }];
    pool.cluster.history.txn({ compare: [], success, failure: [] });
    const book = pool.write(first);
    await settled(pool, book);
    expect(book.outcome).toBe('refused');
    await pool.until('somebody leads', () => pool.leader() !== undefined, 20_000);
    expect(booksOf(pool.leader() as SimulatedHost)).not.toContain(book.name);
  });

  test('cuts what waits to what the cluster takes at once', async () => {
    const pool = await begun('large', { hosts: 2 });
    const { store } = pool.leader() as SimulatedHost;
    const write = (name: string, rows: number, text: string) =>
      store.commit((tx) => {
        for (let row = 0; row < rows; row += 1) {
          tx.create('book' as never, `${name}-${row}` as never, { uuid: text } as never);
        }
      });
    // Of twenty commits with a megabyte each the cluster takes a few at once.
    const all = Promise.all(
      Array.from({ length: 20 }, (_, index) => write(`b${index}`, 10, 'x'.repeat(100_000))),
    );
    await pool.loop.finish(all);
    await expect(pool.loop.finish(write('over', 110, 'x'.repeat(100_000)))).rejects.toMatchObject({
      params: [expect.stringContaining('do it in parts')],
    });
    expect((await writeOne(pool)).outcome).toBe('acknowledged');
    await pool.until('all is there', () => booksOf(others(pool)[0] as SimulatedHost).size === 201);
    await alike(pool);
  });
});

describe('a follower', () => {
  test('whose watch is silent notices, and loses nothing', async () => {
    const pool = await begun('silent', { hosts: 2 });
    pool.cluster.silence('h1');
    const book = await writeOne(pool);
    await everywhere(pool, book);
    await alike(pool);
  });

  test('whose watch ends goes on from where it was, or anew where history is gone', async () => {
    const pool = await begun('compacted', { hosts: 2 });
    pool.cluster.cut('h1', true);
    for (let count = 0; count < 5; count += 1) await writeOne(pool);
    pool.cluster.compact();
    const book = await writeOne(pool);
    pool.cluster.breakWatches('h1');
    pool.cluster.cut('h1', false);
    await everywhere(pool, book);
    await alike(pool);
  });

  test('that misses a revision notices, and reads everything anew', async () => {
    const pool = await begun('gap', { hosts: 2 });
    pool.cluster.dropNext();
    const lost = await writeOne(pool);
    const next = await writeOne(pool);
    await everywhere(pool, lost);
    await everywhere(pool, next);
    await alike(pool);
  });

  test('that was killed while it took the log has all of it after its start', async () => {
    const pool = await begun('killed', { hosts: 2 });
    for (let count = 0; count < 10; count += 1) {
      pool.write(pool.leader() as SimulatedHost);
      await pool.loop.step();
      await pool.loop.step();
    }
    pool.kill('h1');
    const book = await writeOne(pool);
    pool.start('h1');
    await everywhere(pool, book);
    await alike(pool);
  });

  test('whose rows came to differ is told by the comparison, and is put right', async () => {
    const pool = await begun('differs', { hosts: 2, limits: { hashMs: 10_000 } });
    const book = await writeOne(pool);
    await everywhere(pool, book);
    const follower = others(pool)[0] as SimulatedHost;
    const entry = follower.store.tables.get('book')?.entries.get(book.name);
    Object.assign(entry?.latest?.record ?? {}, { uuid: 'flipped' });
    await pool.loop.run({ untilMs: pool.clock.monotonicMs() + 11_000 });
    await writeOne(pool);
    const uuid = (): unknown => follower.store.committed.get('book' as never, book.name as never)?.['uuid'];
    await pool.until('it is right again', () => uuid() === book.name, 20_000);
    expect(pool.differed).toEqual([follower.name]);
    await alike(pool);
  });
});

test('a host that is stopped while it takes everything anew stops', async () => {
  const pool = await begun('stopped', { hosts: 1 });
  pool.disks.set('h1', memoryDurable({ random: pool.random, writeMs: [2_000, 2_000] }));
  const host = pool.start('h1');
  await pool.until('it has the rows, and not on its disk', () => host.replica.position.cold !== true);
  let stopped = false;
  void host.log.close().then(() => {
    stopped = true;
  });
  await pool.until('it stops', () => stopped, 10_000);
});

describe('a cluster', () => {
  test('that loses its quorum and has it back goes on, with everything that it acknowledged', async () => {
    const pool = await begun('quorum', { hosts: 3 });
    const before = await writeOne(pool);
    const first = pool.leader() as SimulatedHost;
    pool.cluster.setQuorum(false);
    const during = pool.write(first);
    await pool.until('nobody leads', () => pool.leader() === undefined);
    expect(during.outcome).toBe(undefined);
    pool.cluster.setQuorum(true);
    await pool.until('somebody leads', () => pool.leader() !== undefined, 15_000);
    expect(booksOf(pool.leader() as SimulatedHost)).toContain(before.name);
    await everywhere(pool, await writeOne(pool));
    await settled(pool, during);
    const isThere = booksOf(pool.leader() as SimulatedHost).has(during.name);
    expect(during.outcome).toBe(isThere ? 'acknowledged' : 'refused');
    await alike(pool);
  });

  test('that takes too little at once is refused with what to start it with', async () => {
    const pool = poolOf('small', { hosts: 1, operationsMax: 128 });
    const host = pool.start('h0');
    await pool.until('it says why', () => host.now.kind === 'none' && host.now.why !== undefined);
    expect((host.now as { why: Error }).why.message).toContain('--max-txn-ops 16384');
  });

  test('that has no log of the pool is not begun by a host that only ever followed', async () => {
    const pool = poolOf('other', { hosts: 1 });
    const host = pool.start('h0', false);
    await pool.until('it says why', () => host.now.kind === 'none' && host.now.why !== undefined);
    expect((host.now as { why: Error }).why.message).toContain('no log of this pool');
    expect(pool.cluster.history.range({ key: Buffer.from('/'), rangeEnd: Buffer.from('0') }).count).toBe(0);
  });

  test('that does what is compared wrongly is not used', async () => {
    const bugs = {
      etcd: (etcd: any) => ({
        ...etcd,
        txn: (txn: any, options: any) => etcd.txn({ ...txn, compare: [] }, options),
      }),
    };
    const pool = poolOf('believes', { hosts: 1, bugs });
    const host = pool.start('h0');
    await pool.until('it says why', () => host.now.kind === 'none' && host.now.why !== undefined);
    expect((host.now as { why: Error }).why.message).toContain('must not be used');
  });
});
