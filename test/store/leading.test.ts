// Goal: who decides, and when a commit counts: acknowledgements, hand-overs, proposals that are stale,
// refused or lost, and the return of a leader whom the pool no longer follows.
// Method: stores in one process, joined by the links of hosts.ts or by an authority that a test answers for.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/std/fault.ts';
import { LogFenced, type LogGroup } from '../../src/store/appending.ts';
import { NotLeading } from '../../src/store/committing.ts';
import { epochsMax } from '../../src/store/epochs.ts';
import { type Proposal, ProposalRefused, type Verdict } from '../../src/store/proposal.ts';
import { commitsWaitingMax, proposalRetriesMax } from '../../src/store/proposing.ts';
import {
  authority,
  disk,
  following,
  type Host,
  host,
  type Link,
  type Loose,
  link,
  rowsOf,
  sent,
} from './hosts.ts';

const add = (store: Host, ref: string, fields: object = {}): Promise<void> =>
  store.commit((tx: Loose) => tx.create('shelf', ref, { uuid: ref, ...fields }));
const count = (store: Host, ref = 's0'): Promise<void> =>
  store.commit((tx: Loose) => tx.patch('shelf', ref, { size: tx.require('shelf', ref).size + 1n }));
const turn = (): Promise<void> => new Promise(setImmediate);
const state = async (promise: Promise<unknown>): Promise<string> => {
  await turn();
  return Promise.race([
    promise.then(
      () => 'done',
      () => 'failed',
    ),
    Promise.resolve('waits'),
  ]);
};

describe('a commit that must be on other hosts', () => {
  test('is decided at once, and answered and seen when as many distinct ones have it', async () => {
    const store = host();
    await store.lead(1);
    const generation = store.generation + 1;
    store.awaitReplicas(() => 2);
    const told: Loose[] = [];
    store.batches((batch: Loose) => told.push(batch));
    const made = add(store, 's0');
    const read = store.commit((tx: Loose) => tx.get('shelf', 's0').size);
    expect(store.latest.get('shelf', 's0')).toBeDefined();
    expect(await state(made)).toBe('waits');
    expect(told).toMatchObject([{ after: generation - 1, generation }]);
    store.acknowledged('a', generation);
    store.acknowledged('a', generation + 1);
    expect(await state(made)).toBe('waits');
    expect(await state(read)).toBe('waits');
    expect(store.committed.get('shelf', 's0')).toBeUndefined();
    store.acknowledged('b', generation);
    await made;
    expect(await read).toBe(0n);
    expect(store.committed.get('shelf', 's0')).toBeDefined();
  });

  test('goes on when fewer are awaited, once they are counted again', async () => {
    const store = host();
    await store.lead(1);
    let awaited = 1;
    store.awaitReplicas(() => awaited);
    const made = add(store, 's0');
    expect(await state(made)).toBe('waits');
    awaited = 0;
    expect(await state(made)).toBe('waits');
    store.recount();
    await made;
  });

  test('reaches a follower that connects while it waits', async () => {
    const store = host();
    await store.lead(1);
    store.awaitReplicas(() => 1);
    const made = add(store, 's0');
    await turn();
    const [late, copied] = [host(), host()];
    await following(store, late, 'late');
    await made;
    const again = count(store);
    await again;
    store.awaitReplicas(() => 2);
    const more = add(store, 's1');
    await copied.disown();
    await following(store, copied, 'copied');
    await more;
    expect(rowsOf(copied)).toEqual(rowsOf(store));
    expect(rowsOf(late)).toEqual(rowsOf(store));
  });

  test('is on the disk of a follower before readers there see it, and seen once it is acknowledged', async () => {
    const [store, member] = [host(), host()];
    await store.lead(1);
    await following(store, member, 'm');
    store.awaitReplicas(() => 2);
    const made = add(store, 's0');
    await turn();
    while (member.position.generation < store.position.generation) await turn();
    expect(member.latest.get('shelf', 's0')).toBeDefined();
    expect(member.committed.get('shelf', 's0')).toBeUndefined();
    const seen = member.reached(store.position.generation);
    expect(await state(seen)).toBe('waits');
    store.acknowledged('other', store.position.generation);
    await Promise.all([made, seen]);
    expect(member.committed.get('shelf', 's0')).toBeDefined();
  });

  test('fails with what the log says where nobody knows whether it is there, and is not seen here', async () => {
    const store = host();
    await store.leadWith(1, {
      append: (group: LogGroup) => ({
        written: group.write(),
        acknowledged: Promise.reject(new LogFenced('Another host leads')),
      }),
    });
    await expect(add(store, 's0')).rejects.toBeInstanceOf(LogFenced);
    expect(store.committed.get('shelf', 's0')).toBeUndefined();
    expect(store.position.generation).toBeGreaterThan(store.generation);
  });

  test('keeps its place when a later one cannot be written', async () => {
    const own = disk();
    const store = host(own);
    await store.lead(1);
    store.awaitReplicas(() => 1);
    const made = add(store, 's0', { size: 1n });
    await turn();
    own.before = () => {
      throw new Error('broken');
    };
    await expect(count(store)).rejects.toBeInstanceOf(Fault);
    expect(store.latest.get('shelf', 's0').size).toBe(1n);
    own.before = () => {};
    const next = count(store);
    await turn();
    store.acknowledged('a', store.position.generation);
    await Promise.all([made, next]);
    expect(store.committed.get('shelf', 's0').size).toBe(2n);
  });

  test('is refused when too many wait already', async () => {
    const store = host();
    await store.lead(1);
    await add(store, 's0');
    await store.commit((tx: Loose) => tx.create('book', 'b0', {}, { durable: false }));
    store.awaitReplicas(() => 1);
    const touch = (): Promise<unknown> => store.commit((tx: Loose) => tx.touch('book', 'b0'));
    const many = Array.from({ length: commitsWaitingMax }, touch);
    await turn();
    await expect(touch()).rejects.toMatchObject({ code: 'TOO_MANY_PENDING_TASKS' });
    store.awaitReplicas(() => 0);
    await Promise.all(many);
    await touch();
  });
});

