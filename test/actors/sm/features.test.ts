// Goal: what drivers claim to be able to do is read as the recorded cases say.
// Method: each recorded list of claims is parsed, and driver rows follow the plugins that are there.

import { afterEach, describe, expect, test } from 'vitest';
import { parseFeatures } from '../../../actors/sm/features.ts';
import { smRows } from '../../../actors/sm/rows.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { World } from '../../world.ts';
import { fakeStorage } from '../fake-storage.ts';
import { casesOf } from '../storage-cases.ts';
import { storageWorld } from '../storage-world.ts';

const cases = casesOf('sm_feature_parsing.json');

describe.skipIf(cases === undefined)('features of drivers (needs ../shared)', () => {
  test.each(cases ?? [])('$name', ({ when, then }) => {
    const parsed = [...parseFeatures(when['features'])].map(([name, version]) => [name, Number(version)]);
    expect(parsed).toEqual(Object.values(then)[0]);
  });
});

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
