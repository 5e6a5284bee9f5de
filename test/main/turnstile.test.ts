// Goal: whoever asks for many turns waits for himself and not before others, and what waits is bounded.
// Method: things that end when the test says so, asked for by sources and users; their order is looked at.
import { expect, test } from 'vitest';
import { type TurnstileLimits, turnstileOf } from '../../src/main/turnstile.ts';

const opened = (limits: Partial<TurnstileLimits> = {}) => {
  const turnstile = turnstileOf({ runningMax: 1, waitingMax: 100, waitingOfOneMax: 50, ...limits });
  const order: string[] = [];
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const outcomes: Promise<unknown>[] = [];
  const ask = (source: string, user: string, name: string): void => {
    const run = async (): Promise<void> => {
      await gate;
      order.push(name);
    };
    outcomes.push(turnstile.pass({ source, user }, run).catch(({ code }) => order.push(`${name} ${code}`)));
  };
  return {
    ask,
    ended: async () => {
      open();
      await Promise.all(outcomes);
      return order;
    },
  };
};

test('turns go round the sources, and for each of them round its users', async () => {
  const { ask, ended } = opened();
  ask('x', 'u', 'first');
  for (const i of [1, 2, 3]) ask('a', 'u', `au${i}`);
  for (const i of [1, 2]) ask('a', 'v', `av${i}`);
  ask('b', 'u', 'bu1');
  expect(await ended()).toEqual(['first', 'au1', 'bu1', 'av1', 'au2', 'av2', 'au3']);
});

test('one source may have so many wait for one user, and when all is full the longest line gives way', async () => {
  const { ask, ended } = opened({ waitingMax: 4, waitingOfOneMax: 3 });
  ask('x', 'u', 'first');
  for (const i of [1, 2, 3, 4]) ask('a', 'u', `a${i}`);
  ask('b', 'u', 'b1');
  ask('c', 'u', 'c1');
  ask('a', 'v', 'av');
  const order = await ended();
  expect(order.filter((one) => one.includes('TOO_MANY'))).toEqual([
    'a4 TOO_MANY_PENDING_TASKS',
    'a3 TOO_MANY_PENDING_TASKS',
    'av TOO_MANY_PENDING_TASKS',
  ]);
  expect(order.filter((one) => !one.includes('TOO_MANY'))).toEqual(['first', 'b1', 'a1', 'c1', 'a2']);
});

test('what fails hands its place on as well', async () => {
  const turnstile = turnstileOf({ runningMax: 1, waitingMax: 1, waitingOfOneMax: 1 });
  const asker = { source: 'a', user: 'u' };
  const failed = turnstile.pass(asker, async () => {
    throw new Error('no');
  });
  const next = turnstile.pass(asker, async () => 'done');
  await expect(failed).rejects.toThrow('no');
  expect(await next).toBe('done');
  expect(await turnstile.pass(asker, async () => 'again')).toBe('again');
});
