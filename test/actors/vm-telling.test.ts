// Goal: people are told what happened to VMs, by the names and in the words that clients know, and figures follow.
// Method: the real behaviours over a daemon in process; messages and figures are read as clients read them.
import { afterEach, expect, test } from 'vitest';
import { refreshMemory } from '../../actors/host/figures.ts';
import type { Ref } from '../../src/model/types.ts';
import type { WorldHost } from '../world.ts';
import { gib, type PoolBench, poolBench } from './pool-bench.ts';
import { type Bench, bench, fakeHypervisor } from './vm-bench.ts';

let made: Bench | undefined;
afterEach(() => made?.close());

const setUp = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
  made = await bench(fakeHypervisor());
  return [made, await made.newVm()];
};

test('each step of the life of a VM leaves one message, in the commit that ends it', async () => {
  const [at, vm] = await setUp();
  const { uuid, name_label } = at.store.committed.require('VM', vm);
  const host = at.store.committed.require('host', at.host);
  const where = `${host.name_label} (uuid: ${host.uuid})`;
  const steps: readonly (readonly [method: string, args: readonly unknown[], name: string, text: string])[] =
    [
      ['start', [false, false], 'VM_STARTED', `started on host: ${where}`],
      ['pause', [], 'VM_PAUSED', 'paused'],
      ['unpause', [], 'VM_UNPAUSED', 'unpaused'],
      ['clean_reboot', [], 'VM_REBOOTED', 'rebooted cleanly'],
      ['hard_reboot', [], 'VM_REBOOTED', 'rebooted forcibly'],
      ['suspend', [], 'VM_SUSPENDED', 'suspended'],
      ['resume', [false, false], 'VM_RESUMED', `resumed on host: ${where}`],
      ['hard_shutdown', [], 'VM_SHUTDOWN', 'shutdown forcibly'],
      ['start', [false, false], 'VM_STARTED', `started on host: ${where}`],
      ['clean_shutdown', [], 'VM_SHUTDOWN', 'shutdown'],
    ];
  for (const [method, args, name, text] of steps) {
    const known = new Set([...at.store.committed.all('message')].map(([ref]) => ref));
    await at.call(`VM.${method}`, vm, ...args);
    const left = [...at.store.committed.all('message')].filter(([ref]) => !known.has(ref));
    expect(left.map(([, { name: told }]) => told)).toEqual([name]);
    expect(left[0]?.[1]).toMatchObject({
      ...{ priority: 5n, cls: 'VM', obj_uuid: uuid },
      body: `VM '${name_label}' (uuid: ${uuid}) ${text}`,
    });
  }
});

const leftBy = async (at: Bench | PoolBench, run: () => Promise<unknown>) => {
  const known = new Set([...at.store.committed.all('message')].map(([ref]) => ref));
  const result = await run();
  const left = [...at.store.committed.all('message')].filter(([ref]) => !known.has(ref));
  return { result, left: left.map(([, { name, body, obj_uuid }]) => ({ name, body, obj_uuid })) };
};

test('copies of a VM, and that it was turned back to one, are told of the VM', async () => {
  const [at, vm] = await setUp();
  const { uuid, name_label } = at.store.committed.require('VM', vm);
  const of = (name: string, text: string) => [
    { name, obj_uuid: uuid, body: `VM '${name_label}' (uuid: ${uuid}) ${text}` },
  ];
  const copy = await leftBy(at, () => at.call('VM.clone', vm, 'other'));
  const { uuid: copied } = at.store.committed.require('VM', copy.result as Ref<'VM'>);
  expect(copy.left).toEqual(of('VM_CLONED', `cloned (new uuid: ${copied})`));
  const { result: snapshot, left } = await leftBy(at, () => at.call('VM.snapshot', vm, 'before'));
  expect(left).toEqual(of('VM_SNAPSHOTTED', 'snapshotted, snapshot name: before'));
  const back = of(
    'VM_SNAPSHOT_REVERTED',
    `reverted to snapshot: before (uuid ${at.uuid(snapshot as Ref<'VM'>)})`,
  );
  expect((await leftBy(at, () => at.call('VM.revert', snapshot))).left).toEqual(back);
});

test('a VM that a snapshot brings back is told of by its new row', async () => {
  const [at, vm] = await setUp();
  const { uuid, name_label } = at.store.committed.require('VM', vm);
  const snapshot = (await at.call('VM.snapshot', vm, 'before')) as Ref<'VM'>;
  await at.call('VM.destroy', vm);
  const { left } = await leftBy(at, () => at.call('VM.revert', snapshot));
  expect(left).toEqual([
    {
      name: 'VM_SNAPSHOT_REVERTED',
      obj_uuid: uuid,
      body: `VM '${name_label}' (uuid: ${uuid}) reverted to snapshot: before (uuid ${at.uuid(snapshot)})`,
    },
  ]);
});

test('a move to another host is told with both hosts', async () => {
  const at = await poolBench({ memoryBytes: 8n * gib });
  try {
    const [one, two] = at.hosts as unknown as readonly [WorldHost, WorldHost];
    const vm = await at.newVm();
    await at.call('VM.start_on', vm, one.host, false, false);
    const { left } = await leftBy(at, () =>
      at.call('VM.pool_migrate', vm, two.host, new Map([['live', 'true']])),
    );
    const { uuid, name_label } = at.row(vm);
    const named = ({ host }: WorldHost): string => {
      const row = at.store.committed.require('host', host);
      return `'${row.name_label}' (uuid: ${row.uuid})`;
    };
    const body = `VM '${name_label}' (uuid: ${uuid}) migrated from host ${named(one)} to host ${named(two)}`;
    expect(left).toEqual([{ name: 'VM_MIGRATED', obj_uuid: uuid, body }]);
  } finally {
    await at.close();
  }
});

test('a guest that is gone takes no memory and does not run', async () => {
  const [at, vm] = await setUp();
  const figures = () => {
    const { metrics } = at.store.committed.require('VM', vm);
    const { memory_actual, state } = at.store.committed.require('VM_metrics', metrics);
    return { takes: memory_actual > 0n, state };
  };
  for (const [begin, end] of [
    ['start', 'suspend'],
    ['resume', 'hard_shutdown'],
  ]) {
    await at.call(`VM.${begin}`, vm, false, false);
    expect(figures()).toEqual({ takes: true, state: ['running'] });
    await at.call(`VM.${end}`, vm);
    expect(figures()).toEqual({ takes: false, state: [] });
  }
});

test('a step that fails is not told', async () => {
  const [at, vm] = await setUp();
  await expect(at.call('VM.pause', vm)).rejects.toMatchObject({ code: 'VM_BAD_POWER_STATE' });
  expect([...at.store.committed.all('message')]).toEqual([]);
});

test('the free memory of a host is what its guests leave of it', async () => {
  const [at, vm] = await setUp();
  const metrics = 'OpaqueRef:metrics' as Ref<'host_metrics'>;
  await at.store.commit((tx) => {
    tx.create('host_metrics', metrics, { live: true, memory_total: 1n << 36n });
    tx.patch('host', at.host, { metrics });
  });
  const free = async (): Promise<bigint> => {
    await at.store.commit(refreshMemory);
    return at.store.committed.require('host_metrics', metrics).memory_free;
  };
  const before = await free();
  expect(before).toBeGreaterThan(0n);
  await at.call('VM.start', vm, false, false);
  const { memory_dynamic_max, memory_overhead } = at.store.committed.require('VM', vm);
  expect(await free()).toBe(before - memory_dynamic_max - memory_overhead);
  await at.call('VM.hard_shutdown', vm);
  expect(await free()).toBe(before);
});
