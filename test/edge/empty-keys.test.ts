// Goal: no map of a row gets an entry without a name, whichever message would put it there.
// Method: setters, adders and constructors over both languages; the rows are read back.

import { afterAll, beforeAll, expect, test } from 'vitest';
import network from '../../actors/network/behaviour.ts';
import vm from '../../actors/vm/behaviour.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Served, served } from './served.ts';

const self = 'OpaqueRef:vm' as Ref<'VM'>;
let host: Served;
beforeAll(async () => {
  host = await served({ behaviours: [network, vm], rows: (tx) => tx.create('VM', self, { uuid: 'vm' }) });
});
afterAll(() => host.close());

const unnamed = new Map([['', 'x']]);
const fields = { name_label: 'n', name_description: '', MTU: 0n, bridge: '', managed: true, tags: [] };

test.each([
  ['VM.add_to_other_config', self, '', 'x'],
  ['VM.set_other_config', self, unnamed],
  ['VM.add_to_xenstore_data', self, '', 'x'],
  ['VM.set_HVM_boot_params', self, unnamed],
  ['network.create', new Map<string, any>([...Object.entries(fields), ['other_config', unnamed]])],
])('%s refuses an empty key', async (method, ...args) => {
  const root = await host.session();
  for (const call of [host.xml, host.json]) {
    expect(await call(method, root, ...args)).toEqual({
      error: ['INTERNAL_ERROR', expect.stringContaining('cannot be empty')],
    });
  }
  const row = host.world.store.committed.require('VM', self);
  expect([row.other_config, row.xenstore_data, row.HVM_boot_params].every((map) => !map.has(''))).toBe(true);
  expect([...host.world.store.committed.all('network')]).toEqual([]);
});

test('a constructor given members that objects have by themselves is answered as any other', async () => {
  const root = await host.session();
  const odd = new Map<string, any>([
    ...Object.entries(fields),
    ['other_config', new Map()],
    ['constructor', unnamed],
  ]);
  expect(await host.json('network.create', root, odd)).toHaveProperty('value');
});
