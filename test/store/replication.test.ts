// Goal: hosts that follow a leader have its rows and generations, whatever the order in which messages and
// disks come along; every commit counts once, wherever it was made; nobody misses or mixes up a change.
// Method: a leader and two members in one process with delays by fast-check's scheduler; all messages packed.
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encode } from '../../src/mesh/encode.ts';
import { meshLimits } from '../../src/mesh/limits.ts';
import { BatchRefused } from '../../src/store/batch.ts';
import { changesSince } from '../../src/store/changes.ts';
import { DiskFull } from '../../src/store/durable.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { catchUpRowsMax, copyPieceCharsMax, copyPieceRowsMax } from '../../src/store/replication.ts';
import { authority, disk, following, type Host, host, type Loose, link, rowsOf, sent } from './hosts.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-replication-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const add = (store: Host, cls: string, ref: string, fields: object = {}, options?: object): Promise<void> =>
  store.commit((tx: Loose) => tx.create(cls, ref, { uuid: `uuid of ${ref}`, ...fields }, options));
const patch = (store: Host, cls: string, ref: string, fields: object): Promise<void> =>
  store.commit((tx: Loose) => tx.patch(cls, ref, fields));
const count = (store: Host, ref = 's0'): Promise<void> =>
  store.commit((tx: Loose) => tx.patch('shelf', ref, { size: tx.require('shelf', ref).size + 1n }));

interface Step {
  readonly who: number;
  readonly what: 'count' | 'book' | 'move' | 'drop' | 'read on' | 'all' | 'brief' | 'touch';
  readonly a: number;
  readonly b: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  who: fc.integer({ min: 0, max: 2 }),
  what: fc.constantFrom('count', 'count', 'book', 'move', 'drop', 'read on', 'all', 'brief', 'touch'),
  a: fc.integer({ min: 0, max: 2 }),
  b: fc.integer({ min: 0, max: 4 }),
});

/** Does what a step says; says whether it counted. */
const run = (store: Host, { what, a, b }: Step, serial: number): Promise<boolean> =>
  store.commit((tx: Loose) => {
    const book = `b${b}`;
    const there = tx.get('book', book) !== undefined;
    if (what === 'count') tx.patch('shelf', `s${a}`, { size: tx.get('shelf', `s${a}`).size + 1n });
    if (what === 'book' && !there) tx.create('book', book, { uuid: `u${serial}`, shelf: `s${a}` });
    if (what === 'move' && there) tx.patch('book', book, { shelf: `s${a}` });
    if (what === 'drop') tx.delete('book', book);
    if (what === 'read on' && there) tx.patch('book', book, { progress: BigInt(serial) });
    if (what === 'all') {
      tx.patch('shelf', `s${a}`, { other_config: new Map([['books', String([...tx.all('book')].length)]]) });
    }
    if (what === 'brief') tx.create('book', `brief ${serial}`, { shelf: `s${a}` }, { durable: false });
    if (what === 'touch' && there) tx.touch('book', book);
    return what === 'count';
  });

