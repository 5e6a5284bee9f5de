// Goal: a host leads a log of the engine primary without being forced to only where it cannot lack anything.
// Method: the rules alone, with what hosts may answer; and the file in which a host keeps what it was told.
import { describe, expect, test } from 'vitest';
import type { Answer } from '../../src/log/primary/asking.ts';
import { hasAll, lossOf, objectionTo } from '../../src/log/primary/rules.ts';
import { takeUpMove } from '../../src/main/choose-engine.ts';
import type { Ref } from '../../src/model/types.ts';
import { openStateFile, type PoolState } from '../../src/pool/state.ts';
import { memoryDisk } from '../../src/simulation/memory-disk.ts';
import { simulated } from '../simulation/simulated.ts';

const [own, second, third] = ['a', 'b', 'c'].map((name) => `OpaqueRef:${name}`) as Ref<'host'>[] as [
  Ref<'host'>,
  Ref<'host'>,
  Ref<'host'>,
];
const position = { epoch: 4, generation: 100 };
const answer = (host: Ref<'host'>, more: Partial<Answer> = {}): Answer => ({
  ...{ host, epoch: 4, leads: false, leader: '', position },
  ...more,
});
const nameOf = (host: Ref<'host'>): string => `host (${host.slice(-1)})`;
const objection = (...answers: readonly Answer[]) =>
  objectionTo({ host: own, position, awaited: [second, third], answers }, nameOf);

describe('whoever led last leads again', () => {
  test('once all others answer and none has more or follows somebody else', () => {
    expect(objection(answer(second), answer(third))).toBeUndefined();
    expect(objection(answer(second), answer(third, { leader: own }))).toBeUndefined();
    const cold = { epoch: 3, generation: 70_000, cold: true } as const;
    expect(objection(answer(second), answer(third, { position: cold }))).toBeUndefined();
  });
  test('not while one is silent, has more, or follows somebody else; and it is said which one', () => {
    expect(objection(answer(second))).toContain('host (c) did not say yet');
    const more = { epoch: 4, generation: 101 };
    expect(objection(answer(second, { position: more }), answer(third))).toContain('host (b) has more');
    expect(objection(answer(second, { leader: third }), answer(third))).toContain(
      'host (b) follows host (c)',
    );
  });
});

test('what the leader said at its clean stop counts for its epoch alone', () => {
  const complete = { host: second, epoch: 4, generation: 100 };
  expect(hasAll(complete, position)).toBe(true);
  expect(hasAll(complete, { epoch: 4, generation: 99 })).toBe(false);
  expect(hasAll(complete, { epoch: 5, generation: 200 })).toBe(false);
  expect(hasAll(undefined, position)).toBe(false);
  const figures = { position: { epoch: 4, generation: 90 }, complete, silentMs: 1_500, answers: [] };
  expect(lossOf({ ...figures, missing: [third] }, nameOf)).toMatch(
    /2 seconds ago.*10 generations are missing here.*Not answering: host \(c\)/,
  );
});

describe('the file of where a host stands', () => {
  const opened = (content?: object) => {
    const { life, random, loop } = simulated('state');
    const disk = memoryDisk({ random }).of(life('host'));
    const open = async () => {
      await disk.makeFolder('/data');
      if (content !== undefined) await disk.replaceText('/data/pool.json', JSON.stringify(content));
      return openStateFile(disk, '/data/pool.json');
    };
    return { loop, disk, file: () => loop.finish(open()) };
  };
  const state: PoolState = { host: own, role: 'member', epoch: 4, led: 2 };

  test('of a version that held votes is read without them', async () => {
    const { file } = opened({ ...state, consent: { epoch: 5, to: second } });
    expect((await file()).current).toEqual(state);
  });
  test('keeps what the leader said at its clean stop', async () => {
    const { file, loop, disk } = opened(state);
    const complete = { host: second, epoch: 4, generation: 100 };
    await loop.finish((await file()).save({ ...state, complete }));
    const again = await loop.finish(openStateFile(disk, '/data/pool.json'));
    expect(again.current).toEqual({ ...state, complete });
  });
  test('says coordinator of the host that brings a log back from a cluster, and of no other', async () => {
    const move = (by: Ref<'host'>, step: 'begun' | 'ended') => ({
      current: { use: 'primary', move: { to: 'primary', by, step } } as const,
    });
    for (const [given, role] of [
      [move(own, 'begun'), 'coordinator'],
      [move(second, 'begun'), 'member'],
      [move(own, 'ended'), 'member'],
      [{ current: {} }, 'member'],
    ] as const) {
      const { file, loop } = opened(state);
      const opens = await file();
      await loop.finish(takeUpMove(given, opens));
      expect(opens.current?.role).toBe(role);
    }
  });
});
