// Goal: the client that Xen Orchestra is built on can log in, fill its cache, follow changes and run tasks.
// Method: the npm package xen-api, unmodified, against a whole host behind the real HTTP server.

import { afterEach, beforeEach, expect, test } from 'vitest';
import task from '../../actors/task/behaviour.ts';
import { VM } from '../../actors/vm/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { implement } from '../../src/objects/implement.ts';
import { type Served, served } from './served.ts';

// The package brings no types.
const name: string = 'xen-api';
const { createClient } = await import(name);

const vm = 'OpaqueRef:vm' as Ref<'VM'>;
const behaviour = implement(
  VM,
  {},
  {
    clean_shutdown: {
      work: async ({ settle, self }) => settle((tx) => tx.patch('VM', self, { name_label: 'down' })),
    },
  },
);

let host: Served;
let client: any;

beforeEach(async () => {
  host = await served({
    behaviours: [behaviour, task],
    rows: (tx) => tx.create('VM', vm, { uuid: 'vm-uuid', name_label: 'one' }),
  });
  client = createClient({
    url: `http://127.0.0.1:${host.port}`,
    auth: { user: 'root', password: 'pa:ss' },
    watchEvents: true,
  });
});
afterEach(async () => {
  await client.disconnect().catch(() => {});
  await host.close();
});

test('it logs in, fills its cache with every object and follows changes', async () => {
  await client.connect();
  await client.objectsFetched;
  expect(client.getObjectByUuid('vm-uuid').name_label).toBe('one');
  expect(client.pool.$ref).toBe(host.world.pool);
  await client.setField('VM', vm, 'name_label', 'two');
  await client.barrier(vm);
  expect(client.getObjectByRef(vm).name_label).toBe('two');
}, 30_000);

test('it runs an asynchronous call to its end by the events of the task', async () => {
  await client.connect();
  await client.objectsFetched;
  const { CancelToken } = await import('promise-toolbox' as string);
  await client.callAsync(CancelToken.none, 'VM.clean_shutdown', vm);
  expect(host.world.store.committed.require('VM', vm).name_label).toBe('down');
}, 30_000);

test('it hears of refusals by code and parameters', async () => {
  await client.connect();
  await client.objectsFetched;
  await expect(client.call('VM.get_record', 'OpaqueRef:none')).rejects.toMatchObject({
    code: 'HANDLE_INVALID',
    params: ['VM', 'OpaqueRef:none'],
  });
}, 30_000);
