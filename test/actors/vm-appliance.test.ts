// Goal: the VMs of an appliance start and end in their order, with the pauses that they ask for; one that fails keeps
// no other from its turn, and whoever cancels ends what is under way and begins nothing more.
// Method: the real behaviours over a daemon in process and a clock that a test moves.

import { afterEach, describe, expect, test } from 'vitest';
import appliances from '../../actors/vm_appliance/behaviour.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { type ManualClock, manualClock } from '../manual-clock.ts';
import { type Bench, bench, type FakeHypervisor, fakeDisks, fakeHypervisor } from './vm-bench.ts';

let hypervisor: FakeHypervisor;
let clock: ManualClock;
let made: Bench | undefined;
afterEach(() => made?.close());

/** An appliance of so many VMs, one after the other in its sequence. */
const setUp = async (count: number): Promise<readonly [Bench, Ref<'VM_appliance'>, readonly Ref<'VM'>[]]> => {
  hypervisor = fakeHypervisor();
  clock = manualClock();
  made = await bench(hypervisor, { disks: fakeDisks(), clock, more: [appliances], waitMs: 600_000 });
  const appliance = await made.call(
    'VM_appliance.create',
    new Map([
      ['name_label', 'service'],
      ['name_description', ''],
    ]),
  );
  const vms: Ref<'VM'>[] = [];
  for (let order = 0; order < count; order += 1) {
    const vm = await made.newVm();
    await made.call('VM.set_order', vm, BigInt(order));
    await made.call('VM.set_appliance', vm, appliance);
    vms.push(vm);
  }
  return [made, appliance, vms];
};

const allowed = ({ store }: Bench, appliance: Ref<'VM_appliance'>): readonly string[] =>
  store.committed.require('VM_appliance', appliance).allowed_operations;

describe('An appliance', () => {
  test('allows what some of its VMs can do, and follows as they change', async () => {
    const [at, appliance, [vm]] = await setUp(1);
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
    const [at, appliance, vms] = await setUp(2);
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
    const [at, appliance, vms] = await setUp(3);
    await at.call('VM.add_to_blocked_operations', vms[1], 'start', 'not this one');
    await expect(at.call('VM_appliance.start', appliance, false)).rejects.toMatchObject({
      code: 'OPERATION_PARTIALLY_FAILED',
      params: ['VM_appliance.start', vms[1]],
    });
    expect(vms.map(at.state)).toEqual(['Running', 'Halted', 'Running']);
    expect(at.store.committed.require('VM_appliance', appliance).current_operations.size).toBe(0);
  });

  test('that is cancelled takes back the start that runs and begins no other', async () => {
    const [at, appliance, vms] = await setUp(3);
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

  test('does one thing at a time, and is not destroyed meanwhile; its VMs stay when it is', async () => {
    const [at, appliance, [vm]] = await setUp(1);
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
