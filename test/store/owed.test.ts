// Goal: where the log is elsewhere a commit does not wait for this host's disk, which gets everything all the same:
// in order, within a limit, and first of all what it refused before.
// Method: a store over a disk whose writes a test lets through, and a log that has every group at once.
import { describe, expect, test } from 'vitest';
import type { Appending } from '../../src/store/appending.ts';
import type { WriteGroup } from '../../src/store/durable.ts';
import { groupsOwedMax } from '../../src/store/owed.ts';
import { disk, type Host, host, type Loose } from './hosts.ts';
import { toyLog } from './toy-log.ts';

/** Has every group as soon as it is told of it. */
const elsewhere = (refused: (error: unknown) => void = () => {}): Appending => ({
  append: (group) => {
    group.keep().catch(refused);
    return { written: Promise.resolve(), acknowledged: Promise.resolve() };
  },
});

const add = (store: Host, ref: string): Promise<void> =>
  store.commit((tx: Loose) => tx.create('shelf', ref, { uuid: ref }));

const refsOn = (own: ReturnType<typeof disk>): string[] => [...own.load().rows].map(({ ref }) => ref);

const turn = (): Promise<void> => new Promise(setImmediate);

/** A leading host whose disk holds every write back until it is let go. */
const held = async (refused?: (error: unknown) => void) => {
  const own = disk();
  const store = host(own);
  await store.leadWith(1, elsewhere(refused));
  let letGo = (): void => {};
  const open = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  own.before = () => open;
  return { own, store, letGo };
};

describe('a commit that the log has', () => {
  test('is answered and seen before the disk has it, and is there when the store is closed', async () => {
    const { own, store, letGo } = await held();
    await add(store, 'a');
    await add(store, 'b');
    expect(store.committed.get('shelf', 'b')).toBeDefined();
    expect(refsOn(own)).toEqual([]);
    const closed = store.close();
    letGo();
    await closed;
    expect(refsOn(own)).toEqual(['a', 'b']);
    expect(host(own).committed.get('shelf', 'b')).toBeDefined();
  });

  test('waits while the disk is behind by as many groups as it may', async () => {
    const { own, store, letGo } = await held();
    let done = 0;
    const adding = (async () => {
      for (let n = 0; n < 2 * groupsOwedMax; n++) {
        await add(store, `s${n}`);
        done += 1;
      }
    })();
    for (let before = -1; before !== done; ) {
      before = done;
      await turn();
    }
    expect(done).toBe(groupsOwedMax);
    letGo();
    await adding;
    await store.close();
    expect(refsOn(own)).toEqual(Array.from({ length: 2 * groupsOwedMax }, (_, n) => `s${n}`));
  });

  test('goes to disk in order, however many go at once', async () => {
    const { own, store, letGo } = await held();
    const written: number[] = [];
    await add(store, 'a');
    await store.commit((tx: Loose) => tx.patch('shelf', 'a', { size: 1n }));
    await store.commit((tx: Loose) => tx.delete('shelf', 'a'));
    await add(store, 'a');
    letGo();
    own.before = ({ generation }: WriteGroup) => written.push(generation);
    await store.close();
    expect(refsOn(own)).toEqual(['a']);
    expect(written).toEqual(written.toSorted((a, b) => a - b));
  });
});

describe('a disk that refuses what the log has', () => {
  test('is told to the log, and gets it before anything else once it takes writes again', async () => {
    const refusals: unknown[] = [];
    const own = disk();
    const store = host(own);
    await store.leadWith(
      1,
      elsewhere((error) => refusals.push(error)),
    );
    own.before = () => {
      throw new Error('broken');
    };
    await add(store, 'a');
    await turn();
    expect(refusals).toHaveLength(1);
    await expect(store.pause()).rejects.toThrow('broken');
    // The host leads no more, and must not lead again while its disk is as it is.
    await expect(store.leadWith(2, toyLog())).rejects.toThrow('broken');
    own.before = () => {};
    await store.leadWith(2, toyLog());
    await add(store, 'b');
    expect(refsOn(own)).toEqual(['a', 'b']);
    await store.close();
  });
});
