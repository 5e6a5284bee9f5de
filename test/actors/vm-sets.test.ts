// Goal: VMs that belong together are treated as one. An appliance starts and ends them in their order; a schedule takes
// snapshots of them when it is due, once, and keeps as many as it is told to; of a group that should run apart and does
// not, people hear. One VM that fails keeps no other from its turn.
// Method: the real behaviours over a daemon and disks in process; the clock is moved by the test.

import { afterEach, describe, expect, test } from 'vitest';
import appliances from '../../actors/vm_appliance/behaviour.ts';
import { apartWatcher } from '../../actors/vm_group/apart.ts';
import groups from '../../actors/vm_group/behaviour.ts';
import vmss from '../../actors/vmss/behaviour.ts';
import { scheduleRunner } from '../../actors/vmss/due.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { Fault } from '../../src/std/fault.ts';
import { type ManualClock, manualClock } from '../manual-clock.ts';
import { hostRef, type World, world } from '../world.ts';
import { poolBench } from './pool-bench.ts';
import { type Bench, bench, type FakeHypervisor, fakeDisks, fakeHypervisor } from './vm-bench.ts';

let hypervisor: FakeHypervisor;
let disks: ReturnType<typeof fakeDisks>;
let clock: ManualClock;
let made: World | undefined;
afterEach(() => made?.close());

const applianceFields = new Map([
  ['name_label', 'service'],
  ['name_description', ''],
]);

/** An appliance of so many VMs, one after the other in its sequence. */
const ofAppliance = async (
  count: number,
): Promise<readonly [Bench, Ref<'VM_appliance'>, readonly Ref<'VM'>[]]> => {
  hypervisor = fakeHypervisor();
  clock = manualClock();
  const at = await bench(hypervisor, { disks: fakeDisks(), clock, more: [appliances], waitMs: 600_000 });
  const appliance = await at.call('VM_appliance.create', applianceFields);
  const vms: Ref<'VM'>[] = [];
  for (let order = 0; order < count; order += 1) {
    const vm = await at.newVm();
    await at.call('VM.set_order', vm, BigInt(order));
    await at.call('VM.set_appliance', vm, appliance);
    vms.push(vm);
  }
  made = at;
  return [at, appliance, vms];
};

const allowed = ({ store }: Bench, appliance: Ref<'VM_appliance'>): readonly string[] =>
  store.committed.require('VM_appliance', appliance).allowed_operations;

