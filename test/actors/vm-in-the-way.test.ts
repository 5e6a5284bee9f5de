// Goal: work on a VM that gets in the way of other work leaves a VM that is in one state and can be started again, and
// whoever wants it gone, or gives up waiting, does not wait for a guest. A checkpoint, for which a guest sleeps a moment,
// wakes it whatever becomes of the rest.
// Method: hosts in process whose daemons stop in a chosen step until the test lets them go on.

import { afterEach, describe, expect, test } from 'vitest';
import { targetWaitsMax } from '../../actors/vm/memory.ts';
import { wakeNappers } from '../../actors/vm/napping.ts';
import { vmReports } from '../../actors/vm/reports.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { manualClock } from '../manual-clock.ts';
import { gib, type PoolBench, poolBench } from './pool-bench.ts';
import { type Bench, bench, type FakeHypervisor, fakeDisks, fakeHypervisor, vbdFields } from './vm-bench.ts';

let hypervisor: FakeHypervisor;
let made: Bench | undefined;
let pool: PoolBench | undefined;
afterEach(async () => {
  await made?.close();
  await pool?.close();
  made = undefined;
  pool = undefined;
});

const running = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
  hypervisor = fakeHypervisor();
  made = await bench(hypervisor, { disks: fakeDisks() });
  const vm = await made.newVm();
  await made.call('VM.start', vm, false, false);
  return [made, vm];
};

/** Stops a daemon in its next step of that name; answers when it is there, and how to let it go on. */
const heldAt = (
  name: string,
  at = hypervisor,
): { readonly there: Promise<void>; readonly goOn: () => void } => {
  let goOn = (): void => {};
  const gone = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const there = new Promise<void>((resolve) => {
    at.hooks.set(name, () => {
      at.hooks.delete(name);
      resolve();
      return gone;
    });
  });
  return { there, goOn };
};

let steps: string[] = [];

/** The same, and every step of the daemon and of the disks is noted. */
const noted = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
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

const stateOf = ({ store }: Bench | PoolBench, vm: Ref<'VM'>) => store.committed.require('VM', vm);
const isFree = (at: Bench | PoolBench, vm: Ref<'VM'>): boolean => {
  const { current_operations, scheduled_to_be_resident_on } = stateOf(at, vm);
  return current_operations.size === 0 && scheduled_to_be_resident_on === nullRef;
};

describe('A hard shutdown', () => {
  for (const [method, step] of [
    ['VM.clean_shutdown', 'shutdown'],
    ['VM.shutdown', 'shutdown'],
    ['VM.clean_reboot', 'reboot'],
    ['VM.suspend', 'suspend'],
  ] as const) {
    test(`is done before ${method} that a guest does not answer, and ends it`, async () => {
      const [at, vm] = await running();
      const held = heldAt(step);
      const task = await at.callAsync(method, vm);
      await held.there;
      await at.call('VM.hard_shutdown', vm);
      expect(at.state(vm)).toBe('Halted');
      held.goOn();
      expect((await at.finished(task)).status).toBe('cancelled');
      expect([at.state(vm), isFree(at, vm)]).toEqual(['Halted', true]);
      await at.call('VM.start', vm, false, false);
      expect(at.state(vm)).toBe('Running');
    });
  }

  test('does not queue behind what waits for the guest', async () => {
    const [at, vm] = await running();
    const held = heldAt('shutdown');
    const shutdown = await at.callAsync('VM.clean_shutdown', vm);
    await held.there;
    const waiting = await at.callAsync('VM.pause', vm);
    await at.call('VM.hard_shutdown', vm);
    held.goOn();
    expect((await at.finished(shutdown)).status).toBe('cancelled');
    expect((await at.finished(waiting)).error_info[0]).toBe('VM_BAD_POWER_STATE');
  });

  for (const step of ['migrate', 'migrated']) {
    test(`in the middle of a migration, at "${step}", leaves a VM that starts again`, async () => {
      const at = await poolBench({ memoryBytes: 8n * gib });
      pool = at;
      const [one, two] = at.hosts as unknown as [PoolBench['hosts'][0], PoolBench['hosts'][0]];
      const vm = await at.newVm();
      await at.call('VM.start_on', vm, one.host, false, false);
      const held = heldAt(step, at.hypervisors[0]);
      const move = await at.callAsync('VM.pool_migrate', vm, two.host, new Map([['live', 'true']]));
      await held.there;
      const shutdown = at.call('VM.hard_shutdown', vm);
      held.goOn();
      await shutdown;
      await at.finished(move);
      await at.until(() => isFree(at, vm) && stateOf(at, vm).power_state === 'Halted');
      expect(at.runsOn(vm)).toEqual([]);
      await at.call('VM.start_on', vm, two.host, false, false);
      expect([stateOf(at, vm).resident_on, at.runsOn(vm)]).toEqual([two.host, [two.host]]);
    });
  }
});