describe('a hand-over', () => {
  test('that is planned loses nothing: what is committed meanwhile waits for the new leader', async () => {
    const [a, b, c] = [host(), host(), host()];
    let leads = a;
    const whoever = authority(() => leads);
    const join = async (member: Host, name: string): Promise<Link> => {
      await member.follow(whoever);
      return link(leads, member, name);
    };
    await a.lead(1);
    await add(a, 's0');
    a.awaitReplicas(() => 1);
    const links = [await join(b, 'b'), await join(c, 'c')];
    await Promise.all(links.map(({ ready }) => ready));
    const counts = [a, b, c].flatMap((one) => [count(one), count(one)]);
    const position = await a.pause();
    counts.push(count(a), count(b), count(c));
    await b.reached(position.generation);
    for (const one of links) one.end();
    await b.lead(2);
    leads = b;
    b.awaitReplicas(() => 1);
    await Promise.all([join(a, 'a'), join(c, 'c')]);
    counts.push(count(a));
    await Promise.all(counts);
    await Promise.all([a, c].map((one) => one.reached(b.position.generation)));
    expect(b.committed.get('shelf', 's0').size).toBe(10n);
    for (const one of [a, c]) {
      expect(rowsOf(one)).toEqual(rowsOf(b));
      expect(one.position).toEqual(b.position);
    }
  });

  test('asks for an epoch that has not been, and is on disk before it is over', async () => {
    const own = disk();
    const store = host(own);
    await store.lead(4);
    await add(store, 's0');
    await expect(store.lead(3)).rejects.toThrow('Epoch 3 has been');
    await store.lead(4);
    expect(host(own).epoch).toBe(4);
    const member = host();
    await following(store, member, 'm');
    await expect(member.lead(4)).rejects.toThrow('Epoch 4 has been');
    own.before = () => {
      throw new Error('broken');
    };
    await expect(store.lead(5)).rejects.toThrow('broken');
    expect(store.epoch).toBe(4);
    own.before = () => {};
    await add(store, 's1');
  });

  test('goes on above every generation that the leader before may have used', async () => {
    const [a, b] = [host(), host()];
    await a.lead(1);
    await add(a, 's0');
    const made = await following(a, b, 'b');
    made.end();
    for (let i = 0; i < 10; i++) await a.commit((tx: Loose) => tx.touch('shelf', 's0'));
    await b.lead(2);
    await add(b, 's1');
    expect(b.generation).toBeGreaterThan(a.generation);
    await a.follow(authority(() => b));
    expect(b.since(a.position)).toBeUndefined();
  });

  test('is remembered a bounded number of times', async () => {
    const store = host();
    for (let epoch = 1; epoch < epochsMax + 10; epoch++) await store.lead(epoch);
    expect(store.since(store.position)?.epochs).toHaveLength(epochsMax);
    expect(store.since({ epoch: 1, generation: 0 })).toBeUndefined();
  });
});