describe('An appliance', () => {
  test('allows what some of its VMs can do, and follows as they change', async () => {
    const [at, appliance, [vm]] = await ofAppliance(1);
    expect(allowed(at, appliance)).toEqual(['start']);
    await at.call('VM_appliance.start', appliance, true);
    expect([at.state(vm as Ref<'VM'>), allowed(at, appliance)]).toEqual([
      'Paused',
      ['hard_shutdown', 'shutdown'],
    ]);
    await at.call('VM.unpause', vm);
    expect(allowed(at, appliance)).toEqual(['clean_shutdown', 'hard_shutdown', 'shutdown']);
    await at.call('VM.set_appliance', vm, nullRef);
    expect(allowed(at, appliance)).toEqual([]);
    await expect(at.call('VM_appliance.start', appliance, false)).rejects.toMatchObject({
      code: 'OPERATION_NOT_ALLOWED',
      params: ['Appliance has no VMs.'],
    });
  });

  test('pauses after each start and before each shutdown as long as the VM asks for', async () => {
    const [at, appliance, vms] = await ofAppliance(2);
    const [first, second] = vms as [Ref<'VM'>, Ref<'VM'>];
    await at.call('VM.set_start_delay', first, 30n);
    await at.call('VM.set_shutdown_delay', second, 20n);
    const start = at.call('VM_appliance.start', appliance, false);
    await at.until(() => at.state(first) === 'Running');
    await clock.waiting(1);
    expect(at.state(second)).toBe('Halted');
    await clock.advance(30_000);
    await start;
    expect(at.state(second)).toBe('Running');
    const shutdown = at.call('VM_appliance.hard_shutdown', appliance);
    await clock.waiting(1);
    expect(vms.map(at.state)).toEqual(['Running', 'Running']);
    await clock.advance(20_000);
    await shutdown;
    expect(vms.map(at.state)).toEqual(['Halted', 'Halted']);
  });

  test('goes on after one that fails, and says which', async () => {
    const [at, appliance, vms] = await ofAppliance(3);
    await at.call('VM.add_to_blocked_operations', vms[1], 'start', 'not this one');
    await expect(at.call('VM_appliance.start', appliance, false)).rejects.toMatchObject({
      code: 'OPERATION_PARTIALLY_FAILED',
      params: ['VM_appliance.start', vms[1]],
    });
    expect(vms.map(at.state)).toEqual(['Running', 'Halted', 'Running']);
    expect(at.store.committed.require('VM_appliance', appliance).current_operations.size).toBe(0);
  });

  test('that is cancelled takes back the start that runs and begins no other', async () => {
    const [at, appliance, vms] = await ofAppliance(3);
    let task: Ref<'task'> | undefined;
    let starts = 0;
    hypervisor.gate = (name) => {
      if (name !== 'start') return;
      starts += 1;
      if (starts === 2) at.services.cancel(task as Ref<'task'>);
    };
    task = await at.callAsync('VM_appliance.start', appliance, false);
    expect((await at.finished(task)).status).toBe('cancelled');
    expect(vms.map(at.state)).toEqual(['Running', 'Halted', 'Halted']);
    expect(allowed(at, appliance)).toContain('start');
  });

  test('has its VMs on whichever hosts, and ends what runs there when it is cancelled', async () => {
    const pool = await poolBench({ behaviours: [appliances], hosts: 2 });
    made = pool;
    const appliance = await pool.call('VM_appliance.create', applianceFields);
    const [here, there] = pool.hosts.map(({ host }) => host) as [Ref<'host'>, Ref<'host'>];
    const vms: Ref<'VM'>[] = [];
    for (const affinity of [here, there, there]) {
      const vm = await pool.newVm({ affinity });
      await pool.call('VM.set_order', vm, BigInt(vms.length));
      await pool.call('VM.set_appliance', vm, appliance);
      vms.push(vm);
    }
    const states = () => vms.map((vm) => pool.row(vm).power_state);
    let task: Ref<'task'> | undefined;
    let starts = 0;
    (pool.hypervisors[1] as FakeHypervisor).gate = (name) => {
      if (name !== 'start') return;
      starts += 1;
      if (starts === 2) pool.services.cancel(task as Ref<'task'>);
    };
    // Whichever host is asked.
    task = await pool.callAsync('VM_appliance.start', appliance, false);
    expect((await pool.finished(task)).status).toBe('cancelled');
    await pool.until(() => vms.every((vm) => pool.row(vm).current_operations.size === 0));
    expect([states(), pool.runsOn(vms[2] as Ref<'VM'>)]).toEqual([['Running', 'Running', 'Halted'], []]);
    await pool.hosts[1]?.call('VM_appliance.start', appliance, false);
    expect(states()).toEqual(['Running', 'Running', 'Running']);
    await pool.hosts[1]?.call('VM_appliance.hard_shutdown', appliance);
    expect(states()).toEqual(['Halted', 'Halted', 'Halted']);
  });

  test('does one thing at a time, and is not destroyed meanwhile; its VMs stay when it is', async () => {
    const [at, appliance, [vm]] = await ofAppliance(1);
    await at.call('VM.set_start_delay', vm, 30n);
    const start = at.call('VM_appliance.start', appliance, false);
    await at.until(() => at.state(vm as Ref<'VM'>) === 'Running');
    await expect(at.call('VM_appliance.destroy', appliance)).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
    });
    const shutdown = at.call('VM_appliance.hard_shutdown', appliance);
    await clock.waiting(2);
    expect(at.state(vm as Ref<'VM'>)).toBe('Running');
    await clock.advance(30_000);
    await start;
    await shutdown;
    expect(at.state(vm as Ref<'VM'>)).toBe('Halted');
    await at.call('VM_appliance.destroy', appliance);
    expect(at.store.committed.require('VM', vm as Ref<'VM'>).appliance).toBe(nullRef);
  });
});

