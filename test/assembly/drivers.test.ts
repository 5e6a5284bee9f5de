// Goal: unmodified drivers of SMAPIv1 find what they need: they are called as recorded, and what they call back for
// is answered as it was, with the rights of their own repository and no others.
// Method: a pool in process whose driver replays a recorded conversation, over the real edge on a Unix socket.

import { afterEach, describe, expect, test } from 'vitest';
import type { Ref } from '../../src/model/types.ts';
import { refusal } from '../actors/storage-world.ts';
import { type DriverWorld, driverWorld } from './driver-conversation.ts';

let w: DriverWorld;
afterEach(() => w.remove());

const call = { debugInfo: 'test', task: 'OpaqueRef:task' };

const createSr = (type: string, config: Readonly<Record<string, string>>): Promise<Ref<'SR'>> =>
  w.call('SR.create', w.host, new Map(Object.entries(config)), 0n, type, '', type, 'user', false, new Map());

const createVdi = (SR: Ref<'SR'>, virtual_size = 67_108_864n, more: object = {}): Promise<Ref<'VDI'>> =>
  w.call(
    'VDI.create',
    new Map<string, unknown>(
      Object.entries({
        ...{ name_label: 'disk', name_description: 'a disk', SR, virtual_size, type: 'user' },
        ...{ sharable: false, read_only: false, other_config: new Map(), ...more },
      }),
    ),
  );

const vdi = (ref: Ref<'VDI'>) => w.store.committed.require('VDI', ref);
const sr = (ref: Ref<'SR'>) => w.store.committed.require('SR', ref);

/** Everything was called as it was recorded, and everything called back was answered as then. */
const expectAsRecorded = (): void => {
  expect(w.differences).toEqual([]);
  for (const { command, argument, expected } of w.played) expect(argument, command).toBe(expected);
};

describe('a driver that keeps disks in files', () => {
  test('has its whole life as recorded', async () => {
    w = await driverWorld('FileSR');
    const repository = await createSr('file', { location: '/srv/sr/file' });
    expect(w.played.map(({ command }) => command)).toEqual([
      'sr_get_driver_info',
      'sr_create',
      'sr_attach',
      'sr_scan',
    ]);
    await w.call('SR.update', repository);
    const disk = await createVdi(repository);
    expect(vdi(disk)).toMatchObject({
      ...{ SR: repository, name_label: 'disk', virtual_size: 67_108_864n, physical_utilisation: 3_584n },
      ...{ location: vdi(disk).uuid, managed: true, missing: false },
    });
    expect(sr(repository).virtual_allocation).toBe(67_108_864n);
    await w.call('SR.scan', repository);

    const use = { sr: sr(repository).uuid, key: vdi(disk).location, datapath: 'vbd/1/xvda', vm: '1' };
    const backend = await w.storage.datapathsOf.attach(use, 'RW', call);
    expect(JSON.stringify([...(backend as Map<string, unknown>)])).toContain('Nbd');
    await w.storage.datapathsOf.activate(use, call);
    await w.storage.datapathsOf.deactivate(use, call);
    await w.storage.datapathsOf.detach(use, call);

    await w.call('VDI.resize', disk, 134_217_728n);
    expect(vdi(disk).virtual_size).toBe(134_217_728n);
    const snapshot = await w.call('VDI.snapshot', disk);
    expect(vdi(snapshot)).toMatchObject({ is_a_snapshot: true, snapshot_of: disk, name_label: 'disk' });
    await w.call('SR.scan', repository);
    const clone = await w.call('VDI.clone', disk);
    expect(vdi(clone)).toMatchObject({ is_a_snapshot: false, SR: repository });
    expect(await w.call('VDI.generate_config', w.host, disk)).toContain('vdi_attach_from_config');

    await w.call('VDI.enable_cbt', disk);
    expect(vdi(disk).cbt_enabled).toBe(true);
    const tracked = await w.call('VDI.snapshot', disk);
    expect(await w.call('VDI.list_changed_blocks', tracked, disk)).toMatch(/^A+=*$/);
    await w.store.commit((tx) => tx.patch('VDI', tracked, { cbt_enabled: true }));
    expect((await refusal(w.call('VDI.data_destroy', tracked)))[0]).toBe('SR_BACKEND_FAILURE_66');
    await w.call('VDI.disable_cbt', disk);
    expect(vdi(disk).cbt_enabled).toBe(false);

    await createVdi(repository, 8_388_608n, { sm_config: new Map([['type', 'raw']]) });
    w.goTo('29-vdi_create-too-big');
    expect(await refusal(createVdi(repository, 5_497_558_138_880n))).toEqual([
      ...['SR_BACKEND_FAILURE_79', '', expect.stringContaining('VDI size'), ''],
    ]);
    await w.call('SR.scan', repository);
    await w.call('SR.scan', repository);
    expectAsRecorded();
    expect(w.played.length).toBeGreaterThan(24);

    const disks = () => sr(repository).VDIs.filter((one) => vdi(one).managed);
    for (const one of disks()) await w.call('VDI.destroy', one);
    expect(disks()).toEqual([]);
    await w.call('SR.scan', repository);
    await w.call('PBD.unplug', sr(repository).PBDs[0]);
    // It is attached once more, for its driver to find what to delete.
    w.goTo('04-sr_attach');
    w.during('sr_attach', async () => w.goTo('45-sr_delete'));
    await w.call('SR.destroy', repository);
    expect([...w.store.committed.all('SR')]).toEqual([]);
    expect([...w.store.committed.all('VDI')]).toEqual([]);
  });
});

