// Goal: a checkpoint is a snapshot with the guest's memory, from which the VM goes on; the guest is woken whatever
// becomes of it, and whoever wants the guest gone does not wait for it.
// Method: the real behaviours over a daemon and disks in process that tell of each step, and stop in one where a
// test says so.

import { afterEach, describe, expect, test } from 'vitest';
import { wakeNappers } from '../../actors/vm/napping.ts';
import { vmReports } from '../../actors/vm/reports.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { type Bench, bench, type FakeHypervisor, fakeDisks, fakeHypervisor } from './vm-bench.ts';

let hypervisor: FakeHypervisor;
let steps: string[];
let made: Bench | undefined;
afterEach(() => made?.close());

const setUp = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
  const disks = fakeDisks();
  hypervisor = fakeHypervisor();
  made = await bench(hypervisor, { disks });
  const vm = await made.newVm();
  await made.call('VM.start', vm, false, false);
  steps = [];
  const gate = (name: string): void => void steps.push(name);
  Object.assign(disks, { gate });
  Object.assign(hypervisor, { gate });
  return [made, vm];
};

const row = ({ store }: Bench, vm: Ref<'VM'>) => store.committed.require('VM', vm);

/** Stops the daemon in its next step of that name; answers when it is there, and how to let it go on. */
const heldAt = (name: string): { readonly there: Promise<void>; readonly goOn: () => void } => {
  let goOn = (): void => {};
  const gone = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const there = new Promise<void>((resolve) => {
    hypervisor.hooks.set(name, () => {
      hypervisor.hooks.delete(name);
      resolve();
      return gone;
    });
  });
  return { there, goOn };
};

