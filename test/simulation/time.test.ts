// Goal: in a simulated world time moves only from one planned thing to the next, chance follows from the seed,
//   and a process can be held up and ended.
// Method: the clock, the random numbers and the lives by themselves.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lifeOf } from '../../src/simulation/life.ts';
import { seededRandom } from '../../src/simulation/random.ts';
import { traceOf } from '../../src/simulation/trace.ts';
import { virtualClock } from '../../src/simulation/virtual-clock.ts';

describe('the clock', () => {
  test('runs what is planned in the order of time, and of planning within one time', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 200 }), (delays) => {
        const clock = virtualClock();
        const ran: (readonly [number, number])[] = [];
        for (const [i, delayMs] of delays.entries()) {
          clock.after(delayMs, () => ran.push([clock.monotonicMs(), i]));
        }
        while (clock.step());
        const wanted = delays.map((delayMs, i) => [delayMs, i] as const);
        expect(ran).toEqual(wanted.sort(([a, i], [b, j]) => a - b || i - j));
      }),
    );
  });

  test('never runs what was cancelled, however much that is', () => {
    const clock = virtualClock();
    const ran: number[] = [];
    const cancels = Array.from({ length: 10_000 }, (_, i) => clock.after(i, () => ran.push(i)));
    for (const [i, cancel] of cancels.entries()) if (i % 1000 !== 7) cancel();
    while (clock.step());
    expect(ran).toEqual([7, 1007, 2007, 3007, 4007, 5007, 6007, 7007, 8007, 9007]);
    expect(clock.nextMs()).toBeUndefined();
  });

  test('stands still while nothing is run, and cannot be moved past what is due', () => {
    const clock = virtualClock(5_000);
    clock.after(10, () => {});
    expect([clock.now(), clock.monotonicMs(), clock.nextMs()]).toEqual([5_000, 0, 10]);
    expect(() => clock.moveTo(11)).toThrow('Something is due');
    clock.moveTo(9);
    expect(clock.now()).toBe(5_009);
  });
});

describe('chance', () => {
  test('is the same for the same seed and other for another', () => {
    const taken = (seed: string) => Array.from({ length: 8 }, seededRandom(seed).uuid);
    expect(taken('a')).toEqual(taken('a'));
    expect(taken('a')).not.toEqual(taken('b'));
    expect(taken('a')[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('of one consumer does not depend on how much another took', () => {
    const quiet = seededRandom('seed');
    const busy = seededRandom('seed');
    busy.split('network').bytes(1_000);
    busy.bytes(10);
    expect(busy.split('disk').bytes(16)).toEqual(quiet.split('disk').bytes(16));
  });

  test('is spread evenly', () => {
    const random = seededRandom('even');
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) {
      const picked = random.between(0, 9);
      counts[picked] = (counts[picked] as number) + 1;
    }
    const mean = Array.from({ length: 100_000 }, random.fraction).reduce((sum, one) => sum + one) / 100_000;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.01);
    expect(counts.every((count) => Math.abs(count - 10_000) < 500)).toBe(true);
  });
});

describe('a life', () => {
  test('that is held up does later, in order, what fell due meanwhile', () => {
    const clock = virtualClock();
    const life = lifeOf('host', clock);
    const did: string[] = [];
    life.after(1, () => did.push('first'));
    life.after(2, () => did.push('second'));
    const cancel = life.after(3, () => did.push('never'));
    life.pause();
    clock.after(10, () => {
      cancel();
      life.resume();
    });
    life.after(11, () => did.push('third'));
    while (clock.step());
    expect(did).toEqual(['first', 'second', 'third']);
  });

  test('that has ended does nothing any more, and says so to who asked', () => {
    const clock = virtualClock();
    const life = lifeOf('host', clock);
    const did: string[] = [];
    life.onEnd(() => did.push('end'));
    life.onEnd(() => did.push('not told'))();
    life.after(1, () => did.push('timer'));
    life.end();
    life.end();
    life.after(0, () => did.push('later'));
    while (clock.step());
    expect([did, life.state]).toEqual([['end'], 'ended']);
  });

  test('may have a clock that is wrong', () => {
    expect(lifeOf('host', virtualClock(1_000), -400).now()).toBe(600);
  });
});

test('a trace tells apart what differs, and keeps the end of it', () => {
  const [one, other] = [traceOf(3), traceOf(3)];
  for (let i = 0; i < 10; i++) {
    one.note('step', i);
    other.note('step', i === 2 ? 0 : i);
  }
  expect(one.recent()).toEqual(['step 7', 'step 8', 'step 9']);
  expect(one.recent()).toEqual(other.recent());
  expect(one.digest()).not.toBe(other.digest());
});