describe('A CD that is ejected', () => {
  for (const [method, step] of [
    ['VM.clean_shutdown', 'shutdown'],
    ['VM.hard_shutdown', 'hard'],
    ['VM.suspend', 'suspend'],
  ] as const) {
    test(`in the middle of ${method} is out, or in, and the VM is where it was to be`, async () => {
      const [at, vm] = await running();
      const iso = await at.call(
        'VDI.create',
        new Map<string, unknown>(
          Object.entries({
            ...{ SR: at.sr, virtual_size: gib, type: 'user', sharable: false, read_only: true },
            other_config: new Map(),
          }),
        ),
      );
      const drive = await at.call(
        'VBD.create',
        vbdFields({ VM: vm, VDI: iso, type: 'CD', mode: 'RO', userdevice: '5' }),
      );
      const held = heldAt(step);
      const shutdown = at.call(method, vm);
      await held.there;
      const eject = at.call('VBD.eject', drive).catch((error: { readonly code: string }) => error.code);
      held.goOn();
      await shutdown;
      await eject;
      const { power_state, current_operations } = stateOf(at, vm);
      const goal = method === 'VM.suspend' ? 'Suspended' : 'Halted';
      expect([power_state, current_operations.size]).toEqual([goal, 0]);
      const { empty, VDI, current_operations: busy } = at.store.committed.require('VBD', drive);
      expect([empty, busy.size]).toEqual([VDI === nullRef, 0]);
      await (goal === 'Halted'
        ? at.call('VM.start', vm, false, false)
        : at.call('VM.resume', vm, false, false));
      expect(at.state(vm)).toBe('Running');
    });
  }
});

describe('A wait for memory', () => {
  /** A guest that has half of what it is to have, until the test says that it has all. */
  const short = async () => {
    const clock = manualClock();
    hypervisor = fakeHypervisor();
    const at = await bench(hypervisor, { disks: fakeDisks(), clock });
    made = at;
    const vm = await at.newVm();
    await at.call('VM.start', vm, false, false);
    const { stat } = hypervisor;
    hypervisor.stat = async (id) => {
      const state = await stat(id);
      return state && { ...state, memory_actual: state.memory_target / 2n };
    };
    return { at, vm, clock, given: () => Object.assign(hypervisor, { stat }) };
  };

  test('ends as the guest has come near its target, and keeps nobody from anything', async () => {
    const { at, vm, clock, given } = await short();
    const wait = at.call('VM.wait_memory_target_live', vm);
    await clock.waiting(1);
    await at.call('VM.pause', vm);
    await at.call('VM.unpause', vm);
    given();
    await clock.advance(1_000);
    await wait;
  });

  test('ends with a fault after some minutes, as it is cancelled, and of a VM that does not run at once', async () => {
    const { at, vm, clock } = await short();
    const late = at
      .call('VM.wait_memory_target_live', vm)
      .catch((error: { readonly code: string }) => error.code);
    await clock.waiting(1);
    await clock.advance(targetWaitsMax * 1_000);
    expect(await late).toBe('VM_MEMORY_TARGET_WAIT_TIMEOUT');
    const task = await at.callAsync('VM.wait_memory_target_live', vm);
    await clock.waiting(1);
    at.services.cancel(task);
    expect((await at.finished(task)).status).toBe('cancelled');
    await at.call('VM.hard_shutdown', vm);
    await expect(at.call('VM.wait_memory_target_live', vm)).rejects.toMatchObject({
      code: 'VM_BAD_POWER_STATE',
    });
  });
});

