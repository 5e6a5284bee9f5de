// Goal: a backup becomes the pool that it was taken of, on one host; of what is no whole backup nothing is made.
// Method: rows of a pool of two in a store in memory, restored into folders on disk and opened as a start opens them.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import type { HostFile } from '../../src/drivers/host-files.ts';
import { restore } from '../../src/main/restoring.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { backupFiles } from '../../src/pool/backup.ts';
import { internalClasses } from '../../src/pool/rows.ts';
import { archived } from '../../src/rules/archive.ts';
import { silentLog } from '../../src/std/log.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { formatVersion } from '../../src/store/migrations.ts';
import { openStore } from '../../src/store/store.ts';
import type { Tx } from '../../src/store/view.ts';
import { disk } from '../store/hosts.ts';

const ref = <C extends string>(name: string): Ref<any> => `OpaqueRef:${name}` as Ref<C>;
const [host, other, pool, session] = ['host', 'other', 'pool', 'session'].map(ref) as [
  Ref<'host'>,
  Ref<'host'>,
  Ref<'pool'>,
  Ref<'session'>,
];
const certificate = JSON.stringify({ key: 'a key', cert: 'a certificate' });
const credentials = '{ "users": {} }\n';
const odd = new Map([
  ['__proto__', 'a "quoted" \u0000 text\n'],
  ['é', ''],
]);

let folder: string;
let file: string;
let whole: Buffer;

const bytesOf = async (files: AsyncIterable<HostFile>): Promise<Buffer> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of archived(files, 0)) pieces.push(piece);
  return Buffer.concat(pieces);
};

const rows = (tx: Tx): void => {
  tx.create('pool', pool, { uuid: 'pool-uuid', name_label: 'lab', master: other });
  for (const one of [host, other]) tx.create('host', one, { uuid: `uuid of ${one}` });
  const vm = (name: string, fields: object): void =>
    tx.create('VM', ref(name), { uuid: name, other_config: odd, memory_static_max: 1n << 60n, ...fields });
  vm('here', { power_state: 'Running', resident_on: host });
  vm('there', { power_state: 'Running', resident_on: other });
  vm('asleep', { power_state: 'Suspended', resident_on: nullRef, scheduled_to_be_resident_on: other });
  vm('dom0', { power_state: 'Running', resident_on: other, is_control_domain: true });
  tx.patch('host', other, { control_domain: ref('dom0') });
  tx.create('SR', ref('sr'), { uuid: 'sr', type: 'file' });
  const location = new Map([['location', '/old/place/sr']]);
  tx.create('PBD', ref('own'), { uuid: 'own', host, SR: ref('sr'), device_config: location });
  tx.create('PBD', ref('lost'), { uuid: 'lost', host: other, SR: ref('sr'), device_config: location });
  tx.create('secret', ref('secret'), { uuid: 'secret', value: 'of a repository' });
  tx.create('session', session, { uuid: 'session' });
  tx.create('task', ref('task'), { uuid: 'task' });
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'backup-'));
  file = join(folder, 'backup');
  const made = openStore({ classes: [...classes, ...internalClasses], durable: disk(), log: silentLog });
  await made.replica.lead(7);
  await made.store.commit(rows);
  const about = { xenact: '1', database: formatVersion, pool: 'pool-uuid', name: 'lab', host, at: 'now' };
  const secrets = { 'credentials.json': credentials, 'certificate.json': certificate };
  whole = await bytesOf(backupFiles(made, { ...about, data: '/old/place' }, secrets));
  await writeFile(file, whole);
  await made.replica.close();
});
afterAll(() => rm(folder, { recursive: true }));

