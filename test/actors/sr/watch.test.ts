// Goal: a host looks at its repositories from time to time: what they hold, where that is asked for, and how full they are;
// one whose plugin hangs keeps no other waiting.
// Method: repositories in memory, of which one hangs or has a disk put into it behind the back of its rows.
import { afterEach, expect, test } from 'vitest';
import { repositoryWatch } from '../../../actors/sr/watch.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { World } from '../../world.ts';
import { type FakeStorage, fakeStorage, hanging } from '../fake-storage.ts';
import { createSr, createVdi, srOf, storageWorld } from '../storage-world.ts';

let w: World | undefined;
afterEach(() => w?.close());

const twoRepositories = async (): Promise<{ at: World; fake: FakeStorage; srs: readonly Ref<'SR'>[] }> => {
  const fake = fakeStorage();
  const at = await storageWorld(fake.storage);
  w = at;
  return { at, fake, srs: [await createSr(at, '/one', 'fake'), await createSr(at, '/two', 'fake')] };
};

const putInto = (fake: FakeStorage, at: World, sr: Ref<'SR'>): void => {
  const volumes = fake.volumes.get(srOf(at, sr).uuid);
  const [one] = volumes?.values() ?? [];
  if (one === undefined) throw new Error('There is no disk to copy');
  volumes?.set('new', { ...one, key: 'new', keys: new Map() });
};

test('scans repositories that say so, and no others', async () => {
  const { at, fake, srs } = await twoRepositories();
  const [scanned, left] = srs as [Ref<'SR'>, Ref<'SR'>];
  await at.call('SR.add_to_other_config', scanned, 'auto-scan', 'true');
  for (const sr of srs) {
    await createVdi(at, sr);
    putInto(fake, at, sr);
  }
  await repositoryWatch(at).look();
  expect(srOf(at, scanned).VDIs).toHaveLength(2);
  expect(srOf(at, left).VDIs).toHaveLength(1);
});

test('measures the others while one hangs, which is left alone until it answers', async () => {
  const { at, fake, srs } = await twoRepositories();
  const cut = new AbortController();
  let asked = 0;
  fake.disturb('statSr', async (call) => {
    asked += 1;
    if (asked === 1) await hanging({ ...call, signal: cut.signal });
  });
  await at.store.commit((tx) => {
    for (const sr of srs) tx.patch('SR', sr, { physical_size: -1n, physical_utilisation: -1n });
  });
  const measured = () => srs.filter((sr) => srOf(at, sr).physical_size > 0n).length;
  const watch = repositoryWatch(at);
  const first = watch.look();
  await at.until(() => measured() === 1);
  // Would not end if it asked the one again.
  await watch.look();
  expect(measured()).toBe(1);
  cut.abort(new Error('its time is over'));
  await first;
  await watch.look();
  expect(measured()).toBe(2);
});
