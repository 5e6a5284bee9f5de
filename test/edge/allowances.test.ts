// Goal: callers are told apart as their patterns say, are counted and slowed down as their limit says, and nobody else
// is; bad patterns, groups and limits are refused.
// Method: the arithmetic of buckets by itself with the times that clients of other servers know, and a whole edge with
// a clock that stands still.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import caller from '../../actors/caller/behaviour.ts';
import rateLimit from '../../actors/rate_limit/behaviour.ts';
import {
  allowancesOf,
  type CallAllowance,
  fullBucket,
  limitedCallsMax,
  spend,
} from '../../src/edge/allowances.ts';
import type { Ref } from '../../src/model/types.ts';
import { callersOf } from '../../src/rules/callers.ts';
import { type ManualClock, manualClock } from '../manual-clock.ts';
import { type World, world } from '../world.ts';

type Call = readonly [atS: number, cost: number];

describe('a bucket', () => {
  test.each<[string, CallAllowance, readonly Call[], readonly number[]]>([
    [
      'is spent at once, then as it fills',
      { burst: 3, perSecond: 1 },
      Array(5).fill([0, 1]),
      [0, 0, 0, 1, 2],
    ],
    [
      'holds no more than its burst',
      { burst: 2, perSecond: 1 },
      [[0, 2], ...Array(3).fill([100, 1])],
      [0, 100, 100, 101],
    ],
    [
      'fills by parts',
      { burst: 1, perSecond: 0.5 },
      [
        [0, 1],
        [0, 1],
        [1, 1],
      ],
      [0, 2, 4],
    ],
    [
      'is left in debt by a dear call',
      { burst: 5, perSecond: 1 },
      [
        [0, 8],
        [0, 1],
      ],
      [0, 4],
    ],
    [
      'is full before a dear call',
      { burst: 5, perSecond: 1 },
      [
        [0, 3],
        [0, 8],
        [0, 1],
      ],
      [0, 3, 7],
    ],
    [
      'lets none go before another',
      { burst: 4, perSecond: 2 },
      [
        [0, 4],
        [0, 4],
        [0, 1],
      ],
      [0, 2, 2.5],
    ],
    [
      'keeps nobody waiting who is slow enough',
      { burst: 1, perSecond: 1 },
      [
        [0, 1],
        [1, 1],
        [2, 1],
      ],
      [0, 1, 2],
    ],
  ])('%s', (_, allowance, calls, wanted) => {
    let bucket = fullBucket(allowance, 0);
    const turns = calls.map(([atS, cost]) => {
      bucket = spend(bucket, allowance, atS * 1000, cost);
      return bucket.atMs / 1000;
    });
    expect(turns).toEqual(wanted);
  });
});

let w: World;
let clock: ManualClock;
beforeEach(async () => {
  clock = manualClock();
  w = await world({ behaviours: [caller, rateLimit], clock });
});
afterEach(() => w.close());

const newCaller = (user_agent: string, client_ip = '', name_label = ''): Promise<Ref<'Caller'>> =>
  w.call(
    'Caller.create',
    new Map(Object.entries({ name_label, name_description: '', user_agent, client_ip })),
  );
const newLimit = (burst_size: number, fill_rate: number): Promise<Ref<'Rate_limit'>> =>
  w.call(
    'Rate_limit.create',
    new Map(Object.entries({ name_label: '', name_description: '', burst_size, fill_rate })),
  );
const refusal = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'no refusal',
    ({ code, params }) => [code, ...params],
  );
const patterns = 'user_agent/client_ip';

describe('a caller', () => {
  const matches = (userAgent: string, address: string) =>
    callersOf(w.store.committed, { userAgent, address }).map(([, row]) => [row.user_agent, row.client_ip]);

  test('is found by its patterns, the most specific first', async () => {
    const all = [
      ['curl/1.2', '192.168.1.1'],
      ['curl/1.2', '192.168.*'],
      ['curl/*', '192.168.1.1'],
      ['curl/1.2', ''],
      ['curl/*', '192.168.*'],
      ['*', '192.168.1.1'],
      ['curl/*', '*'],
      ['', '192.168.*'],
    ] as const;
    for (const [agent, address] of all.toReversed()) await newCaller(agent, address);
    expect(matches('curl/1.2', '192.168.1.1')).toEqual(all);
    expect(matches('wget', '192.168.1.1')).toEqual([all[5], all[7]]);
    expect(matches('Curl/1.2', '10.0.0.1')).toEqual([]);
    await newCaller('a*b');
    expect(matches('axb', '10.0.0.1')).toEqual([]);
  });

  test('that is made twice is renamed, and one that is everybody is refused', async () => {
    const made = await newCaller('curl', '', 'one');
    expect(await newCaller('curl', '*', 'two')).toBe(made);
    expect(w.store.committed.require('Caller', made).name_label).toBe('two');
    expect(await refusal(newCaller('', ''))).toEqual([
      'INVALID_VALUE',
      patterns,
      'at least one of user_agent or client_ip must be set',
    ]);
    expect(await refusal(newCaller('*', ''))).toEqual([
      'INVALID_VALUE',
      patterns,
      'all-wildcard pattern not allowed',
    ]);
  });

  test('is in groups that have a name', async () => {
    const made = await newCaller('curl');
    await w.call('Caller.add_group', made, 'batch_jobs-1.0');
    await w.call('Caller.add_group', made, 'batch_jobs-1.0');
    expect(w.store.committed.require('Caller', made).groups).toEqual(['batch_jobs-1.0']);
    for (const bad of ['', 'g'.repeat(65), 'a b', 'a/b', '*']) {
      expect(await refusal(w.call('Caller.add_group', made, bad))).toMatchObject([
        'INVALID_VALUE',
        'group',
        {},
      ]);
    }
    await w.call('Caller.remove_group', made, 'batch_jobs-1.0');
    expect(w.store.committed.require('Caller', made).groups).toEqual([]);
  });
});