describe('a backup that is restored', () => {
  let data: string;
  beforeAll(async () => {
    data = join(folder, 'restored');
    expect(await restore(file, { data })).toMatchObject({ name: 'lab', host });
  });

  const withRestored = async (
    check: (opened: ReturnType<typeof openStore>) => Promise<void>,
  ): Promise<void> => {
    const durable = lmdbDurable(join(data, 'store'));
    const opened = openStore({ classes: [...classes, ...internalClasses], durable, log: silentLog });
    try {
      await check(opened);
    } finally {
      await opened.replica.close();
    }
  };

  test('has the rows of the pool, and nobody who was logged in', async () => {
    await withRestored(async ({ store, replica }) => {
      const rows = store.committed;
      expect(rows.require('VM', ref('here'))).toMatchObject({
        ...{ uuid: 'here', other_config: odd, memory_static_max: 1n << 60n, resident_on: host },
      });
      expect(rows.require('secret', ref('secret'))['value']).toBe('of a repository');
      expect([...rows.all('session'), ...rows.all('task')]).toEqual([]);
      expect(replica.epoch).toBe(8);
      const state = JSON.parse(await readFile(join(data, 'pool.json'), 'utf8'));
      expect(state).toEqual({ host, role: 'coordinator', epoch: 8, led: 8 });
    });
  });

  test('is a pool of the host that gave it, which looks after the guests and folders of before', async () => {
    await withRestored(async ({ store }) => {
      const rows = store.committed;
      expect([...rows.all('host')].map(([one]) => one)).toEqual([host]);
      expect(rows.require('pool', pool).master).toBe(host);
      expect(rows.require('VM', ref('there'))['resident_on']).toBe(host);
      expect(rows.require('VM', ref('asleep'))).toMatchObject({
        ...{ power_state: 'Suspended', resident_on: nullRef, scheduled_to_be_resident_on: nullRef },
      });
      expect(rows.get('VM', ref('dom0'))).toBeUndefined();
      expect([...rows.all('PBD')].map(([, { device_config }]) => [...device_config])).toEqual([
        [['location', join(data, 'sr')]],
      ]);
    });
  });

  test('has the users and the certificate of before, for their owner alone', async () => {
    for (const [name, text] of Object.entries({
      'credentials.json': credentials,
      'certificate.json': certificate,
    })) {
      expect(await readFile(join(data, name), 'utf8')).toBe(text);
      expect((await stat(join(data, name))).mode & 0o77).toBe(0);
    }
  });

  test('is not restored over what is there, nor beside a restore that was cut off', async () => {
    await expect(restore(file, { data })).rejects.toThrow('is not empty');
    const cut = join(folder, 'cut');
    await mkdir(`${cut}.restoring`);
    await expect(restore(file, { data: cut })).rejects.toThrow(`${cut}.restoring`);
    expect(existsSync(cut)).toBe(false);
  });
});

describe('of a file that is no whole backup', () => {
  const refuses = async (bytes: Buffer, why: string | RegExp): Promise<void> => {
    const data = join(folder, 'refused');
    await writeFile(`${file}.bad`, bytes);
    await expect(restore(`${file}.bad`, { data })).rejects.toThrow(why);
    expect((await readdir(folder)).filter((name) => name.startsWith('refused'))).toEqual([]);
  };

  test('that was cut anywhere nothing is made', async () => {
    for (const part of [0, 0.01, 0.3, 0.6, 0.95])
      await refuses(whole.subarray(0, Math.floor(whole.length * part)), 'This is no backup of a pool');
  });

  test('of which one byte is another nothing is made', async () => {
    for (const part of [0.4, 0.6, 0.8]) {
      const bytes = Buffer.from(whole);
      const at = Math.floor(bytes.length * part);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 0x20, at);
      await refuses(bytes, 'This is no backup of a pool');
    }
  });

  const named = async function* (...files: readonly (readonly [string, string])[]) {
    for (const [name, text] of files) yield { name, bytes: Buffer.from(text) };
  };

  test('that is another archive, or of a version that is not read, it is said what it is', async () => {
    await refuses(await bytesOf(named(['ova.xml', '<value/>'])), 'it begins with "ova.xml"');
    const about = { format: 99, database: 1, xenact: '9.0', pool: '', name: '', data: '', at: '', host: '' };
    await refuses(await bytesOf(named(['backup.json', JSON.stringify(about)])), 'written by xenact 9.0');
  });

  test('whose rows are none although its sums are right, nothing is left', async () => {
    const about = {
      ...{ format: 1, database: formatVersion, xenact: '1', pool: '', name: '', data: '/', at: '', host },
    };
    const files = [
      ['backup.json', JSON.stringify(about)],
      ['rows/0', 'no rows'],
    ] as const;
    const sums = files.map(([name, text]) => `${createHash('sha256').update(text).digest('hex')}  ${name}\n`);
    await refuses(await bytesOf(named(...files, ['sums', sums.join('')])), /./);
  });
});