const policyFields = (more: Record<string, unknown>) =>
  new Map<string, unknown>(
    Object.entries({
      ...{ name_label: 'nightly', name_description: '', enabled: true, type: 'snapshot' },
      ...{ retained_snapshots: 2n, frequency: 'hourly', schedule: new Map([['min', '30']]) },
      ...more,
    }),
  );

/** At ten past ten, with a schedule and so many VMs. */
const ofSchedule = async (
  count: number,
  more: Record<string, unknown> = {},
): Promise<readonly [Bench, Ref<'VMSS'>, readonly Ref<'VM'>[]]> => {
  disks = fakeDisks();
  clock = manualClock(new Date(2026, 2, 10, 10, 10).getTime());
  const at = await bench(fakeHypervisor(), { disks, clock, more: [vmss] });
  const policy = await at.call('VMSS.create', policyFields(more));
  const vms: Ref<'VM'>[] = [];
  for (let i = 0; i < count; i += 1) {
    const vm = await at.newVm({ name_label: `vm${i}` });
    await at.call('VM.set_snapshot_schedule', vm, policy);
    vms.push(vm);
  }
  made = at;
  return [at, policy, vms];
};

const snapshotsOf = ({ store }: Bench, vm: Ref<'VM'>): readonly Ref<'VM'>[] =>
  store.committed.require('VM', vm).snapshots;
const told = ({ store }: Bench): readonly string[] =>
  [...store.committed.all('message')].map(([, { name }]) => name).filter((name) => name.startsWith('VMSS'));
const minutes = (count: number): Promise<void> => clock.advance(count * 60_000);

describe('VMSS.snapshot_now', () => {
  test('takes a snapshot of each VM and destroys the oldest of its own with their disks', async () => {
    const [at, policy, [vm]] = await ofSchedule(1);
    const byHand = await at.call('VM.snapshot', vm, 'by hand');
    for (let run = 0; run < 3; run += 1) {
      await at.call('VMSS.snapshot_now', policy);
      await minutes(60);
    }
    const kept = snapshotsOf(at, vm as Ref<'VM'>);
    const own = kept.filter((ref) => at.store.committed.require('VM', ref).is_vmss_snapshot);
    expect([kept.length, own.length, kept.includes(byHand)]).toEqual([3, 2, true]);
    // A disk of the VM, and one of each snapshot.
    expect([...at.store.committed.all('VDI')].length).toBe(4);
    expect(told(at)).toEqual(Array.from({ length: 3 }, () => 'VMSS_SNAPSHOT_SUCCEEDED'));
  });

  test('keeps the memory of guests that run where it is told to', async () => {
    const [at, policy, vms] = await ofSchedule(2, { type: 'checkpoint' });
    await at.call('VM.start', vms[0], false, false);
    await at.call('VMSS.snapshot_now', policy);
    expect(vms.flatMap((vm) => snapshotsOf(at, vm)).map(at.state)).toEqual(['Suspended', 'Halted']);
  });

  test('goes on after a VM that fails, and tells of it', async () => {
    const [at, policy, vms] = await ofSchedule(2);
    disks.faults.set('snapshot', new Fault('SR_FULL', ['1', '2']));
    await expect(at.call('VMSS.snapshot_now', policy)).rejects.toMatchObject({
      code: 'OPERATION_PARTIALLY_FAILED',
      params: ['VMSS.snapshot_now', vms[0]],
    });
    expect(vms.map((vm) => snapshotsOf(at, vm).length)).toEqual([0, 1]);
    const [[, message] = []] = [...at.store.committed.all('message')].filter(([, { cls }]) => cls === 'VMSS');
    expect([message?.name, message?.body]).toEqual([
      'VMSS_SNAPSHOT_FAILED',
      `VM: vm0 UUID: ${at.uuid(vms[0] as Ref<'VM'>)} Error: ['SR_FULL', '1', '2'],`,
    ]);
  });

  test('keeps a snapshot whose disk cannot be destroyed, and tries again the next time', async () => {
    const [at, policy, [vm]] = await ofSchedule(1, { retained_snapshots: 1n });
    await at.call('VMSS.snapshot_now', policy);
    await minutes(60);
    disks.faults.set('destroy', new Fault('SR_BACKEND_FAILURE', ['broken', '', '']));
    await at.call('VMSS.snapshot_now', policy).catch(() => {});
    expect(snapshotsOf(at, vm as Ref<'VM'>).length).toBe(2);
    await minutes(60);
    await at.call('VMSS.snapshot_now', policy);
    expect(snapshotsOf(at, vm as Ref<'VM'>).length).toBe(1);
  });
});

