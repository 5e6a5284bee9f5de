// Goal: the whole database leaves by HTTP in the form that other programs of the XenAPI read, and only for who may have it.
// Method: a host with some rows behind the real HTTP server, and what it gives read back.
import { afterAll, beforeAll, expect, test } from 'vitest';
import pool from '../../actors/pool/behaviour.ts';
import type { Ref } from '../../src/model/types.ts';
import { readState } from '../../src/rules/state-db/read.ts';
import { schemas } from '../rules/state-db/rows.ts';
import { type Served, served } from './served.ts';

let host: Served;
beforeAll(async () => {
  host = await served({
    behaviours: [pool],
    rows: (tx) => {
      for (let i = 0; i < 300; i += 1) {
        const vm = `OpaqueRef:vm${i}` as Ref<'VM'>;
        tx.create('VM', vm, { uuid: `vm${i}`, name_label: `a name <${i}>`, tags: ["it's"] });
        tx.create('VBD', `OpaqueRef:vbd${i}` as Ref<'VBD'>, { uuid: `vbd${i}`, VM: vm });
      }
    },
  });
  const { store } = host.world;
  await store.commit((tx) => {
    for (const [ref] of tx.all('host')) tx.patch('host', ref, { uuid: 'the host' });
    for (const [ref] of tx.all('pool')) tx.patch('pool', ref, { uuid: 'the pool' });
    for (const [ref] of tx.all('host_metrics')) tx.patch('host_metrics', ref, { uuid: `metrics ${ref}` });
  });
});
afterAll(() => host.close());

const ask = async (role: string, method = 'GET') => {
  const session = await host.sessionWithRole(role);
  return host.http(method, `/pool/xmldbdump?session_id=${session}`);
};

test('every row comes back as it was, with its reference, its uuid and its generations', async () => {
  const answer = await ask('pool-admin');
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/octet-stream']);
  const { rows, manifest, passedOver } = await readState(answer.body, schemas, async () => {});
  const { store } = host.world;
  expect(passedOver).toEqual([]);
  expect(manifest.generation).toBeLessThanOrEqual(store.generation);
  const vms = rows.filter(({ cls }) => cls === 'VM');
  expect(vms).toHaveLength([...store.committed.all('VM')].length);
  for (const { cls, ref, created, modified, fields } of rows) {
    const version = store.tables.get(cls)?.committed(ref);
    expect({ created, modified }).toEqual({ created: version?.created, modified: version?.modified });
    const record = version?.record ?? {};
    for (const [name, value] of Object.entries(fields)) expect(value, `${cls}.${name}`).toEqual(record[name]);
  }
});

test.each(['pool-operator', 'read-only'])('%s may not have it, as passwords are in it', async (role) => {
  expect((await ask(role)).status).toBe(403);
});

test('nobody has it without a session', async () => {
  expect((await host.http('GET', '/pool/xmldbdump')).status).toBe(401);
});