describe('a driver of a kind of its own', () => {
  test('that shows devices of the host is scanned and attached as recorded', async () => {
    w = await driverWorld('udevSR');
    const repository = await createSr('udev', { location: '/srv/sr/udev' });
    const [disk] = sr(repository).VDIs as readonly Ref<'VDI'>[];
    expect(vdi(disk as Ref<'VDI'>).location).toBe('/srv/sr/udev/sda');
    const use = { sr: sr(repository).uuid, key: '/srv/sr/udev/sda', datapath: 'vbd/1/xvdb', vm: '1' };
    await w.storage.datapathsOf.attach(use, 'RW', call);
    await w.storage.datapathsOf.activate(use, call);
    await w.storage.datapathsOf.destroy('vbd/1/xvdb', false, call);
    expectAsRecorded();
  });

  test('that does nothing at all makes disks, introduces them and lets them go', async () => {
    w = await driverWorld('DummySR');
    const repository = await createSr('dummy', {});
    const disk = await createVdi(repository);
    await w.call('SR.scan', repository);
    await w.call('VDI.resize', disk, 134_217_728n);
    await w.call('VDI.snapshot', disk);
    const clone = await w.call('VDI.clone', disk);
    await w.call('VDI.destroy', clone);
    expect(w.store.committed.get('VDI', clone)).toBeUndefined();
    const [pbd] = sr(repository).PBDs;
    await w.call('PBD.unplug', pbd);
    expect(w.differences).toEqual([]);
  });
});

test('A driver that can revert is asked with the snapshot, and told which disk becomes what it is', async () => {
  w = await driverWorld('FileSR');
  const repository = await createSr('file', { location: '/srv/sr/file' });
  const disk = await createVdi(repository);
  const snapshot: Ref<'VDI'> = await w.call('VDI.snapshot', disk);
  const [[sm, row] = []] = w.store.committed.all('SM');
  await w.store.commit((tx) =>
    tx.patch('SM', sm as Ref<'SM'>, { features: new Map([...(row?.features ?? []), ['VDI_REVERT', 1n]]) }),
  );
  // It said then that it knows no such thing.
  expect((await refusal(w.call('VDI.revert', snapshot)))[0]).toBe('SR_BACKEND_FAILURE_143');
  const told = w.asked.at(-1);
  expect(told?.get('command')).toBe('vdi_revert');
  expect(told?.get('vdi_ref')).toBe(snapshot);
  expect(told?.get('args')).toEqual([disk]);
});

