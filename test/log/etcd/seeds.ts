import { type Bugs, booksOf, digest, poolOf, type SimulatedHost } from './pool.ts';

// One life of a pool in which anything may go wrong, and what must be so whatever went wrong.

/** Something that must never be so. */
export class Violation extends Error {
  constructor(seed: number, what: string) {
    super(`Seed ${seed}: ${what}`);
    this.name = 'Violation';
  }
}

type Pool = ReturnType<typeof poolOf>;

const hostsCount = 3;
const troubleMs = 60_000;
const calmMs = 60_000;

export const liveThrough = async (seed: number, bugs: Bugs = {}): Promise<void> => {
  const pool = poolOf(`log ${seed}`, {
    ...{ hosts: hostsCount, bugs },
    limits: { hashMs: 15_000, pageRowsMax: 16, ...bugs.limits },
  });
  const { clock, loop, random } = pool;
  const fail = (what: string): never => {
    throw new Violation(seed, what);
  };
  pool.start('h0');
  await pool
    .until('the first host leads', () => pool.leader() !== undefined)
    .catch(() => fail('nobody ever led'));
  for (const name of pool.names.slice(1)) pool.start(name);

  const seen = new Map<SimulatedHost, number>();
  const woken: Woken = new Map();
  const check = (): void => {
    // One that stood still has heard of nothing in the very moment in which it wakes.
    const leaders = [...pool.running.values()].filter(
      ({ leads, life }) => leads && woken.get(life) !== clock.monotonicMs(),
    );
    if (leaders.length > 1)
      fail(`${leaders.map(({ name }) => name).join(' and ')} lead at ${clock.monotonicMs()} ms`);
    for (const host of pool.running.values()) {
      const { generation } = host.store;
      // The first that it shows may be one that it had merely reserved.
      const before = seen.get(host);
      if (before !== undefined && host.follows && generation < before) fail(`${host.name} went back in time`);
      if (host.follows || host.leads) seen.set(host, generation);
    }
  };
  const chance = random.split('troubles');
  const untilMs = clock.monotonicMs() + troubleMs;
  while (clock.monotonicMs() < untilMs) {
    trouble(pool, chance, woken);
    for (let count = chance.between(1, 8); count > 0; count -= 1) {
      const leader = pool.leader();
      if (leader !== undefined && leader.life.state === 'running') pool.write(leader);
      await loop.run({ untilMs: clock.monotonicMs() + chance.between(1, 400), check });
    }
  }
  await calm(pool, woken, fail, check);
  await judge(pool, fail);
};

/** When a process that stood still was let go on. */
type Woken = Map<SimulatedHost['life'], number>;

const wake = ({ clock }: Pool, { life }: SimulatedHost, woken: Woken): void => {
  woken.set(life, clock.monotonicMs());
  life.resume();
};

const trouble = (pool: Pool, chance: Pool['random'], woken: Woken): void => {
  const { cluster, running, names } = pool;
  const hold = (host: SimulatedHost): void => {
    if (host.life.state === 'paused') wake(pool, host, woken);
    else if (chance.chance(0.5)) host.life.pause();
  };
  const name = chance.pick(names);
  const host = running.get(name);
  const kinds: (() => void)[] = [
    () => (host === undefined ? pool.start(name, false) : pool.kill(name)),
    () => (host === undefined ? pool.start(name, false) : undefined),
    () => cluster.cut(name, chance.chance(0.4)),
    () => cluster.cut(name, false),
    () => cluster.silence(name),
    () => cluster.breakWatches(name),
    () => cluster.loseAnswers(chance.pick([0, 0, 0.3, 0.9])),
    () => cluster.setQuorum(chance.chance(0.7)),
    () => cluster.stall(chance.between(0, 3_000)),
    () => cluster.compact(),
    () => cluster.dropNext(),
    () => (host === undefined ? undefined : hold(host)),
    () => pool.disks.get(name)?.refuseWrites(chance.pick([undefined, undefined, 'full', 'broken'])),
    () => {
      const leader = pool.leader();
      if (leader !== undefined) void leader.log.handOver(name as never).catch(() => {});
    },
  ];
  chance.pick(kinds)();
};

/** Everything works again; so must the pool. */
const calm = async (
  pool: Pool,
  woken: Woken,
  fail: (what: string) => never,
  check: () => void,
): Promise<void> => {
  const { cluster, names, running, clock, loop } = pool;
  cluster.setQuorum(true);
  cluster.loseAnswers(0);
  cluster.stall(0);
  for (const name of names) {
    cluster.cut(name, false);
    pool.disks.get(name)?.refuseWrites(undefined);
    const host = running.get(name);
    if (host === undefined) pool.start(name, false);
    else if (host.life.state === 'paused') wake(pool, host, woken);
  }
  const sound = (): boolean =>
    pool.leader() !== undefined && [...running.values()].every(({ leads, follows }) => leads || follows);
  const ended = await loop.run({ until: sound, untilMs: clock.monotonicMs() + calmMs, check });
  if (ended !== 'met') {
    const words = [...running.values()].map(({ name, now }) => `${name}: ${JSON.stringify(now)}`);
    fail(`no leader and followers although nothing is wrong any more; ${words.join('; ')}`);
  }
  // Two checks of all rows, each asked for by a commit.
  for (let count = 0; count < 5; count += 1) {
    const leader = pool.leader();
    const book = leader && pool.write(leader);
    await loop.run({ untilMs: clock.monotonicMs() + 8_000, check });
    if (book !== undefined && book.outcome !== 'acknowledged')
      fail(`a write in calm was ${book.outcome}: ${book.why}`);
  }
};

const judge = async (pool: Pool, fail: (what: string) => never): Promise<void> => {
  const { running, books, loop } = pool;
  const digests = new Map<string, string>();
  for (const host of running.values()) digests.set(host.name, await loop.finish(digest(host)));
  if (new Set(digests.values()).size > 1) fail('the rows of the hosts differ');
  for (const host of running.values()) {
    const there = booksOf(host);
    for (const { name, outcome, why } of books) {
      if (outcome === 'acknowledged' && !there.has(name))
        fail(`${name} was acknowledged and is not on ${host.name}`);
      if (outcome === 'refused' && there.has(name))
        fail(`${name} was refused (${why}) and is on ${host.name}`);
    }
  }
};
