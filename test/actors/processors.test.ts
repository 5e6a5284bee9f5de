// Goal: a guest sees the processor that all hosts of its pool have, and goes on only where it finds what it has
//   seen.
// Method: hosts in process with scripted hypervisors, which tell what their processors can do.
import { afterEach, expect, test } from 'vitest';
import host from '../../actors/host/behaviour.ts';
import pool from '../../actors/pool/behaviour.ts';
import type { Ref } from '../../src/model/types.ts';
import { type World, world } from '../world.ts';
import { type PoolBench, poolBench } from './pool-bench.ts';

let at: World;
afterEach(() => at.close());

const told = (features: string, vendor = 'GenuineIntel') =>
  new Map([
    ['vendor', vendor],
    ['cpu_count', '4'],
    ['features_hvm', features],
  ]);

test('A pool can do what all of its hosts can, as soon as one is another', async () => {
  at = await world({ behaviours: [pool, host], hosts: 3 });
  const [one, two] = at.hosts.map((each) => each.host) as [Ref<'host'>, Ref<'host'>];
  const known = (): (string | undefined)[] => {
    const { cpu_info } = at.store.latest.require('pool', 'OpaqueRef:pool' as Ref<'pool'>);
    return [cpu_info.get('features_hvm'), cpu_info.get('cpu_count')];
  };
  await at.store.commit((tx) => tx.patch('host', one, { cpu_info: told('0000000f-80000001') }));
  expect(known()).toEqual(['0000000f-80000001', '4']);
  await at.store.commit((tx) => tx.patch('host', two, { cpu_info: told('00000017-80000000-00000001') }));
  expect(known()).toEqual(['00000007-80000000-00000000', '8']);
  await at.store.commit((tx) => tx.delete('host', two));
  expect(known()).toEqual(['0000000f-80000001', '4']);
});

test('A guest starts with the processor of the pool and moves where all of it is', async () => {
  const bench: PoolBench = await poolBench();
  at = bench;
  const [one, two, three] = bench.hosts.map((each) => each.host) as [Ref<'host'>, Ref<'host'>, Ref<'host'>];
  await bench.store.commit((tx) => {
    tx.patch('pool', bench.pool, { cpu_info: new Map([['features_hvm', '00000007']]) });
    tx.patch('host', one, { cpu_info: told('0000000f') });
    tx.patch('host', two, { cpu_info: told('00000003') });
    tx.patch('host', three, { cpu_info: told('00000007') });
  });
  const vm = await bench.newVm();
  await bench.call('VM.start_on', vm, one, false, false);
  const { last_boot_CPU_flags } = bench.row(vm);
  expect([...last_boot_CPU_flags]).toEqual([
    ['vendor', 'GenuineIntel'],
    ['features', '00000007'],
  ]);
  const move = (to: Ref<'host'>) => bench.fault(bench.call('VM.pool_migrate', vm, to, new Map()));
  expect((await move(two)).slice(0, 3)).toEqual(['VM_INCOMPATIBLE_WITH_THIS_HOST', vm, two]);
  // What the pool can do by now changes nothing for a guest that runs.
  await bench.store.commit((tx) => tx.patch('pool', bench.pool, { cpu_info: new Map() }));
  expect(await move(three)).toEqual(['no fault']);
  await bench.store.commit((tx) => tx.patch('host', one, { cpu_info: told('0000000f', 'AuthenticAMD') }));
  expect((await move(one))[0]).toBe('VM_INCOMPATIBLE_WITH_THIS_HOST');
  await bench.call('VM.suspend', vm);
  expect((await bench.fault(bench.call('VM.resume_on', vm, two, false, false)))[0]).toBe(
    'VM_INCOMPATIBLE_WITH_THIS_HOST',
  );
  // Who insists takes the risk.
  await bench.call('VM.resume_on', vm, two, false, true);
  const insisting = new Map([['force', 'true']]);
  await bench.store.commit((tx) => tx.patch('host', two, { cpu_info: told('0000000f') }));
  await bench.store.commit((tx) => tx.patch('host', three, { cpu_info: told('00000001') }));
  expect((await move(three))[0]).toBe('VM_INCOMPATIBLE_WITH_THIS_HOST');
  expect(await bench.fault(bench.call('VM.pool_migrate', vm, three, insisting))).toEqual(['no fault']);
  await bench.call('VM.hard_shutdown', vm);
  await bench.call('VM.start_on', vm, two, false, false);
  expect(bench.row(vm).resident_on).toBe(two);
});
