// Goal: of what all share nobody alone can take all, and what is given back can be taken again.
// Method: random takers, with a plain sum beside them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sharesOf } from '../../src/std/shares.ts';

test('one user takes up to an own limit, all together up to theirs', () => {
  const shares = sharesOf({ ofOneMax: 2, totalMax: 3 });
  expect(shares.take('ann', 2)).toBeDefined();
  expect(shares.take('ann', 1)).toBeUndefined();
  const back = shares.take('bob', 1);
  expect(shares.take('cid', 1)).toBeUndefined();
  back?.();
  back?.();
  expect(shares.taken).toBe(2);
  expect(shares.take('cid', 1)).toBeDefined();
});

test('whatever is taken and given back, the limits hold and nothing is lost', () => {
  const step = fc.record({ who: fc.constantFrom('a', 'b', 'c'), amount: fc.nat(5), back: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const shares = sharesOf({ ofOneMax: 6, totalMax: 10 });
      const held: { who: string; amount: number; release: () => void }[] = [];
      const sum = (who?: string): number =>
        held.filter((one) => who === undefined || one.who === who).reduce((all, one) => all + one.amount, 0);
      for (const { who, amount, back } of steps) {
        if (back) held.shift()?.release();
        const release = shares.take(who, amount);
        expect(release !== undefined).toBe(sum(who) + amount <= 6 && sum() + amount <= 10);
        if (release !== undefined) held.push({ who, amount, release });
        expect(shares.taken).toBe(sum());
      }
    }),
  );
});
