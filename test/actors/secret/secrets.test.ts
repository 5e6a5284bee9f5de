// Goal: secrets and blobs are made, found and deleted.
// Method: calls by wire name over the runtime in process.

import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Ref } from '../../../src/model/types.ts';
import type { World } from '../../world.ts';
import { fakeStorage } from '../fake-storage.ts';
import { createSr, refusal, srOf, storageWorld } from '../storage-world.ts';

let w: World;
beforeEach(async () => {
  w = await storageWorld(fakeStorage().storage);
});
afterEach(() => w.close());

test('a secret has an identity of its own, or the one it is introduced with', async () => {
  const made: Ref<'secret'> = await w.call('secret.create', new Map([['value', 'hush']]));
  const { uuid } = w.store.committed.require('secret', made);
  expect(await w.call('secret.get_by_uuid', uuid)).toBe(made);
  expect(await w.call('secret.get_value', made)).toBe('hush');
  expect(await refusal(w.call('secret.introduce', uuid, 'other'))).toEqual([
    'DB_UNIQUENESS_CONSTRAINT_VIOLATION',
    'secret',
    'uuid',
    uuid,
  ]);
  await w.call('secret.destroy', made);
  const back: Ref<'secret'> = await w.call('secret.introduce', uuid, 'back');
  expect(w.store.committed.require('secret', back)).toMatchObject({ uuid, value: 'back' });
});

test('a blob is empty and has a media type', async () => {
  const blob: Ref<'blob'> = await w.call('blob.create', '');
  expect(w.store.committed.require('blob', blob)).toMatchObject({
    size: 0n,
    public: false,
    mime_type: 'application/octet-stream',
  });
  await w.call('blob.destroy', blob);
  expect([...w.store.committed.all('blob')]).toEqual([]);
});

test('a repository has blobs by name, each name once', async () => {
  const sr = await createSr(w, '/fake', 'fake');
  const blob = await w.call('SR.create_new_blob', sr, 'icon', 'image/png');
  expect(srOf(w, sr).blobs).toEqual(new Map([['icon', blob]]));
  expect((await refusal(w.call('SR.create_new_blob', sr, 'icon', '')))[0]).toBe('MAP_DUPLICATE_KEY');
});
