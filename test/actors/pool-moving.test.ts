// Goal: a guest moves between hosts and runs on one of them at every moment; hosts are emptied, and what a lost
// host had is settled by one call that its return cannot undo.
// Method: three hosts in process over one store, each with a scripted hypervisor that fails, hangs or is lost at a
// chosen step.
import { afterEach, describe, expect, test } from 'vitest';
import { endPendingTasks } from '../../actors/task/start.ts';
import { XenopsError } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { Ref } from '../../src/model/types.ts';
import { manualClock } from '../manual-clock.ts';
import type { WorldHost, WorldOptions } from '../world.ts';
import { gib, type PoolBench, poolBench } from './pool-bench.ts';
import type { FakeHypervisor } from './vm-bench.ts';

let at: PoolBench;
afterEach(() => at.close());

type Three = readonly [WorldHost, WorldHost, WorldHost];

const live = new Map([['live', 'true']]);

const setUp = async (options: WorldOptions = {}): Promise<readonly [Ref<'VM'>, ...Three]> => {
  at = await poolBench({ memoryBytes: 8n * gib, ...options });
  const [one, two, three] = at.hosts as unknown as Three;
  const vm = await at.newVm();
  await at.call('VM.start_on', vm, one.host, false, false);
  return [vm, one, two, three];
};

const idle = (): boolean =>
  [...at.store.latest.all('VM')].every(
    ([, vm]) => vm.scheduled_to_be_resident_on === 'OpaqueRef:NULL' && vm.current_operations.size === 0,
  ) &&
  [...at.store.latest.all('host')].every(([, host]) => host.current_operations.size === 0) &&
  [...at.store.latest.all('task')].every(([, { status }]) => status !== 'pending') &&
  [...at.store.latest.all('xenact_step')].length === 0;

const migrate = (by: WorldHost, vm: Ref<'VM'>, to: WorldHost): Promise<unknown> =>
  by.call('VM.pool_migrate', vm, to.host, live);

