// Goal: a storage driver gets the passwords of a connection, and nobody else does, even when the driver quotes them.
// Method: a driver that fails with all that it was told.
import { expect, test } from 'vitest';
import { StorageError } from '../../src/drivers/storage/storage.ts';
import type { Ref } from '../../src/model/types.ts';
import { withPasswords } from '../../src/rules/device-config.ts';
import { world } from '../world.ts';

test('what a driver says of its failure has no password in it, given openly or as a secret', async () => {
  const w = await world({
    rows: (tx) =>
      tx.create('secret', 'OpaqueRef:s' as Ref<'secret'>, { uuid: 'u-1', value: 'kept-in-secret' }),
  });
  const config = new Map([
    ['location', '/there'],
    ['password', 'given-openly'],
    ['cifspassword_secret', 'u-1'],
  ]);
  const seen: string[] = [];
  const failed = withPasswords(w.store.committed, config, async (whole) => {
    seen.push(...whole.values());
    throw new StorageError('MOUNT_FAILED', ['mount', `mount -o ${[...whole.values()].join(',')}`]);
  });
  await expect(failed).rejects.toThrow('mount -o /there,(hidden),(hidden)');
  await expect(failed).rejects.toMatchObject({ params: ['mount', 'mount -o /there,(hidden),(hidden)'] });
  expect(seen).toEqual(['/there', 'given-openly', 'kept-in-secret']);
  await w.close();
});
