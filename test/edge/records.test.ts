// Goal: whole records go out as the store has them encoded, long lists in pieces, and nobody else waits while they are made.
// Method: a whole host with thousands of VMs behind the real HTTP server.

import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { fragmentsOf, recordsEncoding } from '../../src/edge/encoding.ts';
import type { Ref } from '../../src/model/types.ts';
import { inSlices } from '../../src/std/pace.ts';
import { at, type Served, served } from './served.ts';

const vmsMax = 3_000;
let host: Served;
let root: string;

beforeAll(async () => {
  host = await served();
  root = await host.session();
  await host.world.store.commit((tx) => {
    for (let i = 0; i < vmsMax; i++) {
      tx.create('VM', `OpaqueRef:${i}` as Ref<'VM'>, {
        uuid: `u${i}`,
        name_label: `vm ${i}`,
        is_a_template: i % 2 === 1,
      });
    }
  });
});
afterAll(() => host.close());

test('each language gets every record once, by reference', async () => {
  for (const call of [host.xml, host.json]) {
    const all: any = await call('VM.get_all_records', root);
    expect(all.value.size).toBe(vmsMax);
    const one: any = await call('VM.get_record', root, 'OpaqueRef:7');
    expect(at(all.value, 'OpaqueRef:7')).toEqual(one.value);
    const some: any = await call(
      'VM.get_all_records_where',
      root,
      'field "is_a_template"="true" and not field "uuid"="u1"',
    );
    expect(some.value.size).toBe(vmsMax / 2 - 1);
    const none: any = await call('VM.get_all_records_where', root, 'false');
    expect(none.value).toEqual(new Map());
  }
});

test('a record is encoded once for each version', async () => {
  const version = () => host.world.store.tables.get('VM')!.committed('OpaqueRef:1')!;
  await host.call('VM.get_record', root, 'OpaqueRef:1');
  const before = version();
  expect(String(before.json)).toContain('"name_label":"vm 1"');
  before.json = Buffer.from(String(before.json).replace('vm 1', 'cached'));
  expect(at(await host.call('VM.get_record', root, 'OpaqueRef:1'), 'name_label')).toBe('cached');
  expect(at(await host.call('VM.get_all_records', root), 'OpaqueRef:1', 'name_label')).toBe('cached');
  await host.call('VM.set_name_label', root, 'OpaqueRef:1', 'new');
  expect(at(await host.call('VM.get_record', root, 'OpaqueRef:1'), 'name_label')).toBe('new');
});

test('the members that are not for the wire are not on it', async () => {
  await host.world.store.commit((tx) =>
    tx.create('task', 't' as Ref<'task'>, { uuid: 't', session: root as Ref<'session'> }),
  );
  const { body } = await host.http('POST', '/jsonrpc', {
    body: jsonCall('task.get_all_records', [root], 1n),
  });
  expect(body).not.toContain(root);
  expect(body).not.toContain('stunnelpid');
});

test('others have their turn while a long list is encoded', async () => {
  let turns = 0;
  let over = false;
  const turn = (): void => {
    turns += 1;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  const rows = [...host.world.store.tables.get('VM')!.entries.values()].map(
    ({ ref, committed }) => [ref, { ...committed!, xml: undefined, json: undefined }] as any,
  );
  const slow = { ...nodeClock, monotonicMs: () => nodeClock.monotonicMs() * 100 };
  const parts = await recordsEncoding('VM', rows, fragmentsOf(host.world.catalog.classes), slow)('xml');
  over = true;
  expect(parts.length).toBe(vmsMax + 2);
  expect(turns).toBeGreaterThan(1);
});

test('a list that is quick to write is written in one go', async () => {
  let visited = 0;
  const done = inSlices({ ...nodeClock, monotonicMs: () => 0 }, [1, 2, 3], () => {
    visited += 1;
  });
  expect(visited).toBe(3);
  await done;
});

test('a client that goes away in the middle of a long list is no trouble', async () => {
  const socket = await host.socket();
  const call = jsonCall('VM.get_all_records', [root], 1n);
  socket.write(
    `POST /jsonrpc HTTP/1.1\r\nHost: h\r\nContent-Length: ${Buffer.byteLength(call)}\r\n\r\n${call}`,
  );
  await once(socket, 'data');
  socket.destroy();
  await once(socket, 'close');
  expect(await host.call('VM.get_uuid', root, 'OpaqueRef:1')).toBe('u1');
});

test.each(['VM.get_all_where', 'VM.get_all_records_where'])(
  'others have their turn while %s looks at rows',
  async (method) => {
    // On this clock every look at a row takes long.
    let ms = 0;
    const clock = { ...nodeClock, monotonicMs: () => (ms += 1_000) };
    const slow = await served({ clock });
    const session = await slow.session();
    await slow.world.store.commit((tx) => {
      for (let i = 0; i < 500; i++) tx.create('VM', `OpaqueRef:${i}` as Ref<'VM'>, { uuid: `u${i}` });
    });
    const ended: string[] = [];
    const long = slow.call(method, session, 'not field "uuid" = "u1"').then((found) => {
      ended.push('long');
      return found;
    });
    for (let i = 0; i < 3; i++) {
      await slow.call('VM.get_uuid', session, 'OpaqueRef:1');
      ended.push('short');
    }
    const found = await long;
    expect(found.size ?? found.length).toBe(499);
    expect(ended).toEqual(['short', 'short', 'short', 'long']);
    await slow.close();
  },
);
