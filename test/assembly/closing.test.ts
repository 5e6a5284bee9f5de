// Goal: what a host opened is closed in the opposite order, and all of it, whatever fails meanwhile.
// Method: parts that note when they are closed.
import { expect, test } from 'vitest';
import { closing, closingMsMax, partMsMax, partMsMin } from '../../src/assembly/closing.ts';
import { silentLog } from '../../src/std/log.ts';
import { manualClock } from '../manual-clock.ts';

test('parts are closed one after the other, the last one first', async () => {
  const opened = closing(silentLog, manualClock());
  const seen: string[] = [];
  for (const name of ['lock', 'store', 'mesh', 'door']) {
    opened.add(name, {
      close: async () => {
        seen.push(`${name} closes`);
        await Promise.resolve();
        seen.push(`${name} is closed`);
      },
    });
  }
  await opened.close();
  expect(seen).toEqual(
    ['door', 'mesh', 'store', 'lock'].flatMap((name) => [`${name} closes`, `${name} is closed`]),
  );
});

test('a part that cannot be closed keeps no other from it, and nothing is closed twice', async () => {
  const opened = closing(silentLog, manualClock());
  const seen: string[] = [];
  opened.add('first', { close: async () => void seen.push('first') });
  opened.add('ill', { close: async () => Promise.reject(new Error('Not today')) });
  opened.add('last', { close: async () => void seen.push('last') });
  await opened.close();
  await opened.close();
  expect(seen).toEqual(['last', 'first']);
});

test('what is opened while all is being closed is closed too', async () => {
  const opened = closing(silentLog, manualClock());
  const seen: string[] = [];
  opened.add('store', { close: async () => void seen.push('store') });
  opened.add('door', {
    close: async () => opened.add('late', { close: async () => void seen.push('late') }),
  });
  await opened.close();
  expect(seen).toEqual(['late', 'store']);
});

test('parts that never end keep no other from its end, and all of it from no more than a bounded time', async () => {
  const clock = manualClock();
  const opened = closing(silentLog, clock);
  const seen: string[] = [];
  const never = { close: () => new Promise<void>(() => {}) };
  opened.add('lock', { close: async () => void seen.push('lock') });
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) opened.add(name, never);
  opened.add('door', { close: async () => void seen.push('door') });
  const left = opened.close();
  await clock.advance(0);
  await clock.advance(closingMsMax + 6 * partMsMin);
  expect(await left).toEqual(['f', 'e', 'd', 'c', 'b', 'a']);
  expect(seen).toEqual(['door', 'lock']);
});

test('a part that ends late is not told to be left', async () => {
  const clock = manualClock();
  const opened = closing(silentLog, clock);
  const slow = { close: () => new Promise<void>((resolve) => void clock.after(partMsMax - 1, resolve)) };
  opened.add('first', slow);
  opened.add('second', slow);
  const left = opened.close();
  await clock.advance(0);
  await clock.advance(2 * partMsMax);
  expect(await left).toEqual([]);
});