describe('what a driver may do', () => {
  const introduction = (repository: string, location: string) =>
    [
      ...['', 'name', '', repository, 'user', false, false, new Map(), location, new Map(), new Map(), true],
      ...['1', '1', '', false, '19700101T00:00:00Z', '', false],
    ] as const;
  const denied = (asked: Promise<unknown>): Promise<unknown> =>
    asked.then(
      () => 'no refusal',
      ({ answer }) => answer[0],
    );

  test('is what the call is about: rows of other repositories and of later calls are not its own', async () => {
    w = await driverWorld('FileSR');
    const other = 'OpaqueRef:other' as Ref<'SR'>;
    await w.store.commit((tx) =>
      tx.create('SR', other, { uuid: '5d1c7a34-0000-4000-8000-00000000000b', type: 'file' }),
    );
    let lent = '';
    const answers: unknown[] = [];
    w.during('sr_attach', async (session) => {
      lent = session;
      answers.push(await denied(w.ask('VDI.db_introduce', session, ...introduction(other, 'a'))));
      answers.push(await denied(w.ask('SR.set_virtual_allocation', session, other, '7')));
      const [mine] = [...w.store.committed.all('SR')].filter(([ref]) => ref !== other);
      const known = await w.ask('VDI.db_introduce', session, ...introduction(mine?.[0] ?? '', 'b'));
      const taken = w.ask('VDI.db_introduce', session, ...introduction(mine?.[0] ?? '', 'b'));
      answers.push(await denied(taken));
      await w.ask('VDI.add_to_sm_config', session, known, 'paused', 'true');
      answers.push(await denied(w.ask('VDI.add_to_sm_config', session, known, 'paused', 'true')));
      await w.ask('VDI.db_forget', session, known);
    });
    await createSr('file', { location: '/srv/sr/file' });
    expect(answers).toEqual([
      'PERMISSION_DENIED',
      'PERMISSION_DENIED',
      'LOCATION_NOT_UNIQUE',
      'MAP_DUPLICATE_KEY',
    ]);
    expect(await denied(w.ask('SR.get_all', lent))).toBe('SESSION_INVALID');
  });

  test('is not what anybody else at the machine may do, who needs no password there', async () => {
    w = await driverWorld('FileSR');
    const session = await w.ask('session.login_with_password', 'root', '', '1.0', 'SM');
    expect(await w.ask('SR.get_all', session)).toEqual([]);
    const repository = await createSr('file', { location: '/srv/sr/file' });
    expect(await denied(w.ask('VDI.db_introduce', session, ...introduction(repository, 'a')))).toBe(
      'PERMISSION_DENIED',
    );
    await w.ask('session.logout', session);
    expect(await denied(w.ask('SR.get_all', session))).toBe('SESSION_INVALID');
  });
});

describe('a repository of a driver', () => {
  test('leaves no row where its driver refuses to make it, and says why', async () => {
    w = await driverWorld('ISOSR');
    expect(await refusal(createSr('iso', {}))).toEqual(['SR_BACKEND_FAILURE_94', '', expect.any(String), '']);
    expect([...w.store.committed.all('SR')]).toEqual([]);
    expect([...w.store.committed.all('PBD')]).toEqual([]);
  });

  test('is attached, detached and probed one at a time on a host', async () => {
    w = await driverWorld('NFSSR');
    const probe = () => w.call('SR.probe', w.host, new Map([['server', 'a']]), 'nfs', new Map());
    const found = await Promise.all([probe(), probe(), probe()].map((one) => one.catch(() => 'refused')));
    expect(found).toHaveLength(3);
    expect(w.mostAtOnce(/^sr_(attach|detach|probe)$/)).toBe(1);
  });

  test('tells what it finds as its driver writes it, and not as records', async () => {
    w = await driverWorld('DummySR');
    const asked = w.call('SR.probe_ext', w.host, new Map(), 'dummy', new Map());
    expect((await refusal(asked))[0]).toMatch(/^SR_/);
  });
});
