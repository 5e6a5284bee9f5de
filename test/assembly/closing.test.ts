// Goal: what a host opened is closed in the opposite order, and all of it, whatever fails meanwhile.
// Method: parts that note when they are closed.
import { expect, test } from 'vitest';
import { closing } from '../../src/assembly/closing.ts';
import { silentLog } from '../../src/std/log.ts';

test('parts are closed one after the other, the last one first', async () => {
  const opened = closing(silentLog);
  const seen: string[] = [];
  for (const name of ['lock', 'store', 'mesh', 'door']) {
    opened.add({
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
  const opened = closing(silentLog);
  const seen: string[] = [];
  opened.add({ close: async () => void seen.push('first') });
  opened.add({ close: async () => Promise.reject(new Error('Not today')) });
  opened.add({ close: async () => void seen.push('last') });
  await opened.close();
  await opened.close();
  expect(seen).toEqual(['last', 'first']);
});

test('what is opened while all is being closed is closed too', async () => {
  const opened = closing(silentLog);
  const seen: string[] = [];
  opened.add({ close: async () => void seen.push('store') });
  opened.add({ close: async () => opened.add({ close: async () => void seen.push('late') }) });
  await opened.close();
  expect(seen).toEqual(['late', 'store']);
});
