// Goal: VMs start with the host where people have asked for it, and no others do.
// Method: the real behaviours over a daemon in process; a start of the host is what the program does at one.
import { afterEach, expect, test } from 'vitest';
import { autoStart, autoStartsMax } from '../../actors/vm/auto-start.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Bench, bench, type FakeHypervisor, fakeHypervisor } from './vm-bench.ts';

let made: Bench | undefined;
afterEach(() => made?.close());

const asked = new Map([['auto_poweron', 'true']]);

const setUp = async (poolAsks = true): Promise<readonly [Bench, FakeHypervisor]> => {
  const daemon = fakeHypervisor();
  made = await bench(daemon);
  const { pool, store } = made;
  if (poolAsks) await store.commit((tx) => tx.patch('pool', pool, { other_config: asked }));
  return [made, daemon];
};

const newVm = async (at: Bench, order = 0n, other_config = asked): Promise<Ref<'VM'>> => {
  const vm = await at.newVm();
  await at.store.commit((tx) => tx.patch('VM', vm, { other_config, order }));
  return vm;
};

test('VMs that ask for it start, and no others, nor templates, snapshots and those that sleep', async () => {
  const [at] = await setUp();
  const [wanted, other, template, asleep] = [
    await newVm(at),
    await newVm(at, 0n, new Map([['auto_poweron', 'false']])),
    await newVm(at),
    await newVm(at),
  ];
  const snapshot = (await at.call('VM.snapshot', wanted, 'before')) as Ref<'VM'>;
  await at.call('VM.set_is_a_template', template, true);
  await at.call('VM.start', asleep, false, false);
  await at.call('VM.suspend', asleep);
  await autoStart(at);
  expect(at.state(wanted)).toBe('Running');
  expect([other, template, snapshot, asleep].map(at.state)).toEqual([
    'Halted',
    'Halted',
    'Halted',
    'Suspended',
  ]);
});

test('none starts in a pool that does not ask for it', async () => {
  const [at] = await setUp(false);
  const vm = await newVm(at);
  await autoStart(at);
  expect(at.state(vm)).toBe('Halted');
});

test('none starts where guests ran on: somebody may have halted it on purpose', async () => {
  const [at] = await setUp();
  const [vm, running] = [await newVm(at), await at.newVm()];
  await at.call('VM.start', running, false, false);
  await autoStart(at);
  expect(at.state(vm)).toBe('Halted');
});

test('one that cannot start keeps no other from it', async () => {
  const [at, daemon] = await setUp();
  const vms = [await newVm(at, 1n), await newVm(at, 2n)] as const;
  daemon.faults.set('start', new Error('no'));
  await autoStart(at);
  expect(vms.map(at.state)).toEqual(['Halted', 'Running']);
});

test('so many start at once, by their order', async () => {
  const [at, daemon] = await setUp();
  const vms: Ref<'VM'>[] = [];
  for (let order = autoStartsMax + 2; order > 0; order -= 1) vms.unshift(await newVm(at, BigInt(order)));
  let [starting, most] = [0, 0];
  const begun: string[] = [];
  daemon.hooks.set('start', async () => {
    starting += 1;
    most = Math.max(most, starting);
    await new Promise(setImmediate);
    starting -= 1;
  });
  const stop = at.store.watch(() => {
    for (const vm of vms) {
      const { current_operations, uuid } = at.store.committed.require('VM', vm);
      if (current_operations.size > 0 && !begun.includes(uuid)) begun.push(uuid);
    }
  });
  await autoStart(at);
  stop();
  expect(vms.map(at.state)).toEqual(vms.map(() => 'Running'));
  expect(most).toBeLessThanOrEqual(autoStartsMax);
  expect(begun).toEqual(vms.map((vm) => at.uuid(vm)));
});