describe('VM.checkpoint', () => {
  test('takes the disks while the guest sleeps, and keeps the memory that it slept in', async () => {
    const [at, vm] = await setUp();
    const checkpoint = await at.call('VM.checkpoint', vm, 'taken');
    const order = ['VDI.create', 'suspend', 'VDI.snapshot', 'resume', 'unpause'];
    expect(steps.filter((one) => order.includes(one))).toEqual(order);
    const taken = row(at, checkpoint);
    expect([taken.power_state, taken.is_a_snapshot, taken.snapshot_of, taken.last_booted_record]).toEqual([
      'Suspended',
      true,
      vm,
      `domains of ${at.uuid(vm)}`,
    ]);
    expect(taken.snapshot_info.get('power-state-at-snapshot')).toBe('Running');
    expect(at.store.committed.require('VDI', taken.suspend_VDI).type).toBe('suspend');
    const { power_state, resident_on, suspend_VDI, parent, leftovers, allowed_operations } = row(at, vm);
    expect([power_state, resident_on, suspend_VDI, parent, leftovers.size]).toEqual([
      ...['Running', at.host, nullRef, checkpoint],
      0,
    ]);
    expect(allowed_operations).toContain('checkpoint');
  });

  test('leaves a guest that stands still standing, and one that sleeps asleep', async () => {
    const [at, vm] = await setUp();
    await at.call('VM.pause', vm);
    const still = await at.call('VM.checkpoint', vm, 'still');
    expect([at.state(vm), at.state(still)]).toEqual(['Paused', 'Suspended']);
    await at.call('VM.unpause', vm);
    await at.call('VM.suspend', vm);
    const image = row(at, vm).suspend_VDI;
    const asleep = await at.call('VM.checkpoint', vm, 'asleep');
    expect([at.state(vm), row(at, vm).suspend_VDI, at.state(asleep)]).toEqual([
      'Suspended',
      image,
      'Suspended',
    ]);
    expect(row(at, asleep).suspend_VDI).not.toBe(image);
    await at.call('VM.resume', vm, false, false);
    expect(at.store.committed.get('VDI', row(at, asleep).suspend_VDI)).toBeDefined();
  });

  test('is what the VM is turned back to, asleep, as often as one likes', async () => {
    const [at, vm] = await setUp();
    const checkpoint = await at.call('VM.checkpoint', vm, 'taken');
    for (const _ of ['once', 'again']) {
      await at.call('VM.revert', checkpoint);
      expect(at.state(vm)).toBe('Suspended');
      expect(row(at, vm).suspend_VDI).not.toBe(row(at, checkpoint).suspend_VDI);
      await at.call('VM.resume', vm, false, false);
      expect(at.state(vm)).toBe('Running');
    }
    await at.call('VM.destroy', checkpoint);
    expect([...at.store.committed.all('VDI')].filter(([, { type }]) => type === 'suspend')).toEqual([]);
  });

  test('is refused, and the guest left alone, where the storage has no snapshots', async () => {
    const [at, vm] = await setUp();
    await at.store.commit((tx) => tx.patch('SM', 'OpaqueRef:sm' as Ref<'SM'>, { features: new Map() }));
    await expect(at.call('VM.checkpoint', vm, 'taken')).rejects.toMatchObject({
      code: 'SR_OPERATION_NOT_SUPPORTED',
      params: [vm],
    });
    expect(steps).toEqual([]);
  });

  test('lets a second one wait until the guest is awake again', async () => {
    const [at, vm] = await setUp();
    const held = heldAt('resume');
    const first = at.call('VM.checkpoint', vm, 'first');
    await held.there;
    const second = at.call('VM.checkpoint', vm, 'second');
    held.goOn();
    expect([at.state(await first), at.state(await second)]).toEqual(['Suspended', 'Suspended']);
    expect([at.state(vm), row(at, vm).snapshots.length]).toEqual(['Running', 2]);
  });

  for (const step of ['suspend', 'resume', 'unpause']) {
    test(`is cut by a hard shutdown in its step "${step}", and nothing is left of it`, async () => {
      const [at, vm] = await setUp();
      const disks = [...at.store.committed.all('VDI')].length;
      const held = heldAt(step);
      const checkpoint = at.call('VM.checkpoint', vm, 'taken').catch((error: unknown) => error);
      await held.there;
      const shutdown = at.call('VM.hard_shutdown', vm);
      held.goOn();
      await shutdown;
      await checkpoint;
      expect([at.state(vm), row(at, vm).suspend_VDI, row(at, vm).resident_on]).toEqual([
        ...['Halted', nullRef, nullRef],
      ]);
      const { snapshots } = row(at, vm);
      // Once the guest was on its way back there was nothing to cut any more.
      const kept = snapshots.length === 0 ? disks : disks + 2;
      expect([...at.store.committed.all('VDI')].length).toBe(kept);
      expect(hypervisor.machines.size).toBe(0);
    });
  }

  test('keeps the place of the guest on its host while it sleeps', async () => {
    const [at, vm] = await setUp();
    const held = heldAt('resume');
    const checkpoint = at.call('VM.checkpoint', vm, 'taken');
    await held.there;
    expect([at.state(vm), row(at, vm).resident_on]).toEqual(['Suspended', at.host]);
    held.goOn();
    await checkpoint;
    expect([...at.store.committed.all('xenact_step')]).toEqual([]);
  });

  for (const [power, paused] of [
    ['Running', false],
    ['Paused', true],
  ] as const) {
    test(`leaves a guest that a host finds as it starts anew, and wakes as it was: ${power}`, async () => {
      const [at, vm] = await setUp();
      if (paused) await at.call('VM.pause', vm);
      const held = heldAt('resume');
      const checkpoint = at.call('VM.checkpoint', vm, 'taken');
      await held.there;
      const { invoker, store, services } = at;
      // What a host has after its end: nothing is under way, and the daemon knows nothing of the guest.
      const noted = [...store.committed.all('xenact_step')];
      held.goOn();
      await checkpoint;
      hypervisor.machines.clear();
      const image = row(at, row(at, vm).snapshots[0] as Ref<'VM'>).suspend_VDI;
      await store.commit((tx) => {
        for (const [ref, step] of noted) tx.create('xenact_step', ref, step);
        tx.patch('VM', vm, {
          ...{ power_state: 'Suspended', resident_on: at.host, suspend_VDI: image, domid: -1n },
          last_booted_record: 'of the guest',
        });
      });
      await vmReports({ invoker, store, services, log: silentLog }).reconcile();
      await at.until(() => row(at, vm).resident_on === nullRef);
      expect([at.state(vm), row(at, vm).suspend_VDI]).toEqual(['Suspended', image]);
      await wakeNappers(at);
      expect([at.state(vm), row(at, vm).resident_on]).toEqual([power, at.host]);
      expect([...store.committed.all('xenact_step')]).toEqual([]);
    });
  }
});