describe('a limit', () => {
  test('without tokens is refused, the fill rate first', async () => {
    expect(await refusal(newLimit(10, -1.5))).toEqual(['INVALID_VALUE', 'fill_rate', '-1.5']);
    expect(await refusal(newLimit(-1, -1))).toEqual(['INVALID_VALUE', 'fill_rate', '-1.']);
    expect(await refusal(newLimit(0, 1))).toEqual(['INVALID_VALUE', 'burst_size', '0.']);
    expect(await refusal(newLimit(Number.POSITIVE_INFINITY, 1))).toMatchObject([
      'INVALID_VALUE',
      'burst_size',
      {},
    ]);
    const limit = await newLimit(5, 1);
    expect(await refusal(w.call('Rate_limit.set_fill_rate', limit, -2))).toEqual([
      'INVALID_VALUE',
      'fill_rate',
      '-2.',
    ]);
    expect(await refusal(w.call('Rate_limit.set_burst_size', limit, 0))).toEqual([
      'INVALID_VALUE',
      'burst_size',
      '0.',
    ]);
    expect(w.store.committed.require('Rate_limit', limit)).toMatchObject({ fill_rate: 1, burst_size: 5 });
  });

  const source = (userAgent: string) => ({ userAgent, address: '10.0.0.1' });

  test('has calls of its callers wait their turn, and no others', async () => {
    const [made, limit] = [await newCaller('batch'), await newLimit(2, 1)];
    await w.call('Caller.add_group', made, 'jobs');
    await w.call('Rate_limit.add_caller', limit, made);
    const enter = allowancesOf(w.services);
    const turns: number[] = [];
    for (let call = 0; call < 4; call += 1) {
      const turn = enter(source('batch'));
      if (turn === undefined) turns.push(0);
      else turn.then(() => turns.push(clock.monotonicMs() / 1000));
    }
    expect(enter(source('other'))).toBeUndefined();
    expect(turns).toEqual([0, 0]);
    await clock.advance(1_000);
    expect(turns).toEqual([0, 0, 1]);
    await clock.advance(1_000);
    expect(turns).toEqual([0, 0, 1, 2]);
    expect(await w.call('Caller.query_call_count', made)).toBe(4n);
    expect(await w.call('Caller.query_token_usage', made)).toBe(4);
    expect(await w.call('Caller.query_group_call_count', 'jobs')).toBe(4n);
    expect(await w.call('Caller.query_group_call_count', 'nobody')).toBe(0n);
    const { uuid } = w.store.committed.require('Caller', made);
    expect(await w.call('Caller.query_all_usage')).toEqual([[uuid, '', '4.000', '4']]);

    await w.call('Rate_limit.remove_caller', await newLimit(1, 1), made);
    expect(w.store.committed.require('Caller', made).rate_limit).toBe(limit);
    await w.call('Rate_limit.destroy', limit);
    expect(enter(source('batch'))).toBeUndefined();
  });

  test('lets only so many wait, and none for ever', async () => {
    const made = await newCaller('batch');
    const limit = await newLimit(1, 1_000);
    await w.call('Rate_limit.add_caller', limit, made);
    const enter = allowancesOf(w.services);
    enter(source('batch'));
    const waiting = Array.from({ length: limitedCallsMax }, () => enter(source('batch')));
    expect(() => enter(source('batch'))).toThrow('TOO_MANY_PENDING_TASKS');
    await clock.advance(limitedCallsMax);
    await Promise.all(waiting);
    await w.call('Rate_limit.set_fill_rate', limit, 0.000_001);
    expect(() => enter(source('batch'))).toThrow('TOO_MANY_PENDING_TASKS');
  });

  test('without tokens in its row shuts nobody out, and a caller in a row that is everybody is nobody', async () => {
    const [made, limit] = [await newCaller('batch'), await newLimit(1, 1)];
    await w.call('Rate_limit.add_caller', limit, made);
    await w.store.commit((tx) => {
      tx.patch('Rate_limit', limit, { burst_size: 0, fill_rate: 0 });
      tx.create('Caller', 'OpaqueRef:all' as Ref<'Caller'>, { uuid: 'all', rate_limit: limit });
    });
    const enter = allowancesOf(w.services);
    for (let call = 0; call < 3; call += 1) expect(enter(source('batch'))).toBeUndefined();
    expect(callersOf(w.store.committed, source('other'))).toEqual([]);
  });

  test('notes when a caller was last there, and not at each call', async () => {
    const made = await newCaller('batch');
    const enter = allowancesOf(w.services);
    const committed = (): Promise<void> =>
      w.until(() => w.store.committed.require('Caller', made).last_access.startsWith('20260101'));
    enter(source('batch'));
    await committed();
    const { last_access } = w.store.committed.require('Caller', made);
    await clock.advance(1_000);
    enter(source('batch'));
    expect(w.store.latest.require('Caller', made).last_access).toBe(last_access);
  });
});
