// Goal: a VM leaves as a file that others read, packed or not; what cannot be exported is refused before a
//   byte is sent, and a client that goes away leaves nothing busy.
// Method: the whole runtime in process over disks in memory, GNU tar and zstd as readers.

import { execFileSync, spawnSync } from 'node:child_process';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readXmlRpcValue } from '../../src/codec/xmlrpc-reader.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Struct } from '../../src/std/value.ts';
import { clientOf, streamed } from './client.ts';
import { idle, refusal } from './storage-world.ts';
import { type XvaWorld, xvaWorld } from './xva-world.ts';

let w: XvaWorld;
let vm: Ref<'VM'>;
beforeAll(async () => {
  w = await xvaWorld();
  vm = await w.newVm();
});
afterAll(() => w.close());

const hasZstd = spawnSync('zstd', ['--version']).status === 0;
const tar = (input: Buffer, ...args: readonly string[]): string =>
  execFileSync('tar', [...args, '-f', '-'], { input, encoding: 'utf8', maxBuffer: 1 << 26 });

const objectsIn = (xml: string): readonly Struct[] =>
  (readXmlRpcValue(xml) as Struct).get('objects') as Struct[];
const recordsOf = (xml: string, cls: string): readonly Struct[] =>
  objectsIn(xml)
    .filter((one) => one.get('class') === cls)
    .map((one) => one.get('snapshot') as Struct);

const isFree = (): boolean => idle(w) && w.store.committed.require('VM', vm).current_operations.size === 0;

test('a VM is a file that GNU tar lists, with its disks in it and nothing of empty drives', async () => {
  const file = await w.exported({ ref: vm });
  const names = tar(file, '-t').trim().split('\n');
  expect(names[0]).toBe('ova.xml');
  expect(names.filter((name) => /0000000\d$/.test(name)).length).toBe(3 + 4);
  expect(names.length).toBe(1 + 2 * 7);
  const xml = tar(file, '-xO', 'ova.xml');
  const [record] = recordsOf(xml, 'VM');
  expect([record?.get('name_label'), record?.get('power_state')]).toEqual(['leaving', 'Halted']);
  expect(record?.has('leftovers')).toBe(false);
  expect(objectsIn(xml).map((one) => one.get('class'))).toEqual([
    ...['VM', 'VM_metrics', 'VBD', 'VBD', 'VBD', 'VIF', 'network', 'VDI', 'VDI', 'SR'],
  ]);
  expect((readXmlRpcValue(xml) as Struct).get('version')).toEqual(expect.any(Map));
  expect(isFree()).toBe(true);
});

test('gzip and zstd are around the same file, and any other word is none', async () => {
  const uuid = w.store.committed.require('VM', vm).uuid;
  const plain = await w.exported({ uuid, use_compression: 'lz4' });
  const same = (other: Buffer): void => expect(tar(other, '-t')).toBe(tar(plain, '-t'));
  same(gunzipSync(await w.exported({ uuid, use_compression: 'true' })));
  if (!hasZstd) return;
  const input = await w.exported({ uuid, use_compression: 'zstd' });
  same(execFileSync('zstd', ['-d', '-c'], { input, maxBuffer: 1 << 26 }));
});

test('a snapshot leaves as a plain VM, and a template as it is', async () => {
  const snapshot: Ref<'VM'> = await w.call('VM.snapshot', vm, 'before');
  const [record] = recordsOf(tar(await w.exported({ ref: snapshot }), '-xO', 'ova.xml'), 'VM');
  expect([record?.get('is_a_snapshot'), record?.get('is_a_template'), record?.get('parent')]).toEqual([
    ...[false, true, 'OpaqueRef:NULL'],
  ]);
  await w.call('VM.destroy', snapshot);
});

test('metadata is of one VM or of all, with snapshots or not, and kinds of devices left out', async () => {
  const snapshot: Ref<'VM'> = await w.call('VM.snapshot', vm, 'before');
  const of = async (query: Record<string, unknown>): Promise<readonly unknown[]> => {
    const xml = tar(await w.exported(query, 'get_export_metadata'), '-xO', 'ova.xml');
    return objectsIn(xml).map((one) => one.get('class'));
  };
  const count = (list: readonly unknown[], cls: string): number => list.filter((one) => one === cls).length;
  const usual = await of({ ref: vm });
  expect([count(usual, 'VM'), count(usual, 'VDI'), count(usual, 'VIF')]).toEqual([2, 4, 2]);
  const bare = await of({ ref: vm, export_snapshots: false, excluded_device_types: 'vif,VBD' });
  expect([count(bare, 'VM'), count(bare, 'VDI'), count(bare, 'network')]).toEqual([1, 0, 0]);
  expect(count(await of({ all: true }), 'VM')).toBeGreaterThanOrEqual(2);
  expect(
    await refusal(w.exported({ ref: vm, excluded_device_types: 'VUSB' }, 'get_export_metadata')),
  ).toEqual([...['INVALID_VALUE', 'excluded_device_types', expect.stringContaining('VTPM')]]);
  await w.call('VM.destroy', snapshot);
});

test('what cannot be exported is refused before anything is sent', async () => {
  const { answered, client } = clientOf();
  const asked = (ref: string) => streamed(w, 'get_export', [ref, ''], client);
  expect(await refusal(asked(''))).toMatchObject(['INVALID_VALUE', 'uuid', expect.any(String)]);
  expect(await refusal(asked('OpaqueRef:gone'))).toEqual(['HANDLE_INVALID', 'VM', 'OpaqueRef:gone']);
  await w.store.commit((tx) => tx.patch('VM', vm, { power_state: 'Running' }));
  expect(await refusal(asked(vm))).toEqual(['VM_BAD_POWER_STATE', vm, 'halted, suspended', 'running']);
  await w.store.commit((tx) => tx.patch('VM', vm, { power_state: 'Halted' }));
  expect([answered.length, isFree()]).toEqual([0, true]);
});

test('a client that goes away, and a task that is cancelled, leave nothing busy', async () => {
  const { client } = clientOf();
  const gone = {
    ...client,
    answer: () => ({ write: () => Promise.reject(new Error('The client went away')) }),
  };
  expect((await refusal(streamed(w, 'get_export', [vm, '', 'gzip'], gone)))[0]).toBe('INTERNAL_ERROR');
  expect(isFree()).toBe(true);
  const ended = new AbortController();
  const slow = {
    ...client,
    answer: () => ({
      write: async () => {
        ended.abort(new Error('ended'));
      },
    }),
  };
  const asked = streamed(w, 'get_export', [vm, '', 'zstd'], slow, { until: ended.signal });
  expect((await refusal(asked)).length).toBeGreaterThan(0);
  expect(isFree()).toBe(true);
});

test('a host without zstd says so before anything is sent', async () => {
  const without = await xvaWorld({ services: {} });
  const lone = await without.newVm();
  expect(await refusal(without.exported({ ref: lone, use_compression: 'zstd' }))).toEqual([
    ...['OPERATION_NOT_ALLOWED', expect.stringContaining('zstd')],
  ]);
  await without.close();
});