test('a leader that comes back gives up what never became the pool’s, and says so', async () => {
  const [old, next] = [host(), host()];
  await old.lead(1);
  await add(old, 's0');
  const made = await following(old, next, 'next');
  made.end();
  old.awaitReplicas(() => 1);
  const lost = count(old);
  const lostToo = add(old, 'mine');
  const failures = Promise.allSettled([lost, lostToo]);
  await turn();
  await next.lead(2);
  await add(next, 's1');
  const again = await following(next, old, 'old');
  expect(again.how()).toBe('copy');
  expect((await failures).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(lost).rejects.toMatchObject({ code: 'INTERNAL_ERROR' });
  expect(rowsOf(old)).toEqual(rowsOf(next));
  expect(old.latest.get('shelf', 'mine')).toBeUndefined();
  await count(old);
  expect(next.committed.get('shelf', 's0').size).toBe(1n);
});

test('a leader that comes back keeps what did become the pool’s, and answers those who wait', async () => {
  const [old, next] = [host(), host()];
  await old.lead(1);
  await add(old, 's0');
  await following(old, next, 'next', undefined);
  old.awaitReplicas(() => 2);
  const kept = count(old);
  await turn();
  while (next.position.generation < old.position.generation) await turn();
  await next.lead(2);
  const again = await following(next, old, 'old');
  expect(again.how()).toBe('batch');
  await kept;
  expect(rowsOf(old)).toEqual(rowsOf(next));
});

test('a leader that comes back by a copy shows what became the pool’s of what it had not shown yet', async () => {
  const old = host();
  await old.lead(1);
  await add(old, 's0');
  const next = host();
  const before = await following(old, next, 'next');
  old.awaitReplicas(() => 2);
  const kept = [count(old), old.commit((tx: Loose) => tx.delete('shelf', 's0')), add(old, 's1')];
  await turn();
  await before.end();
  expect(next.latest.get('shelf', 's1')).toBeDefined();
  const lost = add(old, 's2');
  await turn();
  await next.lead(2);
  expect((await following(next, old, 'old')).how()).toBe('copy');
  const outcomes = await Promise.allSettled([...kept, lost]);
  expect(outcomes.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
  expect(rowsOf(old)).toEqual(rowsOf(next));
});

test('a leader that starts again in its epoch does not take followers for up to date in what it forgot', async () => {
  const own = disk();
  let leader = host(own);
  await leader.lead(1);
  const member = host();
  const made = await following(leader, member, 'm');
  await leader.commit((tx: Loose) => tx.create('book', 'memory', {}, { durable: false }));
  await member.reached(leader.generation);
  made.end();
  await leader.close();
  leader = host(own);
  await leader.lead(1);
  expect((await following(leader, member, 'm')).how()).toBe('copy');
  expect(rowsOf(member)).toEqual([]);
});

describe('a commit of a member', () => {
  /** A member whose proposals a test answers for. */
  const asked = async (answer: (proposal: Proposal, times: number) => Promise<Verdict>) => {
    const leader = host();
    await leader.lead(1);
    await add(leader, 's0');
    const member = host();
    await following(leader, member, 'm');
    let times = 0;
    await member.follow({ propose: (proposal: Proposal) => answer(proposal, ++times) });
    return { leader, member };
  };

  test('that changes nothing asks nobody', async () => {
    const { member } = await asked(() => Promise.reject(new Error('asked')));
    expect(await member.commit((tx: Loose) => tx.require('shelf', 's0').uuid)).toBe('s0');
    await member.commit((tx: Loose) => tx.patch('shelf', 's0', { size: 0n }));
    await expect(count(member)).rejects.toThrow('asked');
    await expect(member.commit((tx: Loose) => tx.require('shelf', 'none'))).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    });
  });

  test('is made again a bounded number of times, then it is too busy', async () => {
    const { leader, member } = await asked(async () => ({ stale: leader.generation }));
    let made = 0;
    const busy = member.commit((tx: Loose) => {
      made += 1;
      tx.touch('shelf', 's0');
    });
    await expect(busy).rejects.toMatchObject({ code: 'TOO_BUSY' });
    expect(made).toBe(proposalRetriesMax + 1);
  });

  test('that turns out stale when its host has begun to lead is decided by that host', async () => {
    let answer = (_: Verdict): void => {};
    const { leader, member } = await asked(
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const made = count(member);
    const next = leader.since({ ...member.position });
    await turn();
    await member.lead(2);
    await expect(member.apply(next)).rejects.toThrow('decides itself');
    answer({ stale: leader.generation });
    await made;
    expect(member.committed.get('shelf', 's0').size).toBe(1n);
  });

  test('fails with what the authority answered, and those that wait go to the new one', async () => {
    let refuse = (_: Error): void => {};
    const { leader, member } = await asked(
      () =>
        new Promise((_, reject) => {
          refuse = reject;
        }),
    );
    const under = count(member);
    const waiting = count(member);
    await turn();
    await member.follow(authority(() => leader));
    expect(await state(waiting)).toBe('waits');
    refuse(new Fault('CANNOT_CONTACT_HOST', ['old']));
    await expect(under).rejects.toMatchObject({ code: 'CANNOT_CONTACT_HOST' });
    await waiting;
    expect(leader.committed.get('shelf', 's0').size).toBe(1n);
  });

  test('is stale when a row, its absence, or any row of a class it looked through has changed', async () => {
    const proposals: Proposal[] = [];
    const { leader, member } = await asked((proposal: Proposal) => {
      proposals.push(proposal);
      return Promise.reject(new Error('kept'));
    });
    const kept = (make: (tx: Loose) => void): Promise<unknown> =>
      member
        .commit((tx: Loose) => {
          make(tx);
          tx.create('book', `b${proposals.length}`, {});
        })
        .catch(() => undefined);
    await kept((tx) => tx.get('shelf', 's0'));
    await kept((tx) => tx.get('shelf', 'new'));
    await kept((tx) => [...tx.all('shelf')]);
    await kept((tx) => tx.byUuid('shelf', 'new'));
    await kept((tx) => tx.only('shelf'));
    await kept(() => {});
    await leader.commit((tx: Loose) => tx.touch('shelf', 's0'));
    await add(leader, 'new');
    for (const proposal of proposals.slice(0, 5)) {
      expect(await leader.decide(proposal)).toEqual({ stale: leader.generation });
    }
    expect(await leader.decide(proposals[5])).toEqual({ generation: leader.generation });
    expect(leader.committed.get('book', 'b5')).toBeDefined();
  });

  test('is stale when a row has come to refer to what it looked up, and only then', async () => {
    const proposals: Proposal[] = [];
    const { leader, member } = await asked((proposal: Proposal) => {
      proposals.push(proposal);
      return Promise.reject(new Error('kept'));
    });
    await leader.commit((tx: Loose) => {
      for (const lentTo of ['s0', 's1', 's2']) tx.create('book', `at ${lentTo}`, { lentTo });
    });
    await member.reached(leader.generation);
    for (const to of ['s0', 's1', 's3', 's2']) {
      const looked = member.commit((tx: Loose) => {
        tx.referring('book', 'lentTo', to);
        tx.create('shelf', `for ${to}`, {});
      });
      await expect(looked).rejects.toThrow('kept');
    }
    await leader.commit((tx: Loose) => tx.patch('book', 'at s0', { lentTo: 's3' }));
    await leader.commit((tx: Loose) => tx.patch('book', 'at s1', { progress: 7n }));
    const stale = { stale: leader.generation };
    const verdicts = [];
    for (const one of proposals) verdicts.push(await leader.decide(sent(one)));
    expect(verdicts).toEqual([stale, stale, stale, { generation: leader.generation }]);
    expect(leader.latest.get('shelf', 'for s2')).toBeDefined();
  });

  test('that is proposed to a host which does not decide is refused', async () => {
    const { member } = await asked(() => Promise.reject(new Error('kept')));
    const changes = [{ op: 'touch', cls: 'shelf', ref: 's0' }];
    const base = member.position;
    await expect(member.decide({ base, reads: [], scans: [], changes })).rejects.toBeInstanceOf(NotLeading);
  });

  test('waits after a start until it is known who decides', async () => {
    const leader = host();
    await leader.lead(1);
    await add(leader, 's0');
    const own = disk();
    (await following(leader, host(own), 'm')).end();
    const member = host(own);
    const made = count(member);
    expect(await state(made)).toBe('waits');
    await following(leader, member, 'm');
    await made;
    expect(leader.committed.get('shelf', 's0').size).toBe(1n);
    const stopped = host(own);
    const never = count(stopped);
    await stopped.close();
    await expect(never).rejects.toMatchObject({ code: 'HOST_STILL_BOOTING' });
  });
});

test('a proposal of any shape is refused or decided, and never does harm', async () => {
  const store = host();
  await store.lead(1);
  await add(store, 's0');
  const { position: base } = store;
  const create = (fields: object): object => ({
    op: 'create',
    cls: 'shelf',
    ref: 'new',
    fields,
    durable: true,
  });
  const whole = (changes: unknown): object => ({ base, reads: [], scans: [], changes });
  const bad = [
    whole([]),
    whole([{ op: 'burn', cls: 'shelf', ref: 's0' }]),
    whole([{ op: 'touch', cls: 'attic', ref: 's0' }]),
    whole([create({ rooms: 1n })]),
    whole([create({ size: 1 })]),
    whole([create({ size: 2n ** 63n })]),
    whole([create({ other_config: ['a'] })]),
    whole([create({ name_label: () => 1 })]),
    whole([create(JSON.parse('{"__proto__": "x"}'))]),
    { ...whole([create({})]), scans: ['attic'] },
    { ...whole([create({})]), lookups: [['book', 'shelf', 's0']] },
    { ...whole([create({})]), lookups: 's0' },
    { ...whole([create({})]), reads: [['shelf', 's0']] },
    { ...whole([create({})]), base: 7 },
  ];
  for (const one of bad) await expect(store.decide(one)).rejects.toBeInstanceOf(ProposalRefused);
  await fc.assert(
    fc.asyncProperty(fc.anything(), async (one) => {
      await expect(store.decide(one)).rejects.toBeInstanceOf(ProposalRefused);
    }),
    { numRuns: 200 },
  );
  const missing = whole([{ op: 'patch', cls: 'shelf', ref: 'none', fields: {} }]);
  await expect(store.decide(missing)).rejects.toMatchObject({ code: 'HANDLE_INVALID' });
  expect(await store.decide(whole([create({ size: 5n })]))).toEqual({ generation: store.generation });
  expect(store.committed.get('shelf', 'new').size).toBe(5n);
});

test('a generation is waited for until it is there or the caller gives up', async () => {
  const store = host();
  const soon = store.reached(1);
  const never = new AbortController();
  const given = store.reached(100, never.signal);
  await add(store, 's0');
  await soon;
  never.abort(new Error('enough'));
  await expect(given).rejects.toThrow('enough');
  await expect(store.reached(100, never.signal)).rejects.toThrow('enough');
});
