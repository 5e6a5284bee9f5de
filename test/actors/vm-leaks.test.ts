// Goal: what this host has and no row names or needs is told to people once, is taken back when it is gone, and ends by
// an explicit order alone; what is somebody's is never touched.
// Method: rows, guests and datapaths that disagree in each way, in a host in process; the messages that come of it.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type LeakWatch, leakWatch } from '../../actors/vm/leaks.ts';
import type { HeldVolume } from '../../src/drivers/storage/storage.ts';
import type { Ref } from '../../src/model/types.ts';
import { foundKey } from '../../src/rules/storage-rows.ts';
import { type Bench, bench, fakeDisks, fakeHypervisor } from './vm-bench.ts';

const hypervisor = fakeHypervisor();
const disks = fakeDisks();
let held: HeldVolume[] = [];
let stuck = false;
let at: Bench;
let leaks: LeakWatch;

beforeAll(async () => {
  at = await bench(hypervisor, {
    disks,
    storage: {
      held: () => held,
      letGo: async ({ datapath }) => {
        if (stuck) throw new Error('the plugin refuses');
        held = held.filter((one) => one.datapath !== datapath);
      },
    },
  });
});
afterAll(() => at.close());
beforeEach(async () => {
  held = [];
  stuck = false;
  leaks = leakWatch(at);
  await at.store.commit((tx) => {
    for (const [ref] of [...tx.all('message')]) tx.delete('message', ref);
  });
});

const told = (): readonly string[] =>
  [...at.store.committed.all('message')]
    .filter(([, { name }]) => name.startsWith('LEAKED_'))
    .map(([, { name, cls, body }]) => `${name} ${cls} ${body.split(' ').slice(0, 3).join(' ')}`);

const running = async (): Promise<Ref<'VM'>> => {
  const vm = await at.newVm();
  await at.call('VM.start', vm, false, false);
  return vm;
};
const guestOf = (vm: Ref<'VM'>) => hypervisor.machines.get(at.uuid(vm));
const diskOf = (vm: Ref<'VM'>): Ref<'VDI'> => {
  const rows = at.store.committed;
  const drives = rows.require('VM', vm).VBDs.map((ref) => rows.require('VBD', ref));
  return drives.find(({ type }) => type === 'Disk')?.VDI as Ref<'VDI'>;
};
const holds = (vdi: Ref<'VDI'>, datapath: string, leaked = false): HeldVolume => ({
  ...{ sr: 'sr', key: at.store.committed.require('VDI', vdi).location },
  ...{ datapath, leaked },
});

test('a guest without a VM is told once, goes on, and ends when it is cleaned', async () => {
  const vm = await running();
  const { uuid } = at.store.committed.require('VM', vm);
  const guest = guestOf(vm);
  await at.call('VM.hard_shutdown', vm);
  hypervisor.machines.set('nobody', { ...(guest as any), power: 'Running' });
  await leaks.afterwards();
  await leaks.afterwards();
  expect(told()).toEqual(['LEAKED_DOMAIN Host The guest nobody']);
  expect(hypervisor.machines.get('nobody')?.power).toBe('Running');
  expect((await leaks.list()).map(({ what }) => what).join()).not.toContain(uuid);

  expect(await leaks.clean()).toEqual([{ kind: 'domain', what: expect.stringContaining('nobody') }]);
  expect(hypervisor.machines.has('nobody')).toBe(false);
  expect(told()).toEqual([]);
  expect(await leaks.clean()).toEqual([]);
});

test('a disk of a guest that is here, on its way or at work is no leak, one that nobody has is', async () => {
  const vm = await running();
  const vdi = diskOf(vm);
  held = [holds(vdi, `vbd/${guestOf(vm)?.domid}/xvda`), holds(vdi, 'some-other-name')];
  await leaks.afterwards();
  expect(told()).toEqual([]);

  await at.call('VM.hard_shutdown', vm);
  await at.store.commit((tx) => tx.patch('VDI', vdi, { current_operations: new Map([['t', 'copy']]) }));
  await leaks.afterwards();
  expect(told()).toEqual([]);
  await at.store.commit((tx) => tx.patch('VDI', vdi, { current_operations: new Map() }));
  await leaks.afterwards();
  expect(told()).toHaveLength(2);

  held = [held[0] as HeldVolume];
  await leaks.afterwards();
  expect(told()).toHaveLength(1);
  expect(await leaks.clean()).toEqual([{ kind: 'datapath', what: expect.stringContaining('xvda') }]);
  expect([held, told()]).toEqual([[], []]);
});

