// Goal: VMs start, stop, pause, suspend and resume, and a start that fails anywhere leaves nothing behind.
// Method: the real behaviours over a daemon in process that fails, dies or is slow at a chosen step; rows are
// compared before and after.

import { afterEach, describe, expect, test } from 'vitest';
import { XenopsError } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Bench, bench, daemonGone, type FakeHypervisor, fakeHypervisor } from './vm-bench.ts';

let hypervisor: FakeHypervisor;
let made: Bench | undefined;
afterEach(() => made?.close());

const setUp = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
  hypervisor = fakeHypervisor();
  made = await bench(hypervisor);
  return [made, await made.newVm()];
};

/** Everything clients see of a VM and what hangs on it, except when its figures were last read. */
const rowsOf = ({ store }: Bench): unknown =>
  ['VM', 'VBD', 'VIF', 'VDI', 'console', 'VM_guest_metrics', 'task'].map((cls) =>
    [...store.committed.all(cls as 'VM')].map(([ref, record]) => [ref, record]),
  );

const faultOf = async (call: Promise<unknown>): Promise<readonly string[]> => {
  try {
    await call;
  } catch (error) {
    const { code, params } = error as { code: string; params: readonly string[] };
    return [code, ...params];
  }
  return ['no fault'];
};

describe('VM.start', () => {
  test('tells the daemon in order, and the rows are what the daemon reports', async () => {
    const [at, vm] = await setUp();
    await at.call('VM.start', vm, false, false);
    expect(hypervisor.calls).toEqual(['importMetadata', 'start', 'unpause', 'state']);
    const row = at.store.committed.require('VM', vm);
    expect([row.power_state, row.resident_on, row.domid]).toEqual(['Running', at.host, 1n]);
    expect(row.VBDs.map((ref) => at.store.committed.require('VBD', ref).device)).toEqual(['xvda', 'xvdd']);
    expect(row.VBDs.every((ref) => at.store.committed.require('VBD', ref).currently_attached)).toBe(true);
    expect(row.VIFs.every((ref) => at.store.committed.require('VIF', ref).currently_attached)).toBe(true);
    const consoles = row.consoles.map((ref) => at.store.committed.require('console', ref));
    expect(consoles.map(({ protocol }) => protocol)).toEqual(['rfb', 'vt100']);
    expect(consoles[0]?.location).toBe(`https://127.0.0.1/console?uuid=${consoles[0]?.uuid}`);
    expect(row.current_operations.size).toBe(0);
    expect(row.allowed_operations).toContain('clean_shutdown');
    expect(at.store.committed.require('VM_metrics', row.metrics).memory_actual).toBe(1024n ** 3n);
    const agent = at.store.committed.require('VM_guest_metrics', row.guest_metrics);
    expect(agent.PV_drivers_version.get('major')).toBe('9');
  });

  test('leaves the guest paused if asked to', async () => {
    const [at, vm] = await setUp();
    await at.call('VM.start', vm, true, false);
    expect(at.state(vm)).toBe('Paused');
  });

  for (const step of ['importMetadata', 'start', 'unpause', 'state']) {
    test(`leaves rows and daemon as before when it fails at ${step}`, async () => {
      const [at, vm] = await setUp();
      const before = rowsOf(at);
      hypervisor.faults.set(step, new XenopsError('Not_enough_memory', [1n]));
      expect(await faultOf(at.call('VM.start', vm, false, false))).toEqual([
        'HOST_NOT_ENOUGH_FREE_MEMORY',
        '1',
        '0',
      ]);
      expect(rowsOf(at)).toEqual(before);
      expect([...hypervisor.machines]).toEqual([]);
      await at.call('VM.start', vm, false, false);
      expect(at.state(vm)).toBe('Running');
    });

    test(`leaves rows and daemon as before when it is cancelled at ${step}`, async () => {
      const [at, vm] = await setUp();
      const before = rowsOf(at);
      let task: Ref<'task'> | undefined;
      hypervisor.hooks.set(step, () => {
        hypervisor.hooks.clear();
        if (task !== undefined) at.services.cancel(task);
      });
      task = await at.callAsync('VM.start', vm, false, false);
      const done = await at.finished(task);
      // The last steps only look: whoever cancels then is late, and the guest runs.
      if (done.status === 'success') {
        expect(step).toBe('state');
        return;
      }
      expect(done.status).toBe('cancelled');
      await at.call('task.destroy', task).catch(() => {});
      await at.store.commit((tx) => tx.delete('task', task as Ref<'task'>));
      expect(rowsOf(at)).toEqual(before);
      expect([...hypervisor.machines]).toEqual([]);
    });
  }

  test('says so when the daemon dies meanwhile, and the rows follow once it is back', async () => {
    const [at, vm] = await setUp();
    const dead = daemonGone();
    const { stat } = hypervisor;
    hypervisor.faults.set('unpause', dead);
    hypervisor.hooks.set('unpause', () => {
      hypervisor.stat = async () => Promise.reject(dead);
    });
    const [code, reason] = await faultOf(at.call('VM.start', vm, false, false));
    expect(code).toBe('INTERNAL_ERROR');
    expect(reason).toContain('hypervisor daemon');
    expect(at.store.committed.require('VM', vm).current_operations.size).toBe(0);
    expect([...at.store.committed.all('task')]).toEqual([]);
    hypervisor.stat = stat;
    hypervisor.machines.clear();
    await at.reports.onReconnect();
    expect(at.state(vm)).toBe('Halted');
    const attached = at.store.latest.require('VM', vm).VBDs.map((ref) => at.store.latest.require('VBD', ref));
    expect(attached.some(({ currently_attached }) => currently_attached)).toBe(false);
  });

  test('of two VMs that write to one disk starts one only', async () => {
    const [at, vm] = await setUp();
    const other = await at.newVm();
    const [vbd] = at.store.committed.require('VM', vm).VBDs;
    const [theirs] = at.store.committed.require('VM', other).VBDs;
    const { VDI } = at.store.committed.require('VBD', vbd as Ref<'VBD'>);
    await at.store.commit((tx) => tx.patch('VBD', theirs as Ref<'VBD'>, { VDI }));
    const faults = await Promise.all(
      [vm, other].map((one) => faultOf(at.call('VM.start', one, false, false))),
    );
    expect(faults.sort()).toEqual([['VDI_IN_USE', VDI], ['no fault']]);
  });

  test('is refused for a control domain', async () => {
    const [at, vm] = await setUp();
    await at.store.commit((tx) => tx.patch('VM', vm, { is_control_domain: true }));
    expect((await faultOf(at.call('VM.start', vm, false, false)))[0]).toBe('OPERATION_NOT_ALLOWED');
    expect(hypervisor.calls).toEqual([]);
  });

  test('needs the repositories of its disks on this host', async () => {
    const [at, vm] = await setUp();
    await at.store.commit((tx) =>
      tx.patch('PBD', 'OpaqueRef:pbd' as Ref<'PBD'>, { currently_attached: false }),
    );
    expect(await faultOf(at.call('VM.start', vm, false, false))).toEqual(['VM_REQUIRES_SR', vm, at.sr]);
  });
});