describe('VM.pool_migrate', () => {
  test('moves a guest there and back, whichever host is asked, and its devices stay attached', async () => {
    const [vm, one, two, three] = await setUp();
    for (const [by, to] of [
      [three, two],
      [one, three],
      [two, one],
      [one, one],
    ] as const) {
      await migrate(by, vm, to);
      const row = at.row(vm);
      expect([row.power_state, row.resident_on, at.runsOn(vm)]).toEqual(['Running', to.host, [to.host]]);
      expect(row.VBDs.every((ref) => at.store.latest.require('VBD', ref).currently_attached)).toBe(true);
      const [shown] = row.consoles.map((ref) => at.store.latest.require('console', ref).location);
      expect(shown).toContain(to.services.authority());
      expect(row.domid).not.toBe(-1n);
      expect(idle()).toBe(true);
    }
    await at.call('VM.clean_shutdown', vm);
    expect(at.runsOn(vm)).toEqual([]);
  });

  test('is refused where the guest could not run, and where it does not run', async () => {
    const [vm, , two, three] = await setUp();
    const local = await at.localSr(two);
    const [vbd] = at.row(vm).VBDs;
    const { VDI } = at.store.latest.require('VBD', vbd as Ref<'VBD'>);
    await at.store.commit((tx) => tx.patch('VDI', VDI, { SR: local }));
    expect(await at.fault(migrate(two, vm, three))).toEqual(['VM_REQUIRES_SR', vm, local]);
    await at.store.commit((tx) => tx.patch('VDI', VDI, { SR: at.sr }));
    await at.call('host.disable', two.host);
    expect(await at.fault(migrate(two, vm, two))).toEqual(['HOST_DISABLED', two.host]);
    const { metrics } = at.store.latest.require('host', three.host);
    await at.store.commit((tx) => tx.patch('host_metrics', metrics, { memory_total: 1n }));
    expect((await at.fault(migrate(two, vm, three)))[0]).toBe('HOST_NOT_ENOUGH_FREE_MEMORY');
    await at.lose(three.host);
    expect(await at.fault(migrate(two, vm, three))).toEqual(['HOST_NOT_LIVE']);
    await at.call('VM.suspend', vm);
    expect(await at.fault(migrate(two, vm, two))).toEqual(['VM_BAD_POWER_STATE', vm, 'running', 'suspended']);
    expect(idle()).toBe(true);
  });

  test('leaves the guest where it is when the daemon refuses', async () => {
    const [vm, one, two] = await setUp();
    at.hypervisors[0]?.faults.set('migrate', new XenopsError('IO_error', []));
    expect((await at.fault(migrate(two, vm, two)))[0]).toBe('VDI_IO_ERROR');
    expect([at.row(vm).resident_on, at.runsOn(vm)]).toEqual([one.host, [one.host]]);
    expect(idle()).toBe(true);
    await migrate(two, vm, two);
    expect(at.runsOn(vm)).toEqual([two.host]);
  });

  test('can be cancelled through any host while memory moves', async () => {
    const [vm, one, two, three] = await setUp();
    let cancelled: Promise<unknown> | undefined;
    at.hypervisors[0]?.hooks.set('migrate', async () => {
      const [task] = [...at.store.latest.all('task')].map(([ref]) => ref);
      cancelled = two.call('task.cancel', task);
      await cancelled;
    });
    expect((await at.fault(migrate(three, vm, two)))[0]).toBe('TASK_CANCELLED');
    await cancelled;
    expect(at.runsOn(vm)).toEqual([one.host]);
    expect(idle()).toBe(true);
  });

  test('that nobody can tell the end of is asked about until it is known', async () => {
    const clock = manualClock();
    const [vm, , two] = await setUp({ clock });
    const source = at.hypervisors[0];
    const gone = new XenopsError('Failed_to_contact_remote_service', ['lost']);
    source?.faults.set('migrate', gone);
    // The daemon keeps the guest still while it does not know.
    source?.hooks.set('migrate', () => void source.become(at.row(vm).uuid, 'Paused'));
    const moved = migrate(two, vm, two);
    await clock.waiting(1);
    expect(at.row(vm).scheduled_to_be_resident_on).toBe(two.host);
    source?.hooks.clear();
    await clock.advance(2_000);
    await moved;
    expect(at.runsOn(vm)).toEqual([two.host]);
    expect(at.row(vm).resident_on).toBe(two.host);
    expect(idle()).toBe(true);
  });

  test('is in the rows although the host that did it went away right after the hand-over', async () => {
    const [vm, one, two] = await setUp();
    at.hypervisors[0]?.hooks.set('migrated', () => at.lose(one.host));
    await at.store.commit((tx) => tx.patch('pool', at.pool, { master: two.host }));
    expect(await at.fault(migrate(two, vm, two))).toEqual(['CANNOT_CONTACT_HOST', one.host]);
    await at.until(() => at.row(vm).resident_on === two.host);
    expect(at.row(vm).power_state).toBe('Running');
    expect(at.row(vm).current_operations.size).toBe(0);
    // Its old host comes back, and finds that the guest is not its own.
    await at.regain(one.host);
    at.hypervisors[0]?.hooks.clear();
    await at.reports[0]?.reconcile();
    expect([at.row(vm).resident_on, at.runsOn(vm)]).toEqual([two.host, [two.host]]);
  });

  test('a guest that ends on the way is halted', async () => {
    const [vm, one, two] = await setUp();
    const source = at.hypervisors[0];
    source?.hooks.set('migrate', async () => {
      await source.become(at.row(vm).uuid, 'Halted');
      throw new XenopsError('Domain_not_built', []);
    });
    expect((await at.fault(migrate(one, vm, two)))[0]).not.toBe('no fault');
    expect([at.row(vm).power_state, at.runsOn(vm)]).toEqual(['Halted', []]);
    expect(idle()).toBe(true);
  });
});

describe('A guest whose power is cut while it moves', () => {
  test('is halted on both hosts, and its next start waits for nothing', async () => {
    const [vm, one, two] = await setUp();
    let cut: ((why: Error) => void) | undefined;
    const moving = new Promise<void>((resolve) => {
      at.hypervisors[0]?.hooks.set('migrate', () => {
        resolve();
        return new Promise((_, reject) => {
          cut = reject;
        });
      });
    });
    const moved = at.fault(migrate(one, vm, two));
    await moving;
    at.hypervisors[0]?.hooks.set('hard', () => cut?.(new XenopsError('Cancelled', [''])));
    const halted = at.call('VM.hard_shutdown', vm);
    cut?.(new XenopsError('Cancelled', ['']));
    await halted;
    expect((await moved)[0]).toBe('TASK_CANCELLED');
    expect(at.row(vm).power_state).toBe('Halted');
    expect(at.runsOn(vm)).toEqual([]);
    expect(idle()).toBe(true);
    at.hypervisors[0]?.hooks.clear();
    await at.call('VM.start_on', vm, two.host, false, false);
    expect([at.row(vm).resident_on, at.runsOn(vm)]).toEqual([two.host, [two.host]]);
  });
});