test('a disk that a guest has on another host, and that is still attached here, is a leak', async () => {
  const vm = await running();
  held = [holds(diskOf(vm), 'vbd/7777/xvda')];
  await leaks.afterwards();
  expect(told()).toEqual([]);
  const elsewhere = 'OpaqueRef:elsewhere' as Ref<'host'>;
  await at.store.commit((tx) => tx.patch('VM', vm, { resident_on: elsewhere }));
  await leaks.afterwards();
  expect(told()).toEqual([`LEAKED_DATAPATH Host Disk ${held[0]?.key} of`]);
  await at.store.commit((tx) => tx.patch('VM', vm, { resident_on: at.host }));
  await at.call('VM.hard_shutdown', vm);
});

test('what storage could not end is tried again at a start, and told while that fails', async () => {
  const vm = await at.newVm();
  held = [holds(diskOf(vm), 'host/copy/1', true)];
  await leaks.afterwards();
  expect([held, told()]).toEqual([[], []]);

  held = [holds(diskOf(vm), 'vbd/1/xvda', true)];
  stuck = true;
  await leaks.afterwards();
  expect(told()).toHaveLength(1);
  expect(await leaks.clean()).toEqual([
    { kind: 'datapath', what: expect.any(String), left: 'Error: the plugin refuses' },
  ]);
  expect(told()).toHaveLength(1);
});

test('between starts only what is seen twice is told', async () => {
  const vm = await at.newVm();
  held = [holds(diskOf(vm), 'vbd/1/xvda')];
  await leaks.look();
  expect(told()).toEqual([]);
  await leaks.look();
  expect(told()).toHaveLength(1);
  held = [];
  await leaks.look();
  expect(told()).toEqual([]);
});

test('what people have dismissed is not told again, and what an earlier run told is not told twice', async () => {
  const vm = await at.newVm();
  held = [holds(diskOf(vm), 'vbd/1/xvda')];
  await leaks.afterwards();
  const again = leakWatch(at);
  await again.afterwards();
  expect(told()).toHaveLength(1);
  await at.store.commit((tx) => {
    for (const [ref] of [...tx.all('message')]) tx.delete('message', ref);
  });
  await again.afterwards();
  expect(told()).toEqual([]);
});

test('of many leaks of a kind some are told, and all are listed', async () => {
  const vm = await at.newVm();
  held = Array.from({ length: 100 }, (_, index) => holds(diskOf(vm), `vbd/${index}/xvda`));
  await leaks.afterwards();
  expect(told()).toHaveLength(16);
  expect(await leaks.list()).toHaveLength(100);
});

test('a disk that was found at a start is told until somebody uses or destroys it, and never cleaned', async () => {
  const vm = await at.newVm();
  const vdi = diskOf(vm);
  await at.store.commit((tx) => tx.patch('VDI', vdi, { other_config: new Map([[foundKey, 'true']]) }));
  await leaks.afterwards();
  expect(told()).toEqual([]);
  await at.call('VM.destroy', vm);
  await leaks.afterwards();
  expect(told()).toEqual([`LEAKED_DISK VDI Disk ${at.store.committed.require('VDI', vdi).uuid} was`]);
  expect(await leaks.clean()).toEqual([
    { kind: 'disk', what: expect.stringContaining(foundKey), left: expect.stringContaining('owner') },
  ]);
  expect(at.store.committed.get('VDI', vdi)).toBeDefined();
  await at.call('VDI.destroy', vdi);
  await leaks.afterwards();
  expect(told()).toEqual([]);
});

test('a disk that unfinished work left is told where it cannot be destroyed, and cleaned once it can', async () => {
  const vm = await at.newVm();
  const image = diskOf(await at.newVm());
  await at.store.commit((tx) => {
    for (const ref of tx.require('VDI', image).VBDs) tx.delete('VBD', ref);
    tx.patch('VM', vm, { leftovers: new Map([[image, at.host]]) });
  });
  await leaks.afterwards();
  expect(told()).toEqual([`LEAKED_DISK VDI Disk ${at.store.committed.require('VDI', image).uuid} is`]);
  disks.faults.set('destroy', new Error('the array is away'));
  expect(await leaks.clean()).toMatchObject([{ kind: 'disk', left: expect.any(String) }]);
  expect(await leaks.clean()).toEqual([{ kind: 'disk', what: expect.any(String) }]);
  expect([at.store.committed.get('VDI', image), told()]).toEqual([undefined, []]);
});