describe('A running VM', () => {
  const running = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
    const [at, vm] = await setUp();
    await at.call('VM.start', vm, false, false);
    return [at, vm];
  };

  test('is paused, runs on, reboots and shuts down', async () => {
    const [at, vm] = await running();
    await at.call('VM.pause', vm);
    expect(at.state(vm)).toBe('Paused');
    await at.call('VM.unpause', vm);
    await at.call('VM.clean_reboot', vm);
    expect(at.state(vm)).toBe('Running');
    await at.call('VM.clean_shutdown', vm);
    const row = at.store.committed.require('VM', vm);
    expect([row.power_state, row.domid, row.resident_on, row.consoles]).toEqual([
      'Halted',
      -1n,
      'OpaqueRef:NULL',
      [],
    ]);
    expect([...hypervisor.machines]).toEqual([]);
  });

  test('that powers itself off is halted, and can be started again', async () => {
    const [at, vm] = await running();
    await hypervisor.become(at.uuid(vm), 'Halted');
    await at.until(() => at.state(vm) === 'Halted');
    const [vbd] = at.store.committed.require('VM', vm).VBDs;
    expect(at.store.committed.require('VBD', vbd as Ref<'VBD'>).currently_attached).toBe(false);
    expect([...hypervisor.machines]).toEqual([]);
    await at.call('VM.start', vm, false, false);
    expect(at.state(vm)).toBe('Running');
  });

  test('is suspended with its memory in a disk, and resumed from it', async () => {
    const [at, vm] = await running();
    await at.call('VM.suspend', vm);
    const asleep = at.store.committed.require('VM', vm);
    expect(asleep.power_state).toBe('Suspended');
    expect(at.store.committed.require('VDI', asleep.suspend_VDI).type).toBe('suspend');
    const [vbd] = asleep.VBDs;
    expect(at.store.committed.require('VBD', vbd as Ref<'VBD'>).currently_attached).toBe(true);
    await at.call('VM.resume', vm, false, false);
    const awake = at.store.committed.require('VM', vm);
    expect([awake.power_state, awake.suspend_VDI]).toEqual(['Running', 'OpaqueRef:NULL']);
    expect([...at.store.committed.all('VDI')].length).toBe(1);
  });

  test('stays running when it cannot be suspended, and no disk is left', async () => {
    const [at, vm] = await running();
    hypervisor.faults.set('suspend', new XenopsError('Failed_to_suspend', [at.uuid(vm), 1200]));
    expect((await faultOf(at.call('VM.suspend', vm)))[0]).toBe('VM_SUSPEND_TIMEOUT');
    expect(at.state(vm)).toBe('Running');
    expect(at.store.committed.require('VM', vm).suspend_VDI).toBe('OpaqueRef:NULL');
    expect([...at.store.committed.all('VDI')].length).toBe(1);
  });

  test('that was suspended is still so when it cannot be resumed', async () => {
    const [at, vm] = await running();
    await at.call('VM.suspend', vm);
    const before = rowsOf(at);
    hypervisor.faults.set('resume', new XenopsError('IO_error', []));
    expect((await faultOf(at.call('VM.resume', vm, false, false)))[0]).toBe('VDI_IO_ERROR');
    expect(rowsOf(at)).toEqual(before);
    await at.call('VM.hard_shutdown', vm);
    expect(at.state(vm)).toBe('Halted');
    expect([...at.store.committed.all('VDI')].length).toBe(1);
  });

  test('is cut off by a hard shutdown while it is asked to shut down', async () => {
    const [at, vm] = await running();
    let asking: (() => void) | undefined;
    const asked = new Promise<void>((resolve) => {
      asking = resolve;
    });
    let release: (() => void) | undefined;
    hypervisor.hooks.set('shutdown', () => {
      asking?.();
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    const clean = faultOf(at.call('VM.clean_shutdown', vm));
    await asked;
    hypervisor.hooks.set('hard', () => release?.());
    await at.call('VM.hard_shutdown', vm);
    expect((await clean)[0]).toBe('TASK_CANCELLED');
    expect(at.state(vm)).toBe('Halted');
  });

  test('is halted also where a CD is taken out of it while it shuts down, and starts again', async () => {
    const [at, vm] = await setUp();
    const drive = at.store.committed
      .require('VM', vm)
      .VBDs.find((ref) => at.store.committed.require('VBD', ref).type === 'CD') as Ref<'VBD'>;
    const about = { SR: at.sr, virtual_size: 1n, type: 'user', sharable: false, read_only: true };
    const disc = new Map<string, unknown>(Object.entries({ ...about, other_config: new Map() }));
    await at.call('VBD.insert', drive, await at.call('VDI.create', disc));
    await at.call('VM.start', vm, false, false);
    let ejected: Promise<readonly string[]> | undefined;
    hypervisor.hooks.set('shutdown', () => {
      ejected ??= faultOf(at.call('VBD.eject', drive));
    });
    await at.call('VM.clean_shutdown', vm);
    expect(at.state(vm)).toBe('Halted');
    expect(await ejected).toBeDefined();
    hypervisor.hooks.delete('shutdown');
    expect(at.store.committed.require('VM', vm).current_operations.size).toBe(0);
    expect(at.store.committed.require('VBD', drive).current_operations.size).toBe(0);
    expect(at.store.committed.require('VBD', drive).currently_attached).toBe(false);
    await at.call('VM.start', vm, false, false);
    expect(at.state(vm)).toBe('Running');
  });

  test('has its power state reset only when the daemon does not run it', async () => {
    const [at, vm] = await running();
    expect(await faultOf(at.call('VM.power_state_reset', vm))).toEqual(['DOMAIN_EXISTS', vm, '1']);
    hypervisor.machines.clear();
    await at.call('VM.power_state_reset', vm);
    expect(at.state(vm)).toBe('Halted');
  });

  test('that the daemon no longer knows is halted by a hard shutdown', async () => {
    const [at, vm] = await running();
    hypervisor.machines.clear();
    await at.call('VM.hard_shutdown', vm);
    expect(at.state(vm)).toBe('Halted');
  });

  test('takes another number of virtual CPUs and another memory range', async () => {
    const [at, vm] = await running();
    await at.call('VM.set_VCPUs_number_live', vm, 2n);
    await at.call('VM.set_memory_dynamic_range', vm, 1n << 29n, 1n << 29n);
    expect(hypervisor.calls).toContain('setVcpus 2');
    expect(hypervisor.calls).toContain(`setMemory ${1n << 29n} ${1n << 29n}`);
    expect(at.store.committed.require('VM', vm).memory_target).toBe(1n << 29n);
    expect((await faultOf(at.call('VM.set_VCPUs_number_live', vm, 3n)))[0]).toBe('INVALID_VALUE');
  });
});

describe('After the daemon was away', () => {
  test('rows follow what it has: guests that are gone are halted, ones that are halted are ended, strangers left alone', async () => {
    const [at, gone] = await setUp();
    const found = await at.newVm();
    await at.call('VM.start', gone, false, false);
    await at.call('VM.start', found, false, false);
    const machine = hypervisor.machines.get(at.uuid(found));
    hypervisor.machines.clear();
    await at.reports.onReconnect();
    expect(at.store.latest.require('VM', found).power_state).toBe('Halted');
    if (machine !== undefined) hypervisor.machines.set(at.uuid(found), machine);
    if (machine !== undefined) hypervisor.machines.set('stranger', machine);
    const removed = new Promise<void>((resolve) => hypervisor.hooks.set('remove', resolve));
    await at.reports.reconcile();
    expect(at.store.latest.require('VM', gone).power_state).toBe('Halted');
    // It could run elsewhere by now, so it must not run here.
    await removed;
    expect(at.state(found)).toBe('Halted');
    expect(hypervisor.calls).toContain('hard');
    expect(hypervisor.machines.has('stranger')).toBe(true);
  });
});
