// Goal: the clock and the randomness of Node keep what their interfaces promise.
// Method: real timers for short waits, faked ones for waits of weeks; properties of random values.
import { afterEach, expect, test, vi } from 'vitest';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeRandom } from '../../../src/drivers/node/random.ts';
import { sleep } from '../../../src/std/clock.ts';

afterEach(() => void vi.useRealTimers());

test('a wait lasts as long as asked for, by the clock that never goes back', async () => {
  const startMs = nodeClock.monotonicMs();
  await sleep(nodeClock, 20);
  // Timers of Node may fire up to a millisecond early.
  expect(nodeClock.monotonicMs() - startMs).toBeGreaterThanOrEqual(19);
});

test('a cancelled wait never runs', async () => {
  let ran = false;
  const cancel = nodeClock.after(1, () => {
    ran = true;
  });
  cancel();
  await sleep(nodeClock, 10);
  expect(ran).toBe(false);
});

test('a wait of sixty days ends after sixty days and not at once', () => {
  vi.useFakeTimers();
  const days = 86_400_000;
  let ran = false;
  nodeClock.after(60 * days, () => {
    ran = true;
  });
  vi.advanceTimersByTime(59 * days);
  expect(ran).toBe(false);
  vi.advanceTimersByTime(1 * days);
  expect(ran).toBe(true);
});

test('a long wait can be cancelled after its first piece', () => {
  vi.useFakeTimers();
  let ran = false;
  const cancel = nodeClock.after(2 ** 33, () => {
    ran = true;
  });
  vi.advanceTimersByTime(2 ** 32);
  cancel();
  vi.advanceTimersByTime(2 ** 34);
  expect(ran).toBe(false);
});

test('a pending wait does not keep the process alive', () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const cancel = nodeClock.after(60_000, () => {});
  expect(timers()).toBe(before);
  cancel();
});

test('random values have the shape that is promised', () => {
  const uuids = new Set(Array.from({ length: 1000 }, () => nodeRandom.uuid()));
  expect(uuids.size).toBe(1000);
  for (const uuid of uuids)
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(nodeRandom.bytes(32)).toHaveLength(32);
  expect(Buffer.from(nodeRandom.bytes(32)).equals(Buffer.from(nodeRandom.bytes(32)))).toBe(false);
  const fraction = nodeRandom.fraction();
  expect(fraction >= 0 && fraction < 1).toBe(true);
});
