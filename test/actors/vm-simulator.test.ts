// Goal: VMs live through the real client, daemon and simulator as they do through a scripted one.
// Method: the behaviours over a Unix socket to the daemon that simulates guests, in a temporary folder.

import { afterEach, describe, expect, test } from 'vitest';
import type { SimConfig } from '../../src/daemons/xenopsd/sim-config.ts';
import type { Ref } from '../../src/model/types.ts';
import { connectClient, serveStorage, startDaemon, trigger, useBench } from '../daemons/xenopsd/harness.ts';
import { type Bench, bench as benchOf } from './vm-bench.ts';

const bench = useBench();
let made: Bench | undefined;
afterEach(async () => {
  await made?.close();
  made = undefined;
});

const setUp = async (config: SimConfig = {}): Promise<Bench> => {
  await serveStorage(bench());
  await startDaemon(bench(), config);
  made = await benchOf(connectClient(bench()));
  return made;
};

describe('Through the simulator a VM', () => {
  test('starts, pauses, runs on, suspends, resumes, is taken with its memory, reboots and shuts down', async () => {
    const at = await setUp();
    const vm = await at.newVm();
    await at.call('VM.start', vm, false, false);
    expect(at.state(vm)).toBe('Running');
    await at.call('VM.pause', vm);
    expect(at.state(vm)).toBe('Paused');
    await at.call('VM.unpause', vm);
    expect(at.state(vm)).toBe('Running');
    // What the guest's agent has to say comes some time after the guest runs.
    await at.until(() => at.store.committed.require('VM', vm).allowed_operations.includes('suspend'));
    await at.call('VM.suspend', vm);
    expect(at.state(vm)).toBe('Suspended');
    await at.call('VM.resume', vm, false, false);
    expect(at.state(vm)).toBe('Running');
    await at.until(() => at.store.committed.require('VM', vm).allowed_operations.includes('checkpoint'));
    const checkpoint = await at.call('VM.checkpoint', vm, 'taken');
    expect([at.state(vm), at.state(checkpoint)]).toEqual(['Running', 'Suspended']);
    await at.call('VM.pause', vm);
    await at.call('VM.checkpoint', vm, 'still');
    expect(at.state(vm)).toBe('Paused');
    await at.call('VM.unpause', vm);
    await at.until(() => at.store.committed.require('VM', vm).allowed_operations.includes('clean_reboot'));
    await at.call('VM.clean_reboot', vm);
    expect(at.state(vm)).toBe('Running');
    await at.until(() => at.store.committed.require('VM', vm).allowed_operations.includes('clean_shutdown'));
    await at.call('VM.clean_shutdown', vm);
    expect(at.state(vm)).toBe('Halted');
    expect(await at.services.hypervisor.list()).toEqual([]);
  });

  test('that powers itself off is halted without anybody asking', async () => {
    const at = await setUp();
    const vm = await at.newVm();
    await at.call('VM.start', vm, false, false);
    await trigger(bench(), 'guest-poweroff', at.uuid(vm));
    await at.until(() => at.state(vm) === 'Halted');
    await at.call('VM.start', vm, false, false);
    expect(at.state(vm)).toBe('Running');
  });

  test('is taken back when a hard shutdown cuts its start', async () => {
    const at = await setUp({ delaysMs: { unpause: 5_000 } });
    const vm = await at.newVm();
    const task = await at.callAsync('VM.start', vm, false, false);
    await at.until(() => at.state(vm) === 'Paused');
    const cut = at.call('VM.hard_shutdown', vm);
    const done = await at.finished(task);
    await cut;
    expect(done.status).toBe('cancelled');
    expect(at.state(vm)).toBe('Halted');
    expect(await at.services.hypervisor.list()).toEqual([]);
  });

  test('fails to start without a residue when the hypervisor refuses', async () => {
    const at = await setUp({ faults: [{ operation: 'unpause', times: 1 }] });
    const vm = await at.newVm();
    await expect(at.call('VM.start', vm, false, false)).rejects.toMatchObject({ code: 'INTERNAL_ERROR' });
    expect(at.state(vm)).toBe('Halted');
    expect(await at.services.hypervisor.list()).toEqual([]);
    const [vbd] = at.store.committed.require('VM', vm).VBDs;
    expect(at.store.committed.require('VBD', vbd as Ref<'VBD'>).currently_attached).toBe(false);
    await at.call('VM.start', vm, false, false);
    expect(at.state(vm)).toBe('Running');
  });

  test('starts beside ninety-nine others at the same time', async () => {
    const at = await setUp();
    const vms = await Promise.all(Array.from({ length: 100 }, () => at.newVm()));
    const generation = at.store.generation;
    const startMs = performance.now();
    await Promise.all(vms.map((vm) => at.call('VM.start', vm, false, false)));
    const tookMs = performance.now() - startMs;
    expect(vms.filter((vm) => at.state(vm) !== 'Running')).toEqual([]);
    const commits = (at.store.generation - generation) / vms.length;
    if (process.env['XENACT_FIGURES']) console.info({ tookMs, commits });
    // One for the task, one that marks, one that attaches, a few reports and one that settles.
    expect(commits).toBeLessThan(12);
  }, 60_000);
});
