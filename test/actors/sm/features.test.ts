// Goal: rows of storage drivers follow the plugins that are there.
// Method: a fake storage loses its plugin while a repository needs it, and after.

import { afterEach, expect, test } from 'vitest';
import { smRows } from '../../../actors/sm/rows.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { World } from '../../world.ts';
import { fakeStorage } from '../fake-storage.ts';
import { storageWorld } from '../storage-world.ts';

let w: World | undefined;
afterEach(() => w?.close());

test('a driver whose plugin is gone keeps its row for as long as a repository needs it', async () => {
  const fake = fakeStorage();
  w = await storageWorld(fake.storage);
  const made = w;
  const types = () => [...made.store.committed.all('SM')].map(([, { type }]) => type);
  await made.store.commit((tx) => tx.create('SR', 'OpaqueRef:sr' as Ref<'SR'>, { type: 'fake' }));
  fake.storage.plugins = async () => [];
  await smRows(made);
  expect(types()).toEqual(['fake']);
  await made.store.commit((tx) => tx.delete('SR', 'OpaqueRef:sr' as Ref<'SR'>));
  await smRows(made);
  expect(types()).toEqual([]);
});