describe('A schedule', () => {
  test('runs once when it is due, and not before or when it is disabled', async () => {
    const [at, policy, [vm]] = await ofSchedule(1);
    const begun: Promise<unknown>[] = [];
    const call = (async (...args: Parameters<typeof at.invoker.call>) => {
      const done = at.invoker.call(...args);
      begun.push(done);
      return done;
    }) as unknown as typeof at.invoker.call;
    const pass = scheduleRunner({ ...at, invoker: { call } });
    const runs = async (): Promise<number> => {
      await pass(true);
      await Promise.all(begun);
      return snapshotsOf(at, vm as Ref<'VM'>).length;
    };
    await minutes(19);
    expect(await runs()).toBe(0);
    await minutes(1);
    expect(await runs()).toBe(1);
    expect(await runs()).toBe(1);
    await minutes(1);
    expect(await runs()).toBe(1);
    await at.call('VMSS.set_enabled', policy, false);
    await minutes(60);
    expect(await runs()).toBe(1);
    await at.call('VMSS.set_enabled', policy, true);
    await minutes(60);
    expect(await runs()).toBe(2);
  });

  test('that the leader before has run is not run by the next one again', async () => {
    const [at, , [vm]] = await ofSchedule(1);
    const [first, second] = [scheduleRunner(at), scheduleRunner(at)];
    await minutes(21);
    await first(true);
    await at.until(() => told(at).length > 0);
    await second(true);
    expect(snapshotsOf(at, vm as Ref<'VM'>).length).toBe(1);
    // Who only followed meanwhile does not make up for what fell due then.
    const late = scheduleRunner(at);
    await minutes(120);
    await late(false);
    await late(true);
    expect(snapshotsOf(at, vm as Ref<'VM'>).length).toBe(1);
  });

  test('says that it missed its time while its last run has not ended', async () => {
    const [at] = await ofSchedule(1);
    let goOn = (): void => {};
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const { call } = at.invoker;
    const later = (async (...args: Parameters<typeof call>) => {
      await held;
      return call(...args);
    }) as unknown as typeof call;
    const slow = scheduleRunner({ ...at, invoker: { call: later } });
    await minutes(21);
    await slow(true);
    await minutes(60);
    await slow(true);
    expect(told(at)).toEqual(['VMSS_SNAPSHOT_MISSED_EVENT']);
    goOn();
    await at.until(() => told(at).includes('VMSS_SNAPSHOT_SUCCEEDED'));
  });
});