test('every commit of three hosts counts once, and all of them see the same rows in the same order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.scheduler(), async (steps, scheduler) => {
      const delay = (): Promise<unknown> => scheduler.schedule(Promise.resolve());
      const disks = [disk(), disk(), disk()];
      for (const one of disks) one.before = delay;
      const hosts = disks.map((one) => host(one));
      const [leader, first, second] = hosts as [Host, Host, Host];
      const seen = hosts.map(() => [] as string[]);
      const work = async (): Promise<bigint> => {
        await leader.lead(1);
        for (const ref of ['s0', 's1', 's2']) await add(leader, 'shelf', ref);
        leader.awaitReplicas(() => 1);
        const [, away] = await Promise.all(
          [first, second].map((one, i) => following(leader, one, `m${i}`, delay)),
        );
        // One of them loses its link and makes another one while all go on.
        const back = delay()
          .then(() => away?.end())
          .then(delay)
          .then(() => link(leader, second, 'm1', delay).ready);
        hosts.forEach((one, i) => {
          one.watch((changes: Loose) => {
            for (const { entry, generation, after } of changes) {
              seen[i]?.push(`${generation} ${entry.cls}/${entry.ref} ${after?.modified}`);
            }
          });
        });
        const counted = await Promise.all(steps.map((one, i) => run(hosts[one.who] as Host, one, i + 1)));
        await back;
        await Promise.all(hosts.map((one) => one.reached(leader.position.generation)));
        return BigInt(counted.filter(Boolean).length);
      };
      const working = work();
      let over = false;
      const end = working.finally(() => {
        over = true;
      });
      while (!over) {
        if (scheduler.count() > 0) await scheduler.waitOne();
        else await Promise.race([end.catch(() => undefined), new Promise(setImmediate)]);
      }
      const counted = await end;
      let sum = 0n;
      for (const [, { size }] of leader.committed.all('shelf')) sum += size;
      expect(sum).toBe(counted);
      expect(rowsOf(first)).toEqual(rowsOf(leader));
      expect(rowsOf(second)).toEqual(rowsOf(leader));
      expect(seen[1]).toEqual(seen[0]);
      // What comes at once after an absence is told once for each row.
      expect(seen[0]).toEqual(expect.arrayContaining(seen[2] ?? []));
      expect(seen[2]).toEqual(seen[2]?.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)));
      const generations = (seen[0] ?? []).map((one) => Number.parseInt(one, 10));
      expect(new Set(generations).size).toBe((generations.at(-1) ?? 0) - (generations[0] ?? 1) + 1);
      expect(generations).toEqual(generations.toSorted((a, b) => a - b));
      for (const one of [first, second]) {
        expect(one.latest.get('shelf', 's0')).toBe(one.committed.get('shelf', 's0'));
        expect(one.tombstones).toEqual(leader.tombstones);
      }
    }),
    { numRuns: 40 },
  );
}, 120_000);

