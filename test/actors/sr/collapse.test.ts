// Goal: images that snapshots left behind are merged without anybody asking, as a task that shows how far it is, that
//   can be cancelled, and that gives way to the end of its repository; one repository at a time.
// Method: repositories in memory whose merges the test ends, one by one.
import { afterEach, expect, test } from 'vitest';
import PBD from '../../../actors/pbd/behaviour.ts';
import SR from '../../../actors/sr/behaviour.ts';
import { chainCollapser } from '../../../actors/sr/collapse.ts';
import { repositoryWatch } from '../../../actors/sr/watch.ts';
import task from '../../../actors/task/behaviour.ts';
import type { StorageCall } from '../../../src/drivers/storage/storage.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { World } from '../../world.ts';
import { fakeStorage } from '../fake-storage.ts';
import { createSr, srOf, storageWorld } from '../storage-world.ts';

let w: World | undefined;
afterEach(() => w?.close());

interface Merge {
  readonly sr: string;
  done(): void;
}

/** Repositories with so many images too many, by their uuid, and the merge that is under way. */
const world = async () => {
  const left = new Map<string, number>();
  const merges: Merge[] = [];
  let begun = (): void => {};
  const collapseSr = (sr: string, { signal }: StorageCall): Promise<number> =>
    new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      const done = (): void => {
        left.set(sr, (left.get(sr) ?? 0) - 1);
        resolve(left.get(sr) ?? 0);
      };
      merges.push({ sr, done });
      begun();
    });
  const chainsOfSr = async (sr: string): Promise<number> => left.get(sr) ?? 0;
  const at = await storageWorld(
    { ...fakeStorage().storage, chainsOfSr, collapseSr },
    { behaviours: [PBD, SR, task] },
  );
  w = at;
  const srs = [await createSr(at, '/one', 'fake'), await createSr(at, '/two', 'fake')] as const;
  const tasks = () =>
    [...at.store.latest.all('task')].filter(([, { name_label }]) => name_label === 'SR.collapse');
  const merge = (count: number): Promise<Merge> =>
    new Promise((resolve) => {
      begun = () => {
        const one = merges[count - 1];
        if (one !== undefined) resolve(one);
      };
      begun();
    });
  const uuids = srs.map((sr) => srOf(at, sr).uuid) as [string, string];
  return { at, srs, uuids, left, merges, tasks, merge };
};

test('merges all that is too much, as a task whose progress grows and which is gone in the end', async () => {
  const { at, uuids, left, merges, tasks, merge } = await world();
  left.set(uuids[0], 2);
  const looked = repositoryWatch(at).look();
  const first = await merge(1);
  expect(tasks()).toMatchObject([[expect.anything(), { status: 'pending', progress: 0 }]]);
  first.done();
  const second = await merge(2);
  expect(tasks()).toMatchObject([[expect.anything(), { status: 'pending', progress: 0.5 }]]);
  second.done();
  await looked;
  expect(tasks()).toEqual([]);
  expect(merges).toHaveLength(2);
});

test('shows no task where there is nothing to merge', async () => {
  const { at, tasks, merges } = await world();
  await repositoryWatch(at).look();
  expect([tasks(), merges]).toEqual([[], []]);
});

test('merges in one repository at a time', async () => {
  const { at, uuids, left, merges, merge } = await world();
  for (const uuid of uuids) left.set(uuid, 1);
  const looked = repositoryWatch(at).look();
  (await merge(1)).done();
  expect(merges).toHaveLength(1);
  (await merge(2)).done();
  await looked;
  expect(merges.map(({ sr }) => sr).toSorted()).toEqual([...uuids].toSorted());
});

test('ends when its task is cancelled, and leaves the repository alone for an hour', async () => {
  const { at, srs, uuids, left, merges, tasks, merge } = await world();
  left.set(uuids[0], 3);
  const chains = chainCollapser(at.services);
  const collapsing = chains.collapse(srs[0]);
  await merge(1);
  const [[merging] = []] = tasks();
  await at.call('task.cancel', merging as Ref<'task'>);
  await collapsing;
  expect(tasks()).toEqual([]);
  await chains.collapse(srs[0]);
  expect(merges).toHaveLength(1);
});

test.each(['unplug', 'destroy', 'forget'] as const)(
  'ends when %s begins on its repository',
  async (operation) => {
    const { at, srs, uuids, left, tasks, merge } = await world();
    left.set(uuids[0], 3);
    const collapsing = chainCollapser(at.services).collapse(srs[0]);
    await merge(1);
    await at.store.commit((tx) => {
      tx.patch('SR', srs[0], { current_operations: new Map([['OpaqueRef:other', operation]]) });
    });
    await collapsing;
    expect(tasks()).toEqual([]);
  },
);

test('fails nothing else when a merge fails, and tries again when it is asked next', async () => {
  const { at, srs, uuids, left } = await world();
  left.set(uuids[0], 1);
  let asked = 0;
  const storage = {
    ...at.services.storage,
    collapseSr: async () => {
      asked += 1;
      throw new Error('no room');
    },
  };
  const chains = chainCollapser({ ...at.services, storage });
  await chains.collapse(srs[0]);
  await chains.collapse(srs[0]);
  expect(asked).toBe(2);
});
