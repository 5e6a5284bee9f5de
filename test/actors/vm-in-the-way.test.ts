// Goal: work on a VM that gets in the way of other work leaves a VM that is in one state and can be started again, and
// whoever wants it gone, or gives up waiting, does not wait for a guest.
// Method: hosts in process whose daemons stop in a chosen step until the test lets them go on.

import { afterEach, describe, expect, test } from 'vitest';
import { nullRef, type Ref } from '../../src/model/types.ts';
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
