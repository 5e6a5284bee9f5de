// Goal: repositories are made, connected, found again after a restart, and taken away without residue.
// Method: the whole runtime in process over the real storage layer and our plugins as processes.

import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { plugAtStart } from '../../../actors/pbd/start.ts';
import { smRows } from '../../../actors/sm/rows.ts';
import { nullRef, type Ref } from '../../../src/model/types.ts';
import { DiskFull } from '../../../src/store/durable.ts';
import { type BuiltPlugins, buildPlugins } from '../../plugins/built-plugins.ts';
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

let plugins: BuiltPlugins;
let w: RealWorld;

beforeAll(async () => {
  plugins = await buildPlugins();
  w = await realWorld([plugins.scripts]);
}, 60_000);

afterAll(async () => {
  await w.remove();
  await plugins.remove();
});

const pbdOf = (sr: Ref<'SR'>) => {
  const [ref] = srOf(w, sr).PBDs as [Ref<'PBD'>];
  return { ref, ...w.store.committed.require('PBD', ref) };
};

const srRows = (): number => [...w.store.committed.all('SR')].length;

test('drivers have rows with the features that their scripts give them', async () => {
  const drivers = new Map([...w.store.committed.all('SM')].map(([, sm]) => [sm.type, sm]));
  expect(drivers.get('file')?.capabilities).toContain('VDI_SNAPSHOT');
  expect(drivers.get('iso')?.features.has('VDI_CREATE')).toBe(false);
  const { generation } = w.store;
  await smRows(w);
  expect(w.store.generation).toBe(generation);
  expect([...(await w.call('SR.get_supported_types'))].sort()).toEqual(['ext', 'file', 'iso', 'nfs']);
});

test('a repository is made plugged, with its figures, and ends with its storage', async () => {
  const folder = w.newFolder();
  const sr = await createSr(w, folder);
  expect(srOf(w, sr)).toMatchObject({ name_label: 'disks', type: 'file', shared: false });
  expect(srOf(w, sr).physical_size).toBeGreaterThan(0n);
  expect(srOf(w, sr).allowed_operations).toContain('vdi_create');
  expect(pbdOf(sr)).toMatchObject({ currently_attached: true, host: w.host });
  expect(await refusal(w.call('SR.destroy', sr))).toEqual(['SR_HAS_PBD', sr]);
  const vdi = await createVdi(w, sr);
  await w.call('PBD.unplug', pbdOf(sr).ref);
  expect(srOf(w, sr).allowed_operations).toContain('forget');
  expect(await refusal(createVdi(w, sr))).toEqual(['SR_HAS_NO_PBDS', sr]);
  expect(await refusal(w.call('VDI.resize', vdi, 8n << 20n))).toEqual(['SR_HAS_NO_PBDS', sr]);
  expect(vdiOf(w, vdi).allowed_operations).not.toContain('resize');
  expect(await refusal(w.call('SR.destroy', sr))).toEqual(['SR_NOT_EMPTY']);
  await w.call('PBD.plug', pbdOf(sr).ref);
  expect(vdiOf(w, vdi).allowed_operations).toContain('resize');
  await w.call('VDI.destroy', vdi);
  await w.call('PBD.unplug', pbdOf(sr).ref);
  await w.call('SR.destroy', sr);
  expect(srRows()).toBe(0);
  expect([...w.store.committed.all('PBD')]).toEqual([]);
  await expect(access(folder)).rejects.toThrow();
  expect(idle(w)).toBe(true);
});

test('a repository that was forgotten is introduced again with what is in it', async () => {
  const folder = w.newFolder();
  const sr = await createSr(w, folder);
  const { uuid } = srOf(w, sr);
  const { uuid: disk } = vdiOf(w, await createVdi(w, sr));
  await w.call('PBD.unplug', pbdOf(sr).ref);
  await w.call('SR.forget', sr);
  const config = new Map([['location', folder]]);
  expect(await w.call('SR.probe', w.host, config, 'file')).toContain(`<UUID>${uuid}</UUID>`);
  const [found] = await w.call('SR.probe_ext', w.host, config, 'file');
  expect(found.get('sr').get('uuid')).toBe(uuid);
  const introduce = () => w.call('SR.introduce', uuid, 'again', '', 'file', '', false);
  const again: Ref<'SR'> = await introduce();
  expect(await refusal(introduce())).toEqual(['SR_UUID_EXISTS', uuid]);
  const pbd = new Map<string, unknown>([
    ['host', w.host],
    ['SR', again],
    ['device_config', config],
  ]);
  const connection = await w.call('PBD.create', pbd);
  expect(await refusal(w.call('PBD.create', pbd))).toEqual(['PBD_EXISTS', again, w.host, connection]);
  expect(await refusal(w.call('SR.scan', again))).toEqual(['SR_HAS_NO_PBDS', again]);
  await w.call('PBD.plug', connection);
  await w.call('SR.scan', again);
  expect(srOf(w, again).VDIs.map((ref) => vdiOf(w, ref).uuid)).toEqual([disk]);
  await w.call('VDI.destroy', srOf(w, again).VDIs[0]);
  expect((await refusal(w.call('PBD.destroy', connection)))[0]).toBe('OPERATION_NOT_ALLOWED');
  await w.call('PBD.unplug', connection);
  await w.call('SR.destroy', again);
});