describe('Work that is cancelled', () => {
  test('while it waits ends at once, and the one before it is not disturbed', async () => {
    const [at, vm] = await running();
    const held = heldAt('suspend');
    const first = await at.callAsync('VM.suspend', vm);
    await held.there;
    const second = await at.callAsync('VM.pause', vm);
    at.services.cancel(second);
    expect((await at.finished(second)).status).toBe('cancelled');
    held.goOn();
    expect((await at.finished(first)).status).toBe('success');
    expect(at.state(vm)).toBe('Suspended');
  });
});

describe('VM.checkpoint', () => {
  test('takes the disks while the guest sleeps, and keeps the memory that it slept in', async () => {
    const [at, vm] = await noted();
    const checkpoint = await at.call('VM.checkpoint', vm, 'taken');
    const order = ['VDI.create', 'suspend', 'VDI.snapshot', 'resume', 'unpause'];
    expect(steps.filter((one) => order.includes(one))).toEqual(order);
    const taken = stateOf(at, checkpoint);
    expect([taken.power_state, taken.is_a_snapshot, taken.snapshot_of, taken.last_booted_record]).toEqual([
      'Suspended',
      true,
      vm,
      `domains of ${at.uuid(vm)}`,
    ]);
    expect(taken.snapshot_info.get('power-state-at-snapshot')).toBe('Running');
    expect(at.store.committed.require('VDI', taken.suspend_VDI).type).toBe('suspend');
    const { power_state, resident_on, suspend_VDI, parent, leftovers, allowed_operations } = stateOf(at, vm);
    expect([power_state, resident_on, suspend_VDI, parent, leftovers.size]).toEqual([
      ...['Running', at.host, nullRef, checkpoint],
      0,
    ]);
    expect(allowed_operations).toContain('checkpoint');
  });

  test('leaves a guest that stands still standing, and one that sleeps asleep', async () => {
    const [at, vm] = await noted();
    await at.call('VM.pause', vm);
    const still = await at.call('VM.checkpoint', vm, 'still');
    expect([at.state(vm), at.state(still)]).toEqual(['Paused', 'Suspended']);
    await at.call('VM.unpause', vm);
    await at.call('VM.suspend', vm);
    const image = stateOf(at, vm).suspend_VDI;
    const asleep = await at.call('VM.checkpoint', vm, 'asleep');
    expect([at.state(vm), stateOf(at, vm).suspend_VDI, at.state(asleep)]).toEqual([
      'Suspended',
      image,
      'Suspended',
    ]);
    expect(stateOf(at, asleep).suspend_VDI).not.toBe(image);
    await at.call('VM.resume', vm, false, false);
    expect(at.store.committed.get('VDI', stateOf(at, asleep).suspend_VDI)).toBeDefined();
  });

  test('is what the VM is turned back to, asleep, as often as one likes', async () => {
    const [at, vm] = await noted();
    const checkpoint = await at.call('VM.checkpoint', vm, 'taken');
    for (const _ of ['once', 'again']) {
      await at.call('VM.revert', checkpoint);
      expect(at.state(vm)).toBe('Suspended');
      expect(stateOf(at, vm).suspend_VDI).not.toBe(stateOf(at, checkpoint).suspend_VDI);
      await at.call('VM.resume', vm, false, false);
      expect(at.state(vm)).toBe('Running');
    }
    await at.call('VM.destroy', checkpoint);
    expect([...at.store.committed.all('VDI')].filter(([, { type }]) => type === 'suspend')).toEqual([]);
  });

  test('is refused, and the guest left alone, where the storage has no snapshots', async () => {
    const [at, vm] = await noted();
    await at.store.commit((tx) => tx.patch('SM', 'OpaqueRef:sm' as Ref<'SM'>, { features: new Map() }));
    await expect(at.call('VM.checkpoint', vm, 'taken')).rejects.toMatchObject({
      code: 'SR_OPERATION_NOT_SUPPORTED',
      params: [vm],
    });
    expect(steps).toEqual([]);
  });

  test('lets a second one wait until the guest is awake again', async () => {
    const [at, vm] = await noted();
    const held = heldAt('resume');
    const first = at.call('VM.checkpoint', vm, 'first');
    await held.there;
    const second = at.call('VM.checkpoint', vm, 'second');
    held.goOn();
    expect([at.state(await first), at.state(await second)]).toEqual(['Suspended', 'Suspended']);
    expect([at.state(vm), stateOf(at, vm).snapshots.length]).toEqual(['Running', 2]);
  });

  for (const step of ['suspend', 'resume', 'unpause']) {
    test(`is cut by a hard shutdown in its step "${step}", and nothing is left of it`, async () => {
      const [at, vm] = await noted();
      const disks = [...at.store.committed.all('VDI')].length;
      const held = heldAt(step);
      const checkpoint = at.call('VM.checkpoint', vm, 'taken').catch((error: unknown) => error);
      await held.there;
      const shutdown = at.call('VM.hard_shutdown', vm);
      held.goOn();
      await shutdown;
      await checkpoint;
      expect([at.state(vm), stateOf(at, vm).suspend_VDI, stateOf(at, vm).resident_on]).toEqual([
        ...['Halted', nullRef, nullRef],
      ]);
      const { snapshots } = stateOf(at, vm);
      // Once the guest was on its way back there was nothing to cut any more.
      const kept = snapshots.length === 0 ? disks : disks + 2;
      expect([...at.store.committed.all('VDI')].length).toBe(kept);
      expect(hypervisor.machines.size).toBe(0);
    });
  }

  test('keeps the place of the guest on its host while it sleeps', async () => {
    const [at, vm] = await noted();
    const held = heldAt('resume');
    const checkpoint = at.call('VM.checkpoint', vm, 'taken');
    await held.there;
    expect([at.state(vm), stateOf(at, vm).resident_on]).toEqual(['Suspended', at.host]);
    held.goOn();
    await checkpoint;
    expect([...at.store.committed.all('xenact_step')]).toEqual([]);
  });

  for (const [power, paused] of [
    ['Running', false],
    ['Paused', true],
  ] as const) {
    test(`leaves a guest that a host finds as it starts anew, and wakes as it was: ${power}`, async () => {
      const [at, vm] = await noted();
      if (paused) await at.call('VM.pause', vm);
      const held = heldAt('resume');
      const checkpoint = at.call('VM.checkpoint', vm, 'taken');
      await held.there;
      const { invoker, store, services } = at;
      // What a host has after its end: nothing is under way, and the daemon knows nothing of the guest.
      const naps = [...store.committed.all('xenact_step')];
      held.goOn();
      await checkpoint;
      hypervisor.machines.clear();
      const image = stateOf(at, stateOf(at, vm).snapshots[0] as Ref<'VM'>).suspend_VDI;
      await store.commit((tx) => {
        for (const [ref, step] of naps) tx.create('xenact_step', ref, step);
        tx.patch('VM', vm, {
          ...{ power_state: 'Suspended', resident_on: at.host, suspend_VDI: image, domid: -1n },
          last_booted_record: 'of the guest',
        });
      });
      await vmReports({ invoker, store, services, log: silentLog }).reconcile();
      expect([at.state(vm), stateOf(at, vm).suspend_VDI]).toEqual(['Suspended', image]);
      await wakeNappers(at);
      expect([at.state(vm), stateOf(at, vm).resident_on]).toEqual([power, at.host]);
      expect([...store.committed.all('xenact_step')]).toEqual([]);
    });
  }
});
