// Goal: what the store promises: relations at both ends, gapless generations, durability before
// visibility, nothing lost by a full disk, and the same rows again after a restart.
// Method: the real store over LMDB in a temporary folder, or over a disk that a test makes fail.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Fault } from '../../src/std/fault.ts';
import { silentLog } from '../../src/std/log.ts';
import { UnusableError } from '../../src/std/unusable.ts';
import { changesSince } from '../../src/store/changes.ts';
import { DiskFull, type Durable, type WriteGroup } from '../../src/store/durable.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { type OpenedStore, openStore, type Store } from '../../src/store/store.ts';
import { classes } from './classes.ts';

// The classes of this test are not those of the product, so their names are not in its types.
type Loose = any;

/** Rows and replica as one, for brevity. */
const bothOf = ({ store, replica }: OpenedStore): Store & Loose => {
  const parts = [store, replica].map(Object.getOwnPropertyDescriptors);
  return Object.defineProperties({}, Object.assign({}, ...parts));
};

let folder: string;
const open = (durable: Durable = lmdbDurable(folder), more: object = {}): Store & Loose =>
  bothOf(openStore({ classes, durable, log: silentLog, ...more }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-store-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const add = (store: Store & Loose, cls: string, ref: string, fields: object = {}): Promise<void> =>
  store.commit((tx: Loose) => tx.create(cls, ref, { uuid: `uuid of ${ref}`, ...fields }));

describe('a relation', () => {
  test('is kept at both ends as rows are made, moved and deleted', async () => {
    const store = open();
    await add(store, 'shelf', 's1');
    await add(store, 'shelf', 's2');
    await add(store, 'book', 'b1', { shelf: 's1' });
    expect(store.committed.get('shelf', 's1').books).toEqual(['b1']);
    await store.commit((tx: Loose) => tx.patch('book', 'b1', { shelf: 's2' }));
    expect(store.committed.get('shelf', 's1').books).toEqual([]);
    expect(store.committed.get('shelf', 's2').books).toEqual(['b1']);
    await store.commit((tx: Loose) => tx.delete('book', 'b1'));
    expect(store.committed.get('shelf', 's2').books).toEqual([]);
    await store.close();
  });

  test('is left dangling when the single end’s target goes, and nothing cascades', async () => {
    const store = open();
    await add(store, 'shelf', 's1');
    await add(store, 'book', 'b1', { shelf: 's1' });
    await store.commit((tx: Loose) => tx.delete('shelf', 's1'));
    expect(store.committed.get('book', 'b1').shelf).toBe('s1');
    await store.close();
  });

  test('holds whatever happens, also after a restart', async () => {
    const step = fc.record({
      what: fc.constantFrom('shelf', 'book', 'move', 'drop'),
      a: fc.integer({ min: 0, max: 3 }),
      b: fc.integer({ min: 0, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const own = await mkdtemp(join(folder, 'run-'));
        let store = open(lmdbDurable(own));
        for (const { what, a, b } of steps) {
          const has = (cls: string, ref: string): boolean => store.latest.get(cls, ref) !== undefined;
          if (what === 'shelf' && !has('shelf', `s${a}`)) await add(store, 'shelf', `s${a}`);
          if (what === 'book' && !has('book', `b${b}`)) await add(store, 'book', `b${b}`, { shelf: `s${a}` });
          if (what === 'move' && has('book', `b${b}`))
            await store.commit((tx: Loose) => tx.patch('book', `b${b}`, { shelf: `s${a}` }));
          if (what === 'drop') await store.commit((tx: Loose) => tx.delete('book', `b${b}`));
        }
        const state = (): string => {
          for (const [ref, shelf] of store.committed.all('shelf')) {
            for (const book of shelf.books) expect(store.committed.get('book', book)?.shelf).toBe(ref);
          }
          return JSON.stringify(
            [...store.committed.all('book')].map(([ref, { shelf }]) => [ref, shelf]).sort(),
          );
        };
        const before = state();
        await store.close();
        store = open(lmdbDurable(own));
        expect(state()).toBe(before);
        await store.close();
      }),
      { numRuns: 20 },
    );
  });
});

describe('rows that refer to another by an indexed field', () => {
  /** The books lent to each shelf, looked up and by looking at every book. */
  const lent = (view: Loose) =>
    [0, 1, 2].map((shelf) => {
      const [to, known] = [`s${shelf}`, new Map(view.all('book'))];
      const found = view.referring('book', 'lentTo', to).map(([ref]: Loose) => ref);
      const all = [...known].filter(([, book]: Loose) => book.lentTo === to).map(([ref]) => ref);
      return { found: found.sort(), all: all.sort() };
    });
  const expectAll = (view: Loose): void => {
    for (const { found, all } of lent(view)) expect(found).toEqual(all);
  };

  test('are found whatever happens, by readers and by decisions, also after a restart', async () => {
    const step = fc.record({
      what: fc.constantFrom('add', 'lend', 'back', 'drop', 'fail', 'wait'),
      to: fc.integer({ min: 0, max: 2 }),
      book: fc.integer({ min: 0, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const own = await mkdtemp(join(folder, 'run-'));
        let store = open(lmdbDurable(own));
        for (const { what, to, book } of steps) {
          const [ref, lentTo] = [`b${book}`, `s${to}`];
          const known = store.latest.get('book', ref) !== undefined;
          const made = store.commit((tx: Loose) => {
            if (what === 'add' && !known) tx.create('book', ref, { lentTo });
            if (what === 'drop') tx.delete('book', ref);
            if (known && (what === 'lend' || what === 'fail')) tx.patch('book', ref, { lentTo });
            if (known && what === 'back') tx.patch('book', ref, { lentTo: 'OpaqueRef:NULL' });
            if (known) expectAll(tx);
            if (what === 'fail') throw new Error('no');
          });
          if (what === 'wait' || what === 'fail') await made.catch(() => undefined);
          expectAll(store.latest);
          expectAll(store.committed);
        }
        await store.commit((tx: Loose) => tx.create('book', 'last', { lentTo: 's0' }));
        const before = lent(store.committed);
        await store.close();
        store = open(lmdbDurable(own));
        expect(lent(store.latest)).toEqual(before);
        expectAll(store.committed);
        await store.close();
      }),
      { numRuns: 20 },
    );
  });

  test('are no longer found by what a full disk refused', async () => {
    let full = false;
    const disk = lmdbDurable(folder);
    const write: Durable['write'] = (groups) =>
      full ? Promise.reject(new DiskFull('no room')) : disk.write(groups);
    const store = open({ ...disk, write });
    await add(store, 'book', 'b1', { lentTo: 's1' });
    full = true;
    await expect(
      store.commit((tx: Loose) => tx.patch('book', 'b1', { lentTo: 's2' })),
    ).rejects.toBeInstanceOf(Fault);
    expect(lent(store.latest).map(({ found }) => found)).toEqual([[], ['b1'], []]);
    full = false;
    await store.close();
  });

  test('are looked up by no other field', async () => {
    const store = open();
    expect(() => store.latest.referring('book', 'shelf', 's1')).toThrow('book.shelf is not indexed');
    await store.close();
  });
});

describe('a commit', () => {
  test('that throws changes nothing', async () => {
    const store = open();
    await add(store, 'shelf', 's1');
    const refused = store.commit((tx: Loose) => {
      tx.patch('shelf', 's1', { size: 5n });
      throw new Error('no');
    });
    await expect(refused).rejects.toThrow('no');
    expect(store.latest.get('shelf', 's1').size).toBe(0n);
    expect(store.generation).toBe(1);
    await store.close();
  });

  test('is seen by decisions at once and by readers only when it is on disk', async () => {
    const store = open();
    const made = add(store, 'shelf', 's1');
    expect(store.latest.get('shelf', 's1')).toBeDefined();
    expect(store.committed.get('shelf', 's1')).toBeUndefined();
    await made;
    expect(store.committed.get('shelf', 's1')).toBeDefined();
    await store.close();
  });

  test('takes the next generation, with no gap between a hundred concurrent ones', async () => {
    const store = open();
    await add(store, 'shelf', 's1');
    const seen: number[] = [];
    store.watch((changes: Loose) => seen.push(...changes.map((change: Loose) => change.after.modified)));
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        store.commit((tx: Loose) => tx.patch('shelf', 's1', { size: BigInt(i + 1) })),
      ),
    );
    expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i + 2));
    expect(store.generation).toBe(101);
    await store.close();
  });

  test('of in-memory fields alone needs no disk, and such fields start afresh', async () => {
    const groups: WriteGroup[] = [];
    const real = lmdbDurable(folder);
    let store = open({ ...real, write: (some) => real.write(some).then(() => void groups.push(...some)) });
    await add(store, 'book', 'b1', { shelf: 's' });
    await store.commit((tx: Loose) => tx.patch('book', 'b1', { progress: 7n }));
    expect(groups).toHaveLength(1);
    expect(store.committed.get('book', 'b1').progress).toBe(7n);
    await store.close();
    store = open();
    expect(store.committed.get('book', 'b1').progress).toBe(0n);
    await store.close();
  });
});

