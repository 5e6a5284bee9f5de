// Goal: a VM starts on a host that suits it and has room, memory is never promised twice, and each refusal is
// the one that a user expects.
// Method: three hosts in process over one store, each with a scripted hypervisor; random starts at once.
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { reservationCollector } from '../../actors/vm/collect.ts';
import { XenopsError } from '../../src/drivers/hypervisor/hypervisor.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { freeOf, memoryOfHosts } from '../../src/rules/placement/memory.ts';
import type { WorldHost, WorldOptions } from '../world.ts';
import { gib, type PoolBench, poolBench } from './pool-bench.ts';

let at: PoolBench;
afterEach(() => at.close());

const setUp = async (options: WorldOptions = {}): Promise<readonly [WorldHost, WorldHost, WorldHost]> => {
  at = await poolBench({ memoryBytes: 8n * gib, ...options });
  return at.hosts as unknown as readonly [WorldHost, WorldHost, WorldHost];
};

const memory = (bytes: bigint) => ({
  memory_static_min: bytes,
  memory_dynamic_min: bytes,
  memory_dynamic_max: bytes,
  memory_static_max: bytes,
});

const start = (vm: Ref<'VM'>): Promise<unknown> => at.call('VM.start', vm, false, false);

/** Nothing is reserved, marked or left running on the way. */
const idle = (): boolean =>
  [...at.store.latest.all('VM')].every(
    ([, vm]) => vm.scheduled_to_be_resident_on === 'OpaqueRef:NULL' && vm.current_operations.size === 0,
  ) && [...at.store.latest.all('task')].every(([, { status }]) => status !== 'pending');

describe('VM.start', () => {
  test('chooses the host with most memory to spare, and whoever asks is told by the rows', async () => {
    const [one, two, three] = await setUp();
    for (const [host, bytes] of [
      [one, 2n],
      [two, 8n],
      [three, 4n],
    ] as const) {
      const { metrics } = at.store.latest.require('host', host.host);
      await at.store.commit((tx) => tx.patch('host_metrics', metrics, { memory_total: bytes * gib }));
    }
    const vm = await at.newVm();
    await three.call('VM.start', vm, false, false);
    expect(at.row(vm).resident_on).toBe(two.host);
    expect(at.runsOn(vm)).toEqual([two.host]);
    expect(idle()).toBe(true);
    await one.call('VM.hard_shutdown', vm);
    expect(at.row(vm).power_state).toBe('Halted');
    expect(at.runsOn(vm)).toEqual([]);
  });

  test('goes to the host that the VM is meant for, as long as there is room', async () => {
    const [, , three] = await setUp();
    const vms: Ref<'VM'>[] = [];
    for (let i = 0; i < 3; i += 1) vms.push(await at.newVm({ affinity: three.host, ...memory(3n * gib) }));
    for (const vm of vms) await start(vm);
    expect(vms.map((vm) => at.row(vm).resident_on === three.host)).toEqual([true, true, false]);
  });

  test('keeps VMs of an anti-affinity group apart', async () => {
    await setUp();
    const group = 'OpaqueRef:group' as Ref<'VM_group'>;
    await at.store.commit((tx) => tx.create('VM_group', group, { uuid: 'g', placement: 'anti_affinity' }));
    const vms: Ref<'VM'>[] = [];
    for (let i = 0; i < 3; i += 1) vms.push(await at.newVm());
    await at.store.commit((tx) => {
      for (const vm of vms) tx.patch('VM', vm, { groups: [group] });
    });
    await Promise.all(vms.map(start));
    expect(new Set(vms.map((vm) => at.row(vm).resident_on)).size).toBe(3);
  });

  test('needs a host that is there, is enabled and sees its disks', async () => {
    const [one, two, three] = await setUp();
    const local = await at.localSr(two);
    const vm = await at.newVm({}, local);
    expect(await at.call('VM.get_possible_hosts', vm)).toEqual([two.host]);
    await start(vm);
    expect(at.row(vm).resident_on).toBe(two.host);
    await at.call('VM.hard_shutdown', vm);
    await at.call('host.disable', two.host);
    expect(await at.fault(start(vm))).toEqual(['NO_HOSTS_AVAILABLE']);
    await at.call('host.enable', two.host);
    await at.lose(two.host);
    expect(await at.fault(start(vm))).toEqual(['NO_HOSTS_AVAILABLE']);
    expect(await at.fault(at.call('VM.assert_can_boot_here', vm, two.host))).toEqual(['HOST_NOT_LIVE']);
    expect(await at.fault(at.call('VM.assert_can_boot_here', vm, three.host))).toEqual([
      'VM_REQUIRES_SR',
      vm,
      local,
    ]);
    expect(await at.fault(one.call('VM.start_on', vm, three.host, false, false))).toEqual([
      'VM_REQUIRES_SR',
      vm,
      local,
    ]);
    expect(idle()).toBe(true);
  });

  test('says so when no host has room, and start_on what the named host lacks', async () => {
    const [, two] = await setUp();
    const vm = await at.newVm(memory(16n * gib));
    expect((await at.fault(start(vm)))[0]).toBe('HOST_NOT_ENOUGH_FREE_MEMORY');
    const [code, needed, free] = await at.fault(at.call('VM.start_on', vm, two.host, false, false));
    expect([code, free]).toEqual(['HOST_NOT_ENOUGH_FREE_MEMORY', String(8n * gib)]);
    expect(BigInt(needed ?? '0')).toBeGreaterThan(16n * gib);
    expect(idle()).toBe(true);
  });

  test('on a named host runs there, whichever host is asked', async () => {
    const [, two, three] = await setUp();
    const vm = await at.newVm();
    await two.call('VM.start_on', vm, three.host, false, false);
    expect(at.runsOn(vm)).toEqual([three.host]);
    await two.call('VM.suspend', vm);
    expect(at.row(vm).power_state).toBe('Suspended');
    expect(at.hypervisors[2]?.machines.size).toBe(0);
    await three.call('VM.resume_on', vm, two.host, false, false);
    expect(at.runsOn(vm)).toEqual([two.host]);
    expect(idle()).toBe(true);
  });

  for (const step of ['importMetadata', 'start', 'unpause', 'state']) {
    test(`leaves nothing behind when it fails at ${step} on another host`, async () => {
      const [, two] = await setUp();
      const vm = await at.newVm();
      const before = at.row(vm);
      at.hypervisors[1]?.faults.set(step, new XenopsError('IO_error', []));
      expect((await at.fault(at.call('VM.start_on', vm, two.host, false, false)))[0]).toBe('VDI_IO_ERROR');
      expect(at.row(vm)).toEqual(before);
      expect(at.hypervisors[1]?.machines.size).toBe(0);
      await start(vm);
      expect(at.row(vm).power_state).toBe('Running');
    });
  }

  test('of one VM by many clients at once on several hosts starts it once', async () => {
    await setUp();
    const vm = await at.newVm();
    const faults = await Promise.all(
      [...at.hosts, ...at.hosts].map((host) => at.fault(host.call('VM.start', vm, false, false))),
    );
    expect(faults.filter(([code]) => code === 'no fault')).toHaveLength(1);
    expect(faults.filter(([code]) => code === 'VM_BAD_POWER_STATE')).toHaveLength(5);
    expect(at.runsOn(vm)).toHaveLength(1);
    expect(idle()).toBe(true);
  });

  test('never counts on memory that another start has, in any order of starts and stops', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ size: fc.integer({ min: 1, max: 5 }), by: fc.nat(2) }), {
          minLength: 1,
          maxLength: 10,
        }),
        async (wanted) => {
          at = await poolBench({ memoryBytes: 8n * gib });
          let overbooked = false;
          const stop = at.store.watch(() => {
            for (const [, host] of memoryOfHosts(at.store.latest)) {
              const used = host.guests.reduce((sum, one) => sum + one.dynamicMax + one.overhead, 0n);
              overbooked ||= used > host.total;
            }
          });
          const vms: Ref<'VM'>[] = [];
          for (const { size } of wanted) vms.push(await at.newVm(memory(BigInt(size) * gib)));
          const faults = await Promise.all(
            vms.map((vm, i) =>
              at.fault((at.hosts[wanted[i]?.by ?? 0] as WorldHost).call('VM.start', vm, false, false)),
            ),
          );
          stop();
          expect(overbooked).toBe(false);
          const codes = new Set(faults.map(([code]) => code));
          codes.delete('no fault');
          codes.delete('HOST_NOT_ENOUGH_FREE_MEMORY');
          expect([...codes]).toEqual([]);
          // Who was refused would not fit now either.
          const free = [...memoryOfHosts(at.store.latest).values()].map(freeOf);
          vms.forEach((vm, i) => {
            const { memory_dynamic_max, memory_overhead } = at.row(vm);
            const needed = memory_dynamic_max + memory_overhead;
            if (faults[i]?.[0] !== 'no fault') expect(free.filter((bytes) => bytes >= needed)).toEqual([]);
          });
          expect(idle()).toBe(true);
          await at.close();
        },
      ),
      { numRuns: 25 },
    );
    at = await poolBench();
  }, 60_000);
});

