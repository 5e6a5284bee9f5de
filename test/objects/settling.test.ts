// Goal: the end of a call is noted as soon as commits are possible, and never given up early.
// Method: a store that refuses a number of commits, and a clock that a test moves.
import { expect, test } from 'vitest';
import { settle, settlingsMax } from '../../src/objects/settling.ts';
import { silentLog } from '../../src/std/log.ts';

/** Refuses so many commits; time passes as soon as it is waited for. */
const refusing = (refusals: number) => {
  const seen = { commits: 0, errors: 0 };
  let ended = (): void => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const store = {
    commit: async () => {
      seen.commits += 1;
      if (seen.commits <= refusals) throw new Error('This coordinator hears too few hosts');
      ended();
    },
  };
  const clock = {
    after: (_: number, run: () => void) => {
      queueMicrotask(run);
      return () => {};
    },
  };
  const error = (): void => {
    seen.errors += 1;
    ended();
  };
  return { given: { store, services: { clock, log: { ...silentLog, error } } } as never, seen, end };
};

test('a call whose end is noted at once has nothing more to wait for', async () => {
  const { given, seen } = refusing(0);
  expect(await settle(given, {}, () => {})).toBe(true);
  expect(seen).toEqual({ commits: 1, errors: 0 });
});

test('an end that cannot be noted is tried again until it can, and nobody waits for that', async () => {
  const { given, seen, end } = refusing(7);
  expect(await settle(given, {}, () => {})).toBe(false);
  await end;
  expect(seen).toEqual({ commits: 8, errors: 0 });
});

test('an end that is never noted is given up with an error in the log', async () => {
  const { given, seen, end } = refusing(Number.POSITIVE_INFINITY);
  expect(await settle(given, {}, () => {})).toBe(false);
  await end;
  expect(seen).toEqual({ commits: settlingsMax + 1, errors: 1 });
});
