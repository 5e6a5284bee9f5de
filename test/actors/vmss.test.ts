// Goal: a schedule takes snapshots of its VMs when it is due, once, keeps as many as it is told to and tells how it
// went; one VM that fails keeps no other from its turn.
// Method: the real behaviours over a daemon and disks in process; the clock is moved by the test.

import { afterEach, describe, expect, test } from 'vitest';
import vmss from '../../actors/vmss/behaviour.ts';
import { scheduleRunner } from '../../actors/vmss/due.ts';
import type { Ref } from '../../src/model/types.ts';
import { Fault } from '../../src/std/fault.ts';
import { type ManualClock, manualClock } from '../manual-clock.ts';
import { type Bench, bench, fakeDisks, fakeHypervisor } from './vm-bench.ts';

let disks: ReturnType<typeof fakeDisks>;
let clock: ManualClock;
let made: Bench | undefined;
afterEach(() => made?.close());

const policyFields = (more: Record<string, unknown>) =>
  new Map<string, unknown>(
    Object.entries({
      ...{ name_label: 'nightly', name_description: '', enabled: true, type: 'snapshot' },
      ...{ retained_snapshots: 2n, frequency: 'hourly', schedule: new Map([['min', '30']]) },
      ...more,
    }),
  );

/** At ten past ten, with a schedule and so many VMs. */
const setUp = async (
  count: number,
  more: Record<string, unknown> = {},
): Promise<readonly [Bench, Ref<'VMSS'>, readonly Ref<'VM'>[]]> => {
  disks = fakeDisks();
  clock = manualClock(new Date(2026, 2, 10, 10, 10).getTime());
  made = await bench(fakeHypervisor(), { disks, clock, more: [vmss] });
  const policy = await made.call('VMSS.create', policyFields(more));
  const vms: Ref<'VM'>[] = [];
  for (let i = 0; i < count; i += 1) {
    const vm = await made.newVm({ name_label: `vm${i}` });
    await made.call('VM.set_snapshot_schedule', vm, policy);
    vms.push(vm);
  }
  return [made, policy, vms];
};

const snapshotsOf = ({ store }: Bench, vm: Ref<'VM'>): readonly Ref<'VM'>[] =>
  store.committed.require('VM', vm).snapshots;
const told = ({ store }: Bench): readonly string[] =>
  [...store.committed.all('message')].map(([, { name }]) => name).filter((name) => name.startsWith('VMSS'));
const minutes = (count: number): Promise<void> => clock.advance(count * 60_000);

describe('VMSS.snapshot_now', () => {
  test('takes a snapshot of each VM and destroys the oldest of its own with their disks', async () => {
    const [at, policy, [vm]] = await setUp(1);
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
    const [at, policy, vms] = await setUp(2, { type: 'checkpoint' });
    await at.call('VM.start', vms[0], false, false);
    await at.call('VMSS.snapshot_now', policy);
    expect(vms.flatMap((vm) => snapshotsOf(at, vm)).map(at.state)).toEqual(['Suspended', 'Halted']);
  });

  test('goes on after a VM that fails, and tells of it', async () => {
    const [at, policy, vms] = await setUp(2);
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
    const [at, policy, [vm]] = await setUp(1, { retained_snapshots: 1n });
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
    const [at, policy, [vm]] = await setUp(1);
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
    const [at, , [vm]] = await setUp(1);
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
    const [at] = await setUp(1);
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
  const [at, policy, [vm]] = await setUp(1);
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