describe('a member', () => {
  test('comes to the same rows by live batches, by catching up and by a copy', async () => {
    const leader = host();
    await leader.lead(1);
    const [live, late, copied] = [host(), host(), host()];
    await following(leader, live, 'live');
    const away = await following(leader, late, 'late');
    away.end();
    for (const ref of ['s0', 's1']) await add(leader, 'shelf', ref);
    await add(leader, 'book', 'b0', { shelf: 's0' });
    await add(leader, 'book', 'b1', { shelf: 's0' });
    await add(leader, 'book', 'memory', { shelf: 's1' }, { durable: false });
    await patch(leader, 'book', 'b0', { progress: 3n });
    await patch(leader, 'book', 'b0', { shelf: 's1' });
    await leader.commit((tx: Loose) => tx.delete('book', 'b1'));
    expect((await following(leader, late, 'late')).how()).toBe('batch');
    await copied.disown();
    expect((await following(leader, copied, 'copied')).how()).toBe('copy');
    await Promise.all([live, late, copied].map((one) => one.reached(leader.generation)));
    for (const one of [live, late, copied]) {
      expect(rowsOf(one)).toEqual(rowsOf(leader));
      expect(one.position).toEqual(leader.position);
    }
    expect(live.tombstones).toEqual(leader.tombstones);
    expect(late.tombstones).toEqual(leader.tombstones);
    expect(leader.tombstones).toHaveLength(1);
    expect(live.committed.get('shelf', 's1').name_label).toBe('2 books');
  });

  test('goes on from its position after a restart, and gets back what lives in memory only', async () => {
    const leader = host(lmdbDurable(join(folder, 'leader')));
    await leader.lead(1);
    let member = host(lmdbDurable(join(folder, 'member')));
    const before = await following(leader, member, 'm');
    await add(leader, 'shelf', 's0');
    await add(leader, 'shelf', 'gone');
    await add(leader, 'book', 'b0', { shelf: 's0', progress: 4n });
    await add(leader, 'book', 'memory', {}, { durable: false });
    await patch(leader, 'book', 'b0', { progress: 9n });
    await member.reached(leader.generation);
    before.end();
    const { position } = member;
    await member.close();
    await leader.commit((tx: Loose) => tx.delete('shelf', 'gone'));
    member = host(lmdbDurable(join(folder, 'member')));
    expect(member.position).toEqual({ ...position, cold: true });
    const again = await following(leader, member, 'm');
    expect(again.how()).toBe('batch');
    expect(rowsOf(member)).toEqual(rowsOf(leader));
    expect(member.committed.get('book', 'b0').progress).toBe(9n);
    await count(member);
    expect(leader.committed.get('shelf', 's0').size).toBe(1n);
    again.end();
    await member.close();
    await leader.close();
  });

  test('that was killed has no more on its disk than it said, and catches up', async () => {
    const leader = host();
    await leader.lead(1);
    const own = disk();
    const before = await following(leader, host(own), 'm');
    await add(leader, 'shelf', 's0');
    await add(leader, 'book', 'b0');
    await patch(leader, 'book', 'b0', { progress: 1n });
    before.end();
    const member = host(own);
    expect(member.position.generation).toBeLessThanOrEqual(leader.generation);
    expect((await following(leader, member, 'm')).how()).toBe('batch');
    expect(rowsOf(member)).toEqual(rowsOf(leader));
  });

  test('that took a copy has on its disk what others have there, also of rows that last changed in memory', async () => {
    const leader = host();
    await leader.lead(1);
    const disks = [disk(), disk()] as const;
    const live = host(disks[0]);
    await following(leader, live, 'live');
    await add(leader, 'shelf', 's0');
    await add(leader, 'book', 'b0', { shelf: 's0' });
    await patch(leader, 'book', 'b0', { progress: 1n });
    const copied = host(disks[1]);
    await copied.disown();
    expect((await following(leader, copied, 'copied')).how()).toBe('copy');
    await count(leader);
    await Promise.all([live, copied].map((one) => one.reached(leader.generation)));
    // All are killed; the one that took the copy leads.
    const [member, next] = disks.map((one) => host(one)) as [Host, Host];
    expect(rowsOf(member)).toEqual(rowsOf(next));
    await next.lead(2);
    expect((await following(next, member, 'member')).how()).toBe('batch');
    expect(rowsOf(member)).toEqual(rowsOf(next));
    await patch(member, 'book', 'b0', { progress: 2n });
    expect(next.committed.get('book', 'b0').progress).toBe(2n);
  });

  test('refuses a batch that leaves something out, or is of another history, and stays as it is', async () => {
    const leader = host();
    await leader.lead(1);
    const member = host();
    const made = await following(leader, member, 'm');
    made.end();
    await add(leader, 'shelf', 's0');
    const { position } = member;
    await add(leader, 'shelf', 's1');
    const next = leader.since({ ...position, generation: position.generation + 1 });
    await expect(member.apply(next)).rejects.toBeInstanceOf(BatchRefused);
    const good = leader.since(position) as Loose;
    await expect(member.apply({ ...good, epoch: 5, epochs: [[5, 0]] })).rejects.toBeInstanceOf(BatchRefused);
    for (const bad of [undefined, {}, { ...good, changes: 7 }, { ...good, changes: [{ cls: 'shelf' }] }]) {
      await expect(member.apply(bad)).rejects.toThrow();
    }
    expect(member.position).toEqual(position);
    await member.apply(good);
    expect(rowsOf(member)).toEqual(rowsOf(leader));
  });

  test('whose disk refuses stays at its position and takes the same again', async () => {
    const leader = host();
    await leader.lead(1);
    const own = disk();
    const member = host(own);
    (await following(leader, member, 'm')).end();
    const { position } = member;
    await add(leader, 'shelf', 's0');
    own.before = () => {
      throw new DiskFull('no room');
    };
    await expect(member.apply(leader.since(position))).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    expect(member.latest.get('shelf', 's0')).toBeUndefined();
    expect(member.position).toEqual(position);
    own.before = () => {};
    await member.apply(leader.since(position));
    expect(rowsOf(member)).toEqual(rowsOf(leader));
  });

  test('shows what came acknowledged, also when another takes over before its disk has it', async () => {
    const leader = host();
    await leader.lead(1);
    const own = disk();
    const member = host(own);
    (await following(leader, member, 'm')).end();
    const { position } = member;
    await add(leader, 'shelf', 's0');
    let write = (): void => {};
    own.before = () =>
      new Promise<void>((resolve) => {
        write = resolve;
      });
    const applied = member.apply(sent(leader.since(position)));
    await new Promise(setImmediate);
    const followed = member.follow(authority(() => host()));
    expect(member.committed.get('shelf', 's0')).toBeUndefined();
    write();
    await Promise.all([applied, followed]);
    expect(member.committed.get('shelf', 's0')).toBeDefined();
    await member.reached(leader.generation);
  });

  test('shows nothing of the next who decides as acknowledged because of one before, whose write failed', async () => {
    const leader = host();
    await leader.lead(1);
    const own = disk();
    const member = host(own);
    (await following(leader, member, 'm')).end();
    const { position } = member;
    await add(leader, 'shelf', 's0');
    own.before = () => {
      throw new DiskFull('no room');
    };
    const good = sent(leader.since(position)) as Loose;
    await expect(member.apply(good)).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    own.before = () => {};
    await member.apply({ ...good, acknowledged: position.generation });
    expect(member.latest.get('shelf', 's0')).toBeDefined();
    expect(member.committed.get('shelf', 's0')).toBeUndefined();
    member.acknowledge(leader.generation);
    expect(member.committed.get('shelf', 's0')).toBeDefined();
  });

  test('that misses too much, or deletions that are forgotten, is given a copy in pieces', async () => {
    const leader = host(disk(), { tombstonesMax: 2 });
    await leader.lead(1);
    const own = disk();
    const member = host(own);
    (await following(leader, member, 'm')).end();
    await leader.commit((tx: Loose) => {
      for (let i = 0; i <= catchUpRowsMax; i++) tx.create('book', `b${i}`, {});
    });
    expect(leader.since(member.position)).toBeUndefined();
    const pieces = [...leader.copy()];
    expect(pieces).toHaveLength(Math.ceil((catchUpRowsMax + 1) / copyPieceRowsMax));
    expect(pieces.every(({ rows }) => rows.length <= copyPieceRowsMax)).toBe(true);
    await member.replace(pieces);
    await member.close();
    const again = host(own);
    for (const i of [1, 2, 3]) await leader.commit((tx: Loose) => tx.delete('book', `b${i}`));
    expect(leader.since(again.position)).toBeUndefined();
  });
});

