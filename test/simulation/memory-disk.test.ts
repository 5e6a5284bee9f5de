// Goal: the disk and the store's disk in memory keep what was synced through a power cut, and may lose the rest.
// Method: writes with and without a sync, a cut at every moment of them, and many seeds; a file against a model.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openJournal } from '../../src/daemons/xenopsd/journal.ts';
import type { Disk } from '../../src/drivers/disk.ts';
import { memoryDisk } from '../../src/simulation/memory-disk.ts';
import { memoryDurable } from '../../src/simulation/memory-durable.ts';
import { seededRandom } from '../../src/simulation/random.ts';
import { silentLog } from '../../src/std/log.ts';
import type { WriteGroup } from '../../src/store/durable.ts';
import { simulated } from './simulated.ts';

const codeOf = (done: Promise<unknown>) => done.then(String, (error) => error.code);
const bytesOf = async (disk: Disk, path: string): Promise<string> => disk.readText(path, 1 << 20);

describe('a disk', () => {
  test('has files and folders as the system has them', async () => {
    const { life, random } = simulated('disk');
    const disk = memoryDisk({ random }).of(life('p'));
    expect(await codeOf(disk.replaceText('/a/b', 'x'))).toBe('ENOENT');
    await disk.makeFolder('/a/c');
    await disk.replaceText('/a/b', 'text', 0o755);
    expect([await bytesOf(disk, '/a/b'), await disk.exists('/a/b'), await disk.exists('/b')]).toEqual([
      ...['text', true, false],
    ]);
    expect(await disk.isExecutable('/a/b')).toBe(true);
    expect((await disk.list('/a')).map(({ name, kind }) => `${name} ${kind}`).sort()).toEqual([
      ...['b file', 'c folder'],
    ]);
    expect(await codeOf(disk.remove('/a'))).toBe('ENOTEMPTY');
    expect(await codeOf(disk.makeFolder('/a/b/d'))).toBe('ENOTDIR');
    expect(await codeOf(disk.readText('/a/b', 3))).toBe('EFBIG');
    expect(await codeOf(disk.open('/a/none', 'write'))).toBe('ENOENT');
    await disk.remove('/a/b');
    expect(await codeOf(disk.list('/a/b'))).toBe('ENOENT');
  });

  test('reads what was written in any order, and after a cut what was synced', async () => {
    const write = fc.record({ at: fc.nat(50), bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }) });
    const change = fc.oneof(write, fc.record({ size: fc.nat(60) }), fc.constant('sync' as const));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 40 }), fc.nat(), async (changes, seed) => {
        const { life } = simulated('file');
        const memory = memoryDisk({ random: seededRandom(String(seed)) });
        const disk = memory.of(life('p'));
        await disk.replaceText('/f', 'start');
        const file = await disk.open('/f', 'write');
        let model = Buffer.from('start');
        let synced = model;
        let unsynced = 0;
        for (const one of changes) {
          if (one === 'sync') {
            await file.sync();
            synced = model;
            unsynced = 0;
            continue;
          }
          unsynced += 1;
          if ('size' in one) {
            await file.truncate(BigInt(one.size));
            model = Buffer.concat([model, Buffer.alloc(60)]).subarray(0, one.size);
          } else {
            await file.write(one.bytes, BigInt(one.at));
            const next = Buffer.alloc(Math.max(model.length, one.at + one.bytes.length));
            model.copy(next);
            next.set(one.bytes, one.at);
            model = next;
          }
        }
        const read = async () => {
          const into = new Uint8Array(200);
          return Buffer.from(into.subarray(0, await file.read(into, 0n)));
        };
        expect(await read()).toEqual(Buffer.from(model));
        memory.loseUnsynced();
        if (unsynced === 0) expect(await read()).toEqual(Buffer.from(synced));
      }),
    );
  });

  test('loses all, some or none of what was not synced, and has a replaced file whole', async () => {
    const found = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const { life, loop, clock } = simulated('cut');
      const memory = memoryDisk({ random: seededRandom(String(seed)), syncMs: [1, 5] });
      const disk = memory.of(life('p'));
      await loop.finish(disk.replaceText('/old', 'old'));
      await loop.finish(disk.replaceText('/log', '....'));
      const file = await disk.open('/log', 'write');
      await file.write(Buffer.from('A'), 0n);
      await loop.finish(file.sync());
      await file.write(Buffer.from('B'), 1n);
      await file.write(Buffer.from('C'), 2n);
      void disk.replaceText('/old', 'new');
      await loop.run({ untilMs: clock.monotonicMs() + 0.5 });
      memory.loseUnsynced();
      found.add(`${await bytesOf(disk, '/log')} ${await bytesOf(disk, '/old')}`);
    }
    const logs = ['A...', 'AB..', 'A.C.', 'ABC.'];
    expect([...found].sort()).toEqual(logs.flatMap((log) => [`${log} new`, `${log} old`]).sort());
  });

  test('refuses writes when it is full, and takes none of a process that has ended', async () => {
    const { life, random } = simulated('full');
    const memory = memoryDisk({ random });
    const process = life('p');
    const disk = memory.of(process);
    await disk.replaceText('/f', 'kept');
    const file = await disk.open('/f', 'write');
    memory.refuseWrites('ENOSPC');
    expect(await codeOf(disk.replaceText('/f', 'x'))).toBe('ENOSPC');
    expect(await codeOf(file.write(Buffer.from('x'), 0n))).toBe('ENOSPC');
    expect((await disk.space('/')).freeBytes).toBe(0n);
    memory.refuseWrites(undefined);
    process.end();
    await file.write(Buffer.from('x'), 0n);
    expect(await bytesOf(memory.of(life('next')), '/f')).toBe('kept');
  });

  test('holds the journal of a daemon, which outlives the daemon', async () => {
    const { life, random } = simulated('journal');
    const memory = memoryDisk({ random });
    const journal = await openJournal(memory.of(life('one')), '/journal', silentLog);
    for (let i = 0; i < 1_000; i++) await journal.put(`key ${i % 10}`, String(i));
    const again = await openJournal(memory.of(life('two')), '/journal', silentLog);
    expect(again.entries.get('key 3')).toBe('993');
  });
});