describe('a restart', () => {
  test('brings back any text, any int64 and any map key exactly', async () => {
    const anyText = fc
      .string({ unit: 'binary', maxLength: 40 })
      .filter((text) => !/\p{Surrogate}/u.test(text));
    await fc.assert(
      fc.asyncProperty(
        anyText,
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.array(
          fc.tuple(fc.oneof(anyText.filter(Boolean), fc.constantFrom('__proto__', 'constructor')), anyText),
        ),
        async (name_label, size, entries) => {
          const own = await mkdtemp(join(folder, 'run-'));
          const store = open(lmdbDurable(own));
          const fields = { uuid: 'u', name_label, size, other_config: new Map(entries) };
          await store.commit((tx: Loose) => tx.create('shelf', 's1', fields));
          await store.close();
          const again = open(lmdbDurable(own));
          expect(again.committed.get('shelf', 's1')).toEqual({ ...fields, books: [] });
          await again.close();
        },
      ),
      { numRuns: 25 },
    );
  });

  test('goes on with the very next generation after a clean stop', async () => {
    let store = open();
    await add(store, 'shelf', 's1');
    await store.close();
    store = open();
    await add(store, 'shelf', 's2');
    expect(store.generation).toBe(2);
    await store.close();
  });

  test('refuses a data folder of a newer format and says what to do', async () => {
    const store = open();
    await add(store, 'shelf', 's1');
    await store.close();
    const { open: openLmdb } = await import('lmdb');
    const root = openLmdb({ path: folder, maxDbs: 4 });
    await root
      .openDB<object, string>({ name: 'meta' })
      .put('meta', { format: 99, generationMax: 1, horizon: 0 });
    await root.close();
    expect(() => lmdbDurable(folder)).toThrow(UnusableError);
    expect(() => lmdbDurable(folder)).toThrow(/format 99.*--data/s);
  });
});