test('rows of any size that there may be reach a member, in messages that are not too long', async () => {
  const leader = host();
  await leader.lead(1);
  const member = host();
  (await following(leader, member, 'm')).end();
  const large = new Map(Array.from({ length: 8 }, (_, i) => [`k${i}`, 'x'.repeat(125_000)]));
  for (let i = 0; i < 10; i++)
    await leader.commit((tx: Loose) => tx.create('shelf', `s${i}`, { other_config: large }));
  expect(leader.since(member.position)).toBeUndefined();
  const pieces = [...leader.copy()];
  const sizes = pieces.map((piece) => encode(piece, meshLimits).length);
  expect(Math.max(...sizes)).toBeLessThan(1.1 * copyPieceCharsMax);
  expect(pieces.length).toBeGreaterThanOrEqual(3);
  await member.replace(pieces.map(sent));
  expect(rowsOf(member)).toEqual(rowsOf(leader));
});

describe('a copy', () => {
  const forked = async (): Promise<readonly [Host, Host, ReturnType<typeof disk>]> => {
    const leader = host();
    await leader.lead(3);
    for (let i = 0; i < copyPieceRowsMax + 5; i++) await add(leader, 'book', `b${i}`);
    const own = disk();
    const member = host(own);
    await add(member, 'shelf', 'own');
    await member.follow(authority(() => leader));
    return [leader, member, own];
  };

  test('takes the place of everything: rows vanish, watchers hear of it, old tokens are told to start anew', async () => {
    const [leader, member] = await forked();
    const token = member.generation;
    const heard: string[] = [];
    member.watch((changes: Loose) => {
      for (const { entry, after } of changes) if (after === undefined) heard.push(entry.ref);
    });
    await member.replace([...leader.copy()].map(sent));
    expect(heard).toEqual(['own']);
    expect(rowsOf(member)).toEqual(rowsOf(leader));
    expect(changesSince(member, token, () => true)).toBeUndefined();
    expect(changesSince(member, leader.generation, () => true)).toEqual([]);
  });

  test('that ends in the middle, by its sender or by a kill, leaves what was', async () => {
    const [leader, member, own] = await forked();
    const before = rowsOf(member);
    const pieces = [...leader.copy()];
    expect(pieces).toHaveLength(2);
    await expect(member.replace(pieces.slice(0, 1))).rejects.toThrow('before its last piece');
    await expect(member.replace(pieces.slice(1))).rejects.toThrow('Piece 0');
    expect(rowsOf(member)).toEqual(before);
    own.before = () => new Promise(() => {});
    void member.replace(pieces);
    await new Promise(setImmediate);
    own.before = () => {};
    const again = host(own);
    expect(rowsOf(again)).toEqual(before);
    expect(leader.since(again.position)).toBeUndefined();
    await again.follow(authority(() => leader));
    await again.replace(pieces);
    expect(rowsOf(again)).toEqual(rowsOf(leader));
  });

  test('that a kill -9 cuts short leaves all of what was or all of what is to be on the disk', async () => {
    for (const turns of ['0', '1', '3', '1000000']) {
      const own = join(folder, `killed after ${turns}`);
      const before = host(lmdbDurable(own));
      await before.commit((tx: Loose) => {
        for (let i = 0; i < 100; i++) tx.create('book', `old${i}`, { uuid: `old${i}` });
      });
      await before.close();
      const program = ['node_modules/vite-node/vite-node.mjs', 'test/store/replace-and-die.ts', own, turns];
      expect(spawnSync(process.execPath, program).signal).toBe('SIGKILL');
      const after = host(lmdbDurable(own));
      const kinds = [...after.tables.get('book').entries.keys()].map((ref: string) => ref.slice(0, 3));
      expect([new Set(['old']), new Set(['new'])]).toContainEqual(new Set(kinds));
      expect(kinds).toHaveLength(kinds[0] === 'old' ? 100 : 5_000);
      expect(after.epoch).toBe(kinds[0] === 'old' ? 1 : 2);
      await after.close();
    }
  });

  test('is of one generation, whatever is committed while it is taken', async () => {
    const [leader, member] = await forked();
    const before = rowsOf(leader);
    const pieces = leader.copy()[Symbol.iterator]();
    const taken = [pieces.next().value];
    await leader.commit((tx: Loose) => tx.delete('book', 'b1'));
    await add(leader, 'book', 'later');
    taken.push(pieces.next().value);
    await member.replace(taken);
    expect(rowsOf(member)).toEqual(before);
    await member.apply(leader.since(member.position));
    expect(rowsOf(member)).toEqual(rowsOf(leader));
  });

  test('is all that will do for a host that joins with a history of its own', async () => {
    const leader = host();
    await add(leader, 'shelf', 'theirs');
    await add(leader, 'shelf', 'theirs too');
    const own = disk();
    let joining = host(own);
    await add(joining, 'shelf', 'own');
    await joining.disown();
    joining = host(own);
    expect(joining.position).toEqual({ epoch: 0, generation: 0, cold: true });
    expect((await following(leader, joining, 'm')).how()).toBe('copy');
    expect(rowsOf(joining)).toEqual(rowsOf(leader));
  });

  test('is followed by nothing that is shown before it is acknowledged, by a host that had counted further', async () => {
    const leader = host();
    await leader.lead(1);
    await add(leader, 'shelf', 'theirs');
    const joining = host();
    for (const ref of ['own', 'own too', 'a third', 'a fourth']) await add(joining, 'shelf', ref);
    await joining.disown();
    (await following(leader, joining, 'm')).end();
    const { position } = joining;
    await add(leader, 'shelf', 'next');
    const batch = sent(leader.since(position)) as Loose;
    await joining.apply({ ...batch, acknowledged: position.generation });
    expect(joining.committed.get('shelf', 'next')).toBeUndefined();
    joining.acknowledge(leader.generation);
    expect(joining.committed.get('shelf', 'next')).toBeDefined();
  });
});
