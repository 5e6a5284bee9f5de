// Goal: secrets and blobs are made, found and deleted.
// Method: calls by wire name over the runtime in process.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { secret } from '../../../actors/secret/class.ts';
import type { Allowance } from '../../../src/model/class.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { Caller } from '../../../src/objects/implement.ts';
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

describe('what one user may have', () => {
  const userOf = (user: string): Caller => ({
    session: `OpaqueRef:${user}` as Ref<'session'>,
    user,
    role: 'pool-operator',
    originator: '',
  });
  const { rowsMax, bytesMax } = secret.allowance as Allowance;
  const large = 'x'.repeat(bytesMax / 100);
  const create = (user: string, value: string): Promise<Ref<'secret'>> =>
    w.callAs(userOf(user), 'secret.create', new Map([['value', value]]));

  test.each(['secret', 'blob'] as const)(
    'of the class %s are so many at most, and others may still make some',
    async (cls) => {
      const made = cls === 'secret' ? new Map([['value', 'x']]) : '';
      const create = (user: string): Promise<Ref> => w.callAs(userOf(user), `${cls}.create`, made);
      await w.store.commit((tx) => {
        for (let i = 0; i < rowsMax - 1; i += 1) {
          tx.create(cls, `OpaqueRef:${i}` as Ref<any>, { uuid: `u${i}`, holder: 'ann' });
        }
      });
      const last = await create('ann');
      expect((await refusal(create('ann')))[0]).toBe('OPERATION_NOT_ALLOWED');
      await create('bob');
      await w.callAs(userOf('bob'), `${cls}.destroy`, last);
      await create('ann');
    },
  );

  test('weighs so much at most, however it came to, and a refusal changes nothing', async () => {
    const small = await create('ann', '');
    for (let i = 0; i < 99; i += 1) await create('ann', large);
    expect((await refusal(create('ann', large)))[0]).toBe('OPERATION_NOT_ALLOWED');
    expect((await refusal(w.callAs(userOf('bob'), 'secret.set_value', small, large)))[0]).toBe(
      'OPERATION_NOT_ALLOWED',
    );
    expect(await w.call('secret.get_value', small)).toBe('');
    await create('bob', large);
  });

  test('counts the blobs of repositories, and no secrets that were moved out of settings', async () => {
    const sr = await createSr(w, '/fake', 'fake');
    const blob = await w.callAs(userOf('ann'), 'SR.create_new_blob', sr, 'icon', '');
    expect(w.store.committed.require('blob', blob).holder).toBe('ann');
    const config = new Map([
      ['location', '/other'],
      ['password', 'hush'],
    ]);
    await w.callAs(userOf('ann'), 'SR.create', w.host, config, 0n, 'disks', '', 'fake', '', false);
    const moved = [...w.store.committed.all('secret')].map(([, { value, holder }]) => [value, holder]);
    expect(moved).toEqual([['hush', '']]);
  });
});

test('a repository has blobs by name, each name once', async () => {
  const sr = await createSr(w, '/fake', 'fake');
  const blob = await w.call('SR.create_new_blob', sr, 'icon', 'image/png');
  expect(srOf(w, sr).blobs).toEqual(new Map([['icon', blob]]));
  expect((await refusal(w.call('SR.create_new_blob', sr, 'icon', '')))[0]).toBe('MAP_DUPLICATE_KEY');
});