describe('A host', () => {
  test('is emptied, some guests at a time, to where there is room', async () => {
    const [vm, one] = await setUp();
    const vms = [vm];
    for (let i = 0; i < 5; i += 1) vms.push(await at.newVm({ affinity: one.host }));
    for (const other of vms.slice(1)) await at.call('VM.start', other, false, false);
    expect(vms.every((other) => at.row(other).resident_on === one.host)).toBe(true);
    await at.call('host.disable', one.host);
    expect(await at.call('host.get_vms_which_prevent_evacuation', one.host)).toEqual(new Map());
    let running = 0;
    let most = 0;
    at.hypervisors[0]?.hooks.set('migrate', async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
    });
    await at.call('host.evacuate', one.host, 'OpaqueRef:NULL', 2n);
    expect(most).toBe(2);
    expect(at.store.latest.require('host', one.host).resident_VMs).toEqual([]);
    expect(vms.map((other) => at.runsOn(other).length)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(idle()).toBe(true);
  });

  test('is not emptied when a guest can go nowhere, and says which and why', async () => {
    const [vm, one] = await setUp();
    const local = await at.localSr(one);
    const bound = await at.newVm({}, local);
    await at.call('VM.start', bound, false, false);
    const reasons = new Map([[bound, ['VM_REQUIRES_SR', bound, local]]]);
    expect(await at.call('host.get_vms_which_prevent_evacuation', one.host)).toEqual(reasons);
    for (const method of ['host.assert_can_evacuate', 'host.evacuate']) {
      expect(await at.fault(at.call(method, one.host))).toEqual([
        'CANNOT_EVACUATE_HOST',
        `VM_REQUIRES_SR,${bound},${local},${bound}`,
      ]);
    }
    expect(at.runsOn(vm)).toEqual([one.host]);
  });

  test('that is out of reach refuses at once what needs it, while its rows can be changed', async () => {
    const [vm, , two] = await setUp();
    await migrate(two, vm, two);
    await at.lose(two.host);
    for (const method of ['VM.clean_shutdown', 'VM.hard_shutdown', 'VM.pause']) {
      expect(await at.fault(at.call(method, vm))).toEqual(['HOST_OFFLINE', two.host]);
    }
    expect(await at.fault(at.call('host.get_servertime', two.host))).toEqual(['HOST_OFFLINE', two.host]);
    await at.call('VM.set_name_label', vm, 'renamed');
    await at.call('host.disable', two.host);
    expect(at.row(vm).name_label).toBe('renamed');
    expect(at.row(vm).power_state).toBe('Running');
    expect(idle()).toBe(true);
  });

  test('that is lost while it works leaves no task open and no operation behind', async () => {
    const [vm, one, two] = await setUp();
    await migrate(two, vm, two);
    at.hypervisors[1]?.hooks.set('pause', () => {
      void at.lose(two.host);
      return new Promise(() => {});
    });
    const task = await at.callAsync('VM.pause', vm);
    const done = await at.finished(task);
    expect([done.status, done.error_info]).toEqual(['failure', ['CANNOT_CONTACT_HOST', two.host]]);
    expect(at.row(vm).current_operations.size).toBe(0);
    expect(one.objects.awake).toBe(0);
  });

  test('that is lost in the middle of a start keeps the VM until somebody settles it', async () => {
    const [, , two, three] = await setUp();
    const vm = await at.newVm();
    at.hypervisors[1]?.hooks.set('unpause', () => {
      void at.lose(two.host);
      return new Promise(() => {});
    });
    expect((await at.fault(at.call('VM.start_on', vm, two.host, false, false)))[0]).toBe(
      'CANNOT_CONTACT_HOST',
    );
    // It may run there: nobody may start it elsewhere.
    expect((await at.fault(at.call('VM.start_on', vm, three.host, false, false)))[0]).not.toBe('no fault');
    expect(at.runsOn(vm)).toEqual([two.host]);
    await at.call('VM.power_state_reset', vm);
    await at.call('VM.start_on', vm, three.host, false, false);
    expect(at.row(vm).resident_on).toBe(three.host);
  });

  test('that is dead gives up its guests by one call, and ends them should it come back', async () => {
    const [vm, one, two, three] = await setUp();
    await migrate(one, vm, two);
    const other = await at.newVm();
    await at.call('VM.start_on', other, two.host, false, false);
    expect(await at.fault(at.call('host.declare_dead', two.host))).toEqual(['HOST_IS_LIVE', two.host]);
    expect(await at.fault(at.call('host.declare_dead', one.host))).toEqual([
      'HOST_CANNOT_DESTROY_SELF',
      one.host,
    ]);
    await at.lose(two.host);
    expect(at.row(vm).power_state).toBe('Running');
    expect(await at.fault(at.call('host.destroy', two.host))).toEqual(['HOST_HAS_RESIDENT_VMS', two.host]);
    await three.call('host.declare_dead', two.host);
    expect([at.row(vm).power_state, at.row(other).power_state]).toEqual(['Halted', 'Halted']);
    await at.call('VM.start_on', vm, three.host, false, false);
    expect(at.runsOn(vm)).toEqual([two.host, three.host]);
    // The return of the old host.
    await at.regain(two.host);
    await at.reports[1]?.reconcile();
    while (at.hypervisors[1]?.machines.size !== 0) await new Promise((resolve) => setImmediate(resolve));
    expect(at.runsOn(vm)).toEqual([three.host]);
    expect([at.row(vm).power_state, at.row(vm).resident_on]).toEqual(['Running', three.host]);
    expect(at.row(other).power_state).toBe('Halted');
    expect(idle()).toBe(true);
  });

  test('that is dead leaves who napped there for a checkpoint to be resumed elsewhere, and does not wake it', async () => {
    const [vm, one, two, three] = await setUp();
    await migrate(one, vm, two);
    const { hooks } = at.hypervisors[1] as FakeHypervisor;
    let goOn = (): void => {};
    const there = new Promise<void>((resolve) => {
      hooks.set('barrier', () => {
        hooks.delete('barrier');
        resolve();
        return new Promise<void>((go) => {
          goOn = go;
        });
      });
    });
    const checkpoint = at.fault(two.call('VM.checkpoint', vm, 'taken'));
    await there;
    await at.until(() => at.row(vm).power_state === 'Suspended');
    expect(at.row(vm).resident_on).toBe(two.host);
    await at.lose(two.host);
    // Whoever leads ends first what such a host had under way.
    await endPendingTasks(at.store, 0, (host) => host === two.host);
    await three.call('host.declare_dead', two.host);
    expect([at.row(vm).power_state, at.row(vm).resident_on]).toEqual(['Suspended', 'OpaqueRef:NULL']);
    await at.call('VM.resume_on', vm, three.host, false, false);
    expect(at.runsOn(vm)).toEqual([three.host]);
    // The old host goes on where it was.
    await at.regain(two.host);
    goOn();
    expect((await checkpoint)[0]).toBe('VM_BAD_POWER_STATE');
    await at.reports[1]?.reconcile();
    expect([at.row(vm).power_state, at.row(vm).resident_on, at.runsOn(vm)]).toEqual([
      ...['Running', three.host],
      [three.host],
    ]);
  });

  test('that is dead and empty is forgotten', async () => {
    const [, , two] = await setUp();
    await at.lose(two.host);
    await at.call('host.destroy', two.host);
    expect(at.store.latest.get('host', two.host)).toBeUndefined();
    expect([...at.store.latest.all('PBD')].some(([, { host }]) => host === two.host)).toBe(false);
  });
});

describe('A call', () => {
  test('to a host that its object has left is done where it is now', async () => {
    const [vm, one, two] = await setUp({
      onHop: async ({ call }) => {
        if (call.method !== 'VM.pause') return;
        // Between the look at the rows and the arrival the guest moves on.
        if (at.row(vm).resident_on === two.host) await migrate(one, vm, one);
      },
    });
    await migrate(one, vm, two);
    await one.call('VM.pause', vm);
    expect([at.row(vm).power_state, at.row(vm).resident_on]).toEqual(['Paused', one.host]);
    expect(at.hypervisors[0]?.calls).toContain('pause');
    expect(idle()).toBe(true);
  });
});
