// Goal: what was put into a journal is there after a restart, however the last daemon ended.
// Method: random histories against a map; files that are cut at every byte; a disk that fails.
import { readFile, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Journal, type JournalLimits, openJournal } from '../../../src/daemons/xenopsd/journal.ts';
import type { Disk } from '../../../src/drivers/disk.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { silentLog } from '../../../src/std/log.ts';
import { useBench } from './harness.ts';

const bench = useBench();
const open = async (limits?: JournalLimits, disk: Disk = nodeDisk): Promise<Journal> => {
  const journal = await openJournal(disk, bench().path('journal'), silentLog, limits);
  bench().later(() => journal.close());
  return journal;
};

test('the last text of each key is there again', async () => {
  const puts = fc.array(
    fc.tuple(fc.constantFrom('a', 'b', '__proto__'), fc.option(fc.string(), { nil: undefined })),
  );
  await fc.assert(
    fc.asyncProperty(puts, async (history) => {
      const journal = await open({ fileMax: 1_000_000, wasteMax: 2 });
      const model = new Map(journal.entries);
      await Promise.all(history.map(([key, text]) => journal.put(key, text)));
      for (const [key, text] of history) {
        if (text === undefined) model.delete(key);
        else model.set(key, text);
      }
      await journal.close();
      const again = await open();
      expect(new Map(again.entries)).toEqual(model);
      await again.close();
    }),
    { numRuns: 30 },
  );
});

test('a last line that was cut anywhere costs that line only', async () => {
  const journal = await open();
  await journal.put('a', 'first');
  await journal.put('b', 'second');
  await journal.close();
  const whole = await readFile(bench().path('journal'), 'utf8');
  const kept = whole.indexOf('\n') + 1;
  for (let end = kept; end < whole.length - 1; end += 1) {
    await writeFile(bench().path('journal'), whole.slice(0, end));
    const again = await open();
    expect(new Map(again.entries)).toEqual(new Map([['a', 'first']]));
    await again.put('c', 'third');
    await again.close();
    expect((await open()).entries.get('c')).toBe('third');
  }
});

test('a file that is mostly waste is written anew', async () => {
  const journal = await open({ fileMax: 10_000_000, wasteMax: 2 });
  const text = 'x'.repeat(100_000);
  for (let count = 0; count < 50; count += 1) await journal.put('a', text);
  expect((await readFile(bench().path('journal'), 'utf8')).length).toBeLessThan(2_000_000);
  await journal.close();
});

test('a write that fails is told, and the next one makes up for it', async () => {
  let broken = false;
  const disk: Disk = {
    ...nodeDisk,
    open: async (path, how) => {
      const file = await nodeDisk.open(path, how);
      return {
        ...file,
        write: (bytes, at) => (broken ? Promise.reject(new Error('no space')) : file.write(bytes, at)),
      };
    },
  };
  const journal = await open(undefined, disk);
  broken = true;
  await expect(journal.put('a', 'one')).rejects.toThrow('no space');
  broken = false;
  await journal.put('b', 'two');
  await journal.close();
  expect(new Map((await open()).entries)).toEqual(
    new Map([
      ['a', 'one'],
      ['b', 'two'],
    ]),
  );
});