describe('the disk of a store', () => {
  const group = (n: number): WriteGroup => ({
    puts: ['a', 'b'].map((ref) => ({ cls: 'VM', ref, created: 1, modified: n, fields: { n } })),
    deletes: [],
    tombstones: [],
    horizon: 0,
    generationMax: n,
    generation: n,
    epochs: [],
    follows: false,
  });

  test('has all of a group that was acknowledged, and all or nothing of one that was not', async () => {
    const found = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const { life, loop } = simulated('durable');
      const memory = memoryDurable({ random: seededRandom(String(seed)), writeMs: [1, 5] });
      const process = life('p');
      const durable = memory.of(process);
      await loop.finish(durable.write([group(1)]));
      void durable.write([group(2)]);
      process.end();
      await loop.run({});
      const { rows, generation } = memory.of(life('next')).load();
      found.add([...[...rows].map(({ modified }) => modified), generation].join(' '));
    }
    expect([...found].sort()).toEqual(['1 1 1', '2 2 2']);
  });

  test('forgets tombstones up to the horizon, and refuses when it is told to', async () => {
    const { life, random } = simulated('durable');
    const memory = memoryDurable({ random });
    const durable = memory.of(life('p'));
    await durable.write([group(1)]);
    const buried = (generation: number) => ({ generation, cls: 'VM', ref: 'a', created: 1 });
    const deletes = [{ cls: 'VM', ref: 'a' }];
    await durable.write([{ ...group(2), puts: [], deletes, tombstones: [buried(2)], horizon: 0 }]);
    await durable.write([{ ...group(3), puts: [], tombstones: [buried(3)], horizon: 2 }]);
    const { rows, tombstones, horizon } = durable.load();
    expect([[...rows].map(({ ref }) => ref), tombstones, horizon]).toEqual([['b'], [buried(3)], 2]);
    memory.refuseWrites('full');
    await expect(durable.write([group(4)])).rejects.toMatchObject({ name: 'DiskFull' });
    memory.refuseWrites('broken');
    await expect(durable.write([group(4)])).rejects.toThrow('broken');
    expect(memory.written).toBe(3);
  });
});
