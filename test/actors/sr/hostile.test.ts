// Goal: a plugin that prints rubbish, hangs or lies leaves no row and no pending task.
// Method: shell scripts as plugins, run as processes by the real storage layer.

import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Ref } from '../../../src/model/types.ts';
import {
  createSr,
  createVdi,
  idle,
  type RealWorld,
  realWorld,
  refusal,
  srOf,
  vdiOf,
} from '../storage-world.ts';

let root: string;
let w: RealWorld;
let sr: Ref<'SR'>;

const script = async (name: string, body: string): Promise<void> => {
  const path = join(root, 'volume/org.xen.xapi.storage.bad', name);
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
};
const answers = (name: string, value: unknown): Promise<void> =>
  script(name, `echo '${JSON.stringify(value)}'`);

const query = {
  plugin: 'bad',
  name: 'bad',
  description: '',
  vendor: '',
  copyright: '',
  version: '1',
  required_api_version: '5.0',
  features: [],
  configuration: {},
  required_cluster_stack: [],
};
const stat = {
  sr: 'here',
  name: '',
  description: '',
  free_space: 10,
  total_space: 20,
  datasources: [],
  clustered: false,
  health: ['Healthy', ''],
};
const volume = {
  key: 'one',
  name: '<&>\u0007',
  description: '',
  read_write: true,
  sharable: false,
  virtual_size: 4096,
  physical_utilisation: 0,
  uri: [],
  keys: {},
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hostile-'));
  await mkdir(join(root, 'volume/org.xen.xapi.storage.bad'), { recursive: true });
  await answers('Plugin.query', query);
  await answers('SR.create', {});
  await answers('SR.attach', 'here');
  await answers('SR.stat', stat);
  await answers('SR.ls', []);
  await answers('SR.detach', null);
  for (const name of ['Volume.create', 'Volume.destroy', 'Volume.set', 'Volume.stat'])
    await answers(name, null);
  w = await realWorld([root]);
  sr = await createSr(w, '/nowhere', 'bad');
}, 60_000);

afterAll(async () => {
  await w.remove();
  await rm(root, { recursive: true, force: true });
});

beforeEach(async () => {
  await answers('SR.ls', []);
  await answers('SR.stat', stat);
  await w.call('SR.scan', sr);
  expect(srOf(w, sr).VDIs).toEqual([]);
});

test.each([
  ['rubbish', 'echo rubbish'],
  ['nothing', 'true'],
  ['a value of another kind', "echo '[1,2]'"],
  ['an exit code without a word', 'exit 3'],
  ['a death by signal', 'kill -9 $$'],
])('%s is an answer of the driver, and no disk', async (_, body) => {
  await script('Volume.create', body);
  expect((await refusal(createVdi(w, sr)))[0]).toBe('SCRIPT_FAILED');
  await script('SR.ls', body);
  expect((await refusal(w.call('SR.scan', sr)))[0]).toBe('SCRIPT_FAILED');
  expect(srOf(w, sr).VDIs).toEqual([]);
  expect(idle(w)).toBe(true);
});

test('a disk smaller than asked is refused', async () => {
  await answers('Volume.create', volume);
  expect((await refusal(createVdi(w, sr)))[0]).toBe('SR_BACKEND_FAILURE');
  expect(srOf(w, sr).VDIs).toEqual([]);
});

test('a plugin that hangs is ended when its task is cancelled', async () => {
  await script('Volume.create', 'exec sleep 600');
  const task = await w.callAsync(
    'VDI.create',
    new Map<string, unknown>(
      Object.entries({
        SR: sr,
        virtual_size: 4096n,
        type: 'user',
        sharable: false,
        read_only: false,
        other_config: new Map(),
      }),
    ),
  );
  await w.until(() => srOf(w, sr).current_operations.size === 1);
  expect(w.services.cancel(task)).toBe(true);
  expect(await w.finished(task)).toMatchObject({ status: 'cancelled' });
  expect(srOf(w, sr).VDIs).toEqual([]);
  expect(idle(w)).toBe(true);
});

test('names are taken as they are, and what cannot be read is not', async () => {
  await answers('SR.ls', [volume]);
  await w.call('SR.scan', sr);
  const [ref] = srOf(w, sr).VDIs as [Ref<'VDI'>];
  expect(vdiOf(w, ref)).toMatchObject({ name_label: '<&>\u0007', location: 'one', virtual_size: 4096n });
  const uuid = '00000000-0000-4000-8000-000000000001';
  await answers('SR.ls', [
    { ...volume, key: 'two', uuid },
    { ...volume, key: 'three', uuid },
  ]);
  await w.call('SR.scan', sr);
  const uuids = srOf(w, sr).VDIs.map((one) => vdiOf(w, one).uuid);
  expect(new Set(uuids).size).toBe(2);
  expect(uuids).toContain(uuid);
});

test('an unhealthy repository is not scanned, so that its disks are not forgotten', async () => {
  await answers('SR.ls', [volume]);
  await w.call('SR.scan', sr);
  await answers('SR.stat', { ...stat, health: ['Unavailable', 'gone'] });
  await answers('SR.ls', []);
  expect((await refusal(w.call('SR.scan', sr))).slice(0, 3)).toEqual(['SR_UNHEALTHY', sr, 'Unavailable']);
  expect(srOf(w, sr).VDIs).toHaveLength(1);
});