test('a folder of CD images shows what is put into it and taken out of it', async () => {
  const folder = w.newFolder();
  await mkdir(folder);
  await writeFile(join(folder, 'first.iso'), Buffer.alloc(4096));
  const sr = await createSr(w, folder, 'iso');
  const names = () => srOf(w, sr).VDIs.map((ref) => vdiOf(w, ref).name_label);
  expect(names()).toEqual(['first.iso']);
  const known = await w.call('SR.probe', w.host, new Map([['location', folder]]), 'iso');
  expect(known).toContain(`<UUID>${srOf(w, sr).uuid}</UUID>`);
  const other = await w.call('SR.probe', w.host, new Map([['location', w.newFolder()]]), 'iso');
  expect(other).not.toContain('<UUID>');
  const [first] = srOf(w, sr).VDIs as [Ref<'VDI'>];
  expect(vdiOf(w, first)).toMatchObject({ read_only: true, virtual_size: 4096n });
  expect(await refusal(createVdi(w, sr))).toEqual(['SR_OPERATION_NOT_SUPPORTED', sr]);
  await writeFile(join(folder, 'second.iso'), Buffer.alloc(2048));
  await rm(join(folder, 'first.iso'));
  const vm = 'OpaqueRef:vm' as Ref<'VM'>;
  const [attached, cd] = ['OpaqueRef:attached', 'OpaqueRef:cd'] as Ref<'VBD'>[] as [Ref<'VBD'>, Ref<'VBD'>];
  await w.store.commit((tx) => {
    tx.create('VM', vm, { uuid: 'vm' });
    for (const drive of [attached, cd])
      tx.create('VBD', drive, { VM: vm, VDI: first, type: 'CD', mode: 'RO' });
    tx.patch('VBD', attached, { currently_attached: true });
  });
  await w.call('SR.scan', sr);
  expect(names()).toEqual(['first.iso', 'second.iso']);
  expect(vdiOf(w, first).missing).toBe(true);
  await w.store.commit((tx) => tx.delete('VBD', attached));
  await w.call('SR.scan', sr);
  expect(names()).toEqual(['second.iso']);
  expect(w.store.committed.require('VBD', cd)).toMatchObject({ VDI: nullRef, empty: true });
  await w.call('PBD.unplug', pbdOf(sr).ref);
  await w.call('SR.forget', sr);
  expect(await readdir(folder)).toEqual(['second.iso']);
});

test('a host connects at its start to what it was connected to, once it is there again', async () => {
  const folder = w.newFolder();
  const sr = await createSr(w, folder);
  const { uuid } = srOf(w, sr);
  const vdi = await createVdi(w, sr);
  // What a reboot leaves: rows say attached, the storage layer knows nothing.
  await w.storage.detachSr(uuid, { debugInfo: 'test' });
  await rename(folder, `${folder}-away`);
  await plugAtStart(w);
  expect(pbdOf(sr).currently_attached).toBe(false);
  await rename(`${folder}-away`, folder);
  await plugAtStart(w);
  expect(pbdOf(sr)).toMatchObject({ currently_attached: true, other_config: new Map() });
  expect(srOf(w, sr).VDIs).toEqual([vdi]);
  expect(w.storage.isSrAttached(uuid)).toBe(true);
  await w.call('VDI.destroy', vdi);
  await w.call('PBD.unplug', pbdOf(sr).ref);
  await plugAtStart(w);
  expect(pbdOf(sr).currently_attached).toBe(false);
  await w.call('SR.destroy', sr);
});

test('a repository that cannot be noted is unmade', async () => {
  const folder = w.newFolder();
  w.disk.refuseWrites(new DiskFull('no space'));
  const answer = await refusal(createSr(w, folder)).finally(() => w.disk.refuseWrites(undefined));
  expect(answer[0]).toBe('OUT_OF_SPACE');
  expect(srRows()).toBe(0);
  await expect(access(folder)).rejects.toThrow();
});

test('unknown drivers and places that cannot be are refused', async () => {
  expect(await refusal(createSr(w, '/x', 'nosuch'))).toEqual(['SR_UNKNOWN_DRIVER', 'nosuch']);
  expect((await refusal(createSr(w, 'relative')))[0]).toBe('SR_BACKEND_FAILURE');
  expect(idle(w)).toBe(true);
});

test('passwords of a connection are secrets, and go with it', async () => {
  const sr: Ref<'SR'> = await w.call('SR.introduce', '', 'nfs', '', 'file', '', true);
  const config = new Map([
    ['location', '/x'],
    ['password', 'hush'],
  ]);
  const pbd: Ref<'PBD'> = await w.call(
    'PBD.create',
    new Map<string, unknown>([
      ['host', w.host],
      ['SR', sr],
      ['device_config', config],
    ]),
  );
  const kept = w.store.committed.require('PBD', pbd).device_config;
  expect([...kept.keys()]).toEqual(['location', 'password_secret']);
  const secrets = () => [...w.store.committed.all('secret')].map(([, { value }]) => value);
  expect(secrets()).toEqual(['hush']);
  await w.call('PBD.set_device_config', pbd, kept);
  expect(secrets()).toEqual(['hush']);
  await w.call('PBD.destroy', pbd);
  expect(secrets()).toEqual([]);
  await w.call('SR.forget', sr);
});