describe('memory that is set aside for a VM that nobody starts', () => {
  const setAside = (vm: Ref<'VM'>, { host }: WorldHost): Promise<void> =>
    at.store.commit((tx) => tx.patch('VM', vm, { scheduled_to_be_resident_on: host }));
  const isSetAside = (vm: Ref<'VM'>): boolean => at.row(vm).scheduled_to_be_resident_on !== nullRef;

  test('is given back in the second pass that finds it', async () => {
    const [, two] = await setUp();
    const vm = await at.newVm();
    await setAside(vm, two);
    const collect = reservationCollector();
    expect(await at.store.commit(collect)).toBe(0);
    expect(isSetAside(vm)).toBe(true);
    expect(await at.store.commit(collect)).toBe(1);
    expect(isSetAside(vm)).toBe(false);
    await start(vm);
    expect(at.row(vm).power_state).toBe('Running');
  });

  test('is given back at once when its host is gone', async () => {
    const [, two] = await setUp();
    const vm = await at.newVm();
    await setAside(vm, two);
    await at.lose(two.host);
    expect(await at.store.commit(reservationCollector())).toBe(1);
    expect(isSetAside(vm)).toBe(false);
  });

  test('stays with a start that has begun', async () => {
    const [, two] = await setUp();
    const vm = await at.newVm();
    await setAside(vm, two);
    await at.store.commit((tx) => tx.patch('VM', vm, { current_operations: new Map([['task', 'start']]) }));
    const collect = reservationCollector();
    for (let pass = 0; pass < 3; pass += 1) expect(await at.store.commit(collect)).toBe(0);
    expect(isSetAside(vm)).toBe(true);
  });
});