test('a VM is put under a schedule that there is, and a schedule with VMs stays', async () => {
  const [at, policy, [vm]] = await ofSchedule(1);
  await expect(at.call('VMSS.destroy', policy)).rejects.toMatchObject({ code: 'VMSS_HAS_VM' });
  await expect(at.call('VM.set_snapshot_schedule', vm, 'OpaqueRef:no')).rejects.toMatchObject({
    code: 'HANDLE_INVALID',
  });
  await at.call('VM.set_snapshot_schedule', vm, 'OpaqueRef:NULL');
  await at.call('VMSS.destroy', policy);
  await expect(at.call('VMSS.create', policyFields({ type: 'snapshot_with_quiesce' }))).rejects.toMatchObject(
    {
      code: 'INVALID_VALUE',
    },
  );
});

const vmRef = (i: number): Ref<'VM'> => `OpaqueRef:vm${i}` as Ref<'VM'>;

/** Three VMs of one group, none of which runs. */
const ofGroup = async () => {
  const at = await world({ behaviours: [groups], hosts: 2 });
  made = at;
  const group: Ref<'VM_group'> = await at.call(
    'VM_group.create',
    new Map([
      ['name_label', 'apart'],
      ['name_description', ''],
      ['placement', 'anti_affinity'],
    ]),
  );
  await at.store.commit((tx) => {
    for (const i of [0, 1, 2]) tx.create('VM', vmRef(i), { uuid: `vm${i}`, groups: [group] });
  });
  const uuidOf = (host: Ref<'host'>): string => at.store.committed.require('host', host).uuid;
  return {
    at,
    group,
    put: (i: number, host: number | undefined) =>
      at.store.commit((tx) =>
        tx.patch('VM', vmRef(i), {
          power_state: host === undefined ? 'Halted' : 'Running',
          resident_on: host === undefined ? (nullRef as Ref<'host'>) : hostRef(host),
        }),
      ),
    told: () => [...at.store.committed.all('message')].map(([, { name, cls, body }]) => [name, cls, body]),
    breach: (host: number) => [
      'ALL_RUNNING_VMS_IN_ANTI_AFFINITY_GRP_ON_SINGLE_HOST',
      'Pool',
      '<body><message>Breach on VM anti-affinity rules</message>' +
        `<VM_group>${at.store.committed.require('VM_group', group).uuid}</VM_group>` +
        `<host>${uuidOf(hostRef(host))}</host></body>`,
    ],
  };
};

test('a group that runs on one host is told of once, until it does not', async () => {
  const { at, put, told, breach } = await ofGroup();
  const pass = apartWatcher(at);
  await put(0, 0);
  await pass(true);
  expect(told()).toEqual([]);
  await put(1, 0);
  await pass(true);
  await pass(true);
  expect(told()).toEqual([breach(0)]);
  await put(2, 1);
  await pass(true);
  expect(told()).toEqual([]);
  for (const i of [0, 1]) await put(i, 1);
  await pass(true);
  expect(told()).toEqual([breach(1)]);
  for (const i of [0, 1, 2]) await put(i, 0);
  await pass(true);
  expect(told()).toEqual([breach(0)]);
});

test('what somebody has dismissed does not come again, and who takes over tells nothing twice', async () => {
  const { at, put, told, breach } = await ofGroup();
  const [first, second] = [apartWatcher(at), apartWatcher(at)];
  for (const i of [0, 1]) await put(i, 0);
  await first(true);
  await second(true);
  expect(told()).toEqual([breach(0)]);
  await at.store.commit((tx) => {
    for (const [ref] of [...tx.all('message')]) tx.delete('message', ref);
  });
  await first(true);
  expect(told()).toEqual([]);
});

test('a group that is gone, or is to do nothing, is not told of, and its VMs are in none', async () => {
  const { at, group, put, told } = await ofGroup();
  const pass = apartWatcher(at);
  for (const i of [0, 1]) await put(i, 0);
  await pass(true);
  expect(told().length).toBe(1);
  await at.call('VM_group.destroy', group);
  await pass(true);
  expect(told()).toEqual([]);
  expect(at.store.committed.require('VM', vmRef(0)).groups).toEqual([]);
});