describe('a disk that refuses', () => {
  const breakable = (): Durable & { broken: boolean } => {
    const real = lmdbDurable(folder);
    const durable = {
      ...real,
      broken: false,
      write: (groups: readonly WriteGroup[]) =>
        durable.broken ? Promise.reject(new DiskFull('no room')) : real.write(groups),
    };
    return durable;
  };

  test('fails the change with OUT_OF_SPACE, keeps every acknowledged one and recovers when there is room', async () => {
    const durable = breakable();
    const store = open(durable);
    await add(store, 'shelf', 's1', { size: 1n });
    durable.broken = true;
    const refused = store.commit((tx: Loose) => tx.patch('shelf', 's1', { size: 2n }));
    const builtOnIt = store.commit((tx: Loose) => tx.patch('shelf', 's1', { size: 3n }));
    await expect(refused).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    await expect(builtOnIt).rejects.toBeInstanceOf(Fault);
    expect(store.latest.get('shelf', 's1').size).toBe(1n);
    expect(store.committed.get('shelf', 's1').size).toBe(1n);
    durable.broken = false;
    await store.commit((tx: Loose) => tx.patch('shelf', 's1', { size: 4n }));
    expect(store.generation).toBe(2);
    await store.close();
  });
});

describe('changes since a generation', () => {
  const kinds = (store: Store, since: number): unknown =>
    changesSince(store, since, () => true)?.map(({ ref, operation }) => `${operation} ${ref}`);

  test('name each row once, and leave out what came and went meanwhile', async () => {
    const store = open();
    await add(store, 'shelf', 's1');
    await add(store, 'shelf', 's2');
    const since = store.generation;
    await add(store, 'shelf', 's3');
    await store.commit((tx: Loose) => tx.patch('shelf', 's1', { size: 1n }));
    await store.commit((tx: Loose) => tx.patch('shelf', 's1', { size: 2n }));
    await store.commit((tx: Loose) => tx.delete('shelf', 's2'));
    await add(store, 'shelf', 'brief');
    await store.commit((tx: Loose) => tx.delete('shelf', 'brief'));
    expect(kinds(store, since)).toEqual(['add s3', 'mod s1', 'del s2']);
    expect(kinds(store, store.generation)).toEqual([]);
    await store.close();
  });

  test('are the same from the feed and, after a restart, from rows and tombstones', async () => {
    let store = open();
    await add(store, 'shelf', 's1');
    await add(store, 'shelf', 's2');
    await store.commit((tx: Loose) => tx.patch('shelf', 's1', { size: 1n }));
    await store.commit((tx: Loose) => tx.delete('shelf', 's2'));
    const before = [0, 1, 2, 3].map((since) => kinds(store, since));
    await store.close();
    store = open();
    expect([0, 1, 2, 3].map((since) => kinds(store, since))).toEqual(before);
    await store.close();
  });

  test('are unknown once their deletions have been dropped', async () => {
    let store = open(lmdbDurable(folder), { tombstonesMax: 2 });
    for (let i = 0; i < 5; i++) await add(store, 'shelf', `s${i}`);
    for (let i = 0; i < 5; i++) await store.commit((tx: Loose) => tx.delete('shelf', `s${i}`));
    await store.close();
    store = open(lmdbDurable(folder), { tombstonesMax: 2 });
    expect(kinds(store, 5)).toBeUndefined();
    expect(kinds(store, 8)).toEqual(['del s3', 'del s4'].slice(0));
    expect(kinds(store, 0)).toEqual([]);
    await store.close();
  });
});
