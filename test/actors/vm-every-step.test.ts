// Goal: whatever takes several steps may fail at each of them, or be cancelled there, and leaves no residue: nothing
// stays busy, rows and daemon agree, every disk is somebody's, and what was asked for can be asked for again.
// Method: each operation runs once to count its steps with the hypervisor and the disks, then once for each step, which
// fails or in which its task is cancelled; all of that in a host of its own.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { XenopsError } from '../../src/drivers/hypervisor/hypervisor.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { Fault } from '../../src/std/fault.ts';
import { type PoolBench, poolBench } from './pool-bench.ts';
import { type Bench, bench, type FakeHypervisor, fakeDisks, fakeHypervisor } from './vm-bench.ts';

interface Stage {
  readonly at: Bench;
  readonly vm: Ref<'VM'>;
  readonly hypervisor: FakeHypervisor;
  /** Told of each step of either kind. */
  watch(gate: (name: string) => void): void;
}

interface Operation {
  readonly name: string;
  readonly prepare: (stage: Stage) => Promise<void>;
  /** Wire name and arguments. */
  readonly ask: (stage: Stage) => readonly [method: string, ...args: readonly unknown[]];
  /** It leaves the disks of what it destroys, as it should. */
  readonly leavesDisks?: true;
}

const [hypervisor, disks] = [fakeHypervisor(), fakeDisks()];
let at: Bench;
beforeAll(async () => {
  at = await bench(hypervisor, { disks });
});
afterAll(() => at.close());

const watch: Stage['watch'] = (gate) => {
  hypervisor.gate = gate;
  disks.gate = gate;
};

/** Each stage is the first, so that there is little to compare. */
const forgetAll = async (): Promise<void> => {
  hypervisor.machines.clear();
  await at.store.commit((tx) => {
    for (const cls of ['VM', 'VBD', 'VIF', 'VDI', 'console', 'message', 'VM_metrics'] as const) {
      for (const [ref] of [...tx.all(cls)]) tx.delete(cls, ref as Ref<any>);
    }
  });
};

const stageOf = async ({ prepare }: Operation): Promise<Stage> => {
  const stage = { at, vm: await at.newVm(), hypervisor, watch };
  await prepare(stage);
  return stage;
};

const none = async (): Promise<void> => {};
const running = async ({ at, vm }: Stage): Promise<void> => at.call('VM.start', vm, false, false);
const paused = async (stage: Stage): Promise<void> => {
  await running(stage);
  await stage.at.call('VM.pause', stage.vm);
};
const asleep = async (stage: Stage): Promise<void> => {
  await running(stage);
  await stage.at.call('VM.suspend', stage.vm);
};
const after =
  (prepare: (stage: Stage) => Promise<void>, method: string, name: string) =>
  async (stage: Stage): Promise<void> => {
    await prepare(stage);
    await stage.at.call(method, stage.vm, name);
    await stage.at.call('VM.set_VCPUs_params', stage.vm, new Map([['weight', '7']]));
  };
const onVm =
  (method: string, ...rest: readonly unknown[]): Operation['ask'] =>
  ({ vm }) => [method, vm, ...rest];
const onSnapshot =
  (method: string): Operation['ask'] =>
  ({ at, vm }) => [method, at.store.committed.require('VM', vm).snapshots[0]];
const onDrive =
  (method: string, type: string): Operation['ask'] =>
  ({ at, vm }) => [
    method,
    at.store.committed
      .require('VM', vm)
      .VBDs.find((ref) => at.store.committed.require('VBD', ref).type === type),
  ];

const operations: readonly Operation[] = [
  { name: 'a start', prepare: none, ask: onVm('VM.start', false, false) },
  { name: 'a pause', prepare: running, ask: onVm('VM.pause') },
  { name: 'an unpause', prepare: paused, ask: onVm('VM.unpause') },
  { name: 'a clean shutdown', prepare: running, ask: onVm('VM.clean_shutdown') },
  { name: 'a shutdown', prepare: running, ask: onVm('VM.shutdown') },
  { name: 'a hard shutdown', prepare: running, ask: onVm('VM.hard_shutdown') },
  { name: 'a hard shutdown of one that sleeps', prepare: asleep, ask: onVm('VM.hard_shutdown') },
  { name: 'a hard reboot', prepare: running, ask: onVm('VM.hard_reboot') },
  { name: 'a suspend', prepare: running, ask: onVm('VM.suspend') },
  { name: 'a resume', prepare: asleep, ask: onVm('VM.resume', false, false) },
  { name: 'a clone', prepare: none, ask: onVm('VM.clone', 'copy') },
  { name: 'a copy', prepare: none, ask: onVm('VM.copy', 'copy', 'OpaqueRef:NULL') },
  { name: 'a snapshot', prepare: running, ask: onVm('VM.snapshot', 'taken') },
  { name: 'a checkpoint', prepare: running, ask: onVm('VM.checkpoint', 'taken') },
  { name: 'a checkpoint of one that stands still', prepare: paused, ask: onVm('VM.checkpoint', 'taken') },
  { name: 'a checkpoint of one that sleeps', prepare: asleep, ask: onVm('VM.checkpoint', 'taken') },
  { name: 'a revert', prepare: after(none, 'VM.snapshot', 'then'), ask: onSnapshot('VM.revert') },
  {
    name: 'a revert of one that runs',
    prepare: after(running, 'VM.snapshot', 'then'),
    ask: onSnapshot('VM.revert'),
  },
  {
    name: 'a revert to a checkpoint',
    prepare: after(running, 'VM.checkpoint', 'then'),
    ask: onSnapshot('VM.revert'),
  },
  { name: 'the end of one that sleeps', prepare: asleep, ask: onVm('VM.destroy'), leavesDisks: true },
  {
    name: 'the end of a checkpoint',
    prepare: after(running, 'VM.checkpoint', 'x'),
    ask: onSnapshot('VM.destroy'),
    leavesDisks: true,
  },
  { name: 'an unplug of a drive', prepare: running, ask: onDrive('VBD.unplug', 'Disk') },
];

type Rows = Bench['store']['committed'];

/** What a guest that was woken has anew. */
const transient = ['leftovers', 'last_booted_record', 'consoles', 'domid'];

/** What clients see, except that. */
const seen = ({ store }: Bench): unknown =>
  (['VM', 'VBD', 'VIF', 'VDI'] as const).map((cls) =>
    [...store.committed.all(cls)].map(([ref, row]) => {
      const fields = Object.entries(row as Record<string, unknown>);
      return [ref, Object.fromEntries(fields.filter(([field]) => !transient.includes(field)))];
    }),
  );

const powers = ({ at, hypervisor }: Stage): readonly string[] =>
  [...at.store.committed.all('VM')].map(
    ([, { uuid, power_state }]) => `${power_state} ${hypervisor.machines.get(uuid)?.power ?? 'none'}`,
  );

const agreed: readonly string[] = [
  'Halted none',
  'Halted Halted',
  'Running Running',
  'Paused Paused',
  'Suspended none',
  // It forgets what ended when it is told of it anew.
  'Suspended Halted',
  'Suspended Suspended',
];

/** Disks that no drive has, that no VM sleeps in, and that no work has noted to clear up. */
const strays = (rows: Rows): readonly Ref<'VDI'>[] => {
  const vms = [...rows.all('VM')].map(([, vm]) => vm);
  return [...rows.all('VDI')]
    .filter(([ref, { VBDs }]) => {
      const slept = vms.some((vm) => vm.suspend_VDI === ref && vm.power_state === 'Suspended');
      return VBDs.length === 0 && !slept && !vms.some(({ leftovers }) => leftovers.has(ref));
    })
    .map(([ref]) => ref);
};

/** Drives of VMs whose disk is gone. */
const bereft = (rows: Rows): readonly Ref<'VBD'>[] =>
  [...rows.all('VBD')]
    .filter(([, { empty, VDI }]) => !empty && rows.get('VDI', VDI) === undefined)
    .map(([ref]) => ref);

const busy = (rows: Rows): readonly string[] =>
  (['VM', 'VBD', 'VDI'] as const).flatMap((cls) =>
    [...rows.all(cls)].flatMap(([ref, { current_operations }]) =>
      [...current_operations.values()].map((one) => `${ref} ${one}`),
    ),
  );

/** Checks that nothing is left that was not so before. */
const checkRest = async (stage: Stage, before: ReturnType<typeof strays>): Promise<void> => {
  const rows = stage.at.store.committed;
  expect(busy(rows)).toEqual([]);
  // What the daemon reports comes a little later.
  await stage.at.until(() => powers(stage).every((one) => agreed.includes(one)));
  expect(strays(rows).filter((one) => !before.includes(one))).toEqual([]);
  expect(bereft(rows)).toEqual([]);
};

/** Ordinary calls bring it back to life, whatever became of it. */
const comesToLife = async ({ at, vm }: Stage): Promise<void> => {
  if (at.store.committed.get('VM', vm) === undefined) return;
  if (at.state(vm) === 'Suspended') await at.call('VM.resume', vm, false, false);
  if (at.state(vm) === 'Paused') await at.call('VM.unpause', vm);
  if (at.state(vm) === 'Halted') await at.call('VM.start', vm, false, false);
  expect(at.state(vm)).toBe('Running');
};

/** Disks that are nobody's before, or may be so afterwards. */
const mayStray = ({ leavesDisks }: Operation, { at: { store } }: Stage): readonly Ref<'VDI'>[] =>
  leavesDisks
    ? [...store.committed.all('VDI')].flatMap(([ref, { type }]) => (type === 'suspend' ? [] : [ref]))
    : strays(store.committed);

const stepsOf = async (operation: Operation): Promise<readonly string[]> => {
  const stage = await stageOf(operation);
  const steps: string[] = [];
  stage.watch((name) => steps.push(name));
  const known = mayStray(operation, stage);
  const [method, ...args] = operation.ask(stage);
  await stage.at.call(method, ...args);
  stage.watch(() => {});
  await checkRest(stage, known);
  await forgetAll();
  return steps;
};

/** Runs it, with something done at one of its steps; answers whether it was done all the same. */
const disturbed = async (
  operation: Operation,
  index: number,
  disturb: (stage: Stage, task: () => Ref<'task'>, name: string) => void,
): Promise<void> => {
  const stage = await stageOf(operation);
  const { at, watch } = stage;
  const before = seen(at);
  const known = mayStray(operation, stage);
  const powerBefore = powers(stage);
  let count = 0;
  let task: Ref<'task'> | undefined;
  watch((name) => {
    count += 1;
    if (count === index + 1) disturb(stage, () => task as Ref<'task'>, name);
  });
  const [method, ...args] = operation.ask(stage);
  task = await at.callAsync(method, ...args);
  const { status } = await at.finished(task);
  await at.store.commit((tx) => tx.delete('task', task as Ref<'task'>));
  await checkRest(stage, known);
  // A guest that was ended all the same is not brought back, and its devices say so.
  if (status !== 'success' && powers(stage).join() === powerBefore.join()) expect(seen(at)).toEqual(before);
  watch(() => {});
  await comesToLife(stage);
  await forgetAll();
};

describe.each(operations)('$name', (operation) => {
  test('leaves no residue where one of its steps fails', async () => {
    const steps = await stepsOf(operation);
    expect(steps.length).toBeGreaterThan(0);
    for (const index of steps.keys()) {
      await disturbed(operation, index, (_, __, name) => {
        throw name.startsWith('VDI.') ? new Fault('SR_FULL', ['1', '2']) : new XenopsError('IO_error', []);
      });
    }
  });

  test('leaves no residue where it is cancelled in one of its steps', async () => {
    const steps = await stepsOf(operation);
    for (const index of steps.keys()) {
      await disturbed(operation, index, ({ at }, task) => {
        at.services.cancel(task());
      });
    }
  });
});

interface Journey {
  readonly name: string;
  readonly method: string;
  /** Of the VM, which runs on the second of three hosts. */
  readonly args: (there: Ref<'host'>) => readonly unknown[];
}

const journeys: readonly Journey[] = [
  {
    name: 'a migration',
    method: 'VM.pool_migrate',
    args: (there) => [there, new Map([['live', 'true']])],
  },
  { name: 'a suspend on a member', method: 'VM.suspend', args: () => [] },
  { name: 'a checkpoint on a member', method: 'VM.checkpoint', args: () => ['taken'] },
];

describe.each(journeys)('$name', ({ method, args }) => {
  let pool: PoolBench;
  beforeAll(async () => {
    pool = await poolBench();
  });
  afterAll(() => pool.close());

  /** Runs it, with something done at one of its steps; answers how many there were. */
  const travel = async (index: number, disturb: (task: Ref<'task'>) => void): Promise<number> => {
    const [, here, there] = pool.hosts.map(({ host }) => host) as [unknown, Ref<'host'>, Ref<'host'>];
    const vm = await pool.newVm();
    await pool.call('VM.start_on', vm, here, false, false);
    let count = 0;
    let task = nullRef as Ref<'task'>;
    const gate = (): void => {
      count += 1;
      if (count === index + 1) disturb(task);
    };
    for (const hypervisor of pool.hypervisors) hypervisor.gate = gate;
    task = await pool.callAsync(method, vm, ...args(there));
    await pool.finished(task);
    for (const hypervisor of pool.hypervisors) hypervisor.gate = () => {};
    const row = () => pool.row(vm);
    await pool.until(() => row().current_operations.size === 0);
    const isLive = () => row().power_state === 'Running' || row().power_state === 'Paused';
    await pool.until(() => pool.runsOn(vm).join() === (isLive() ? row().resident_on : ''));
    expect([...pool.store.committed.all('xenact_step')]).toEqual([]);
    expect(row().scheduled_to_be_resident_on).toBe(nullRef);
    if (row().power_state === 'Suspended') await pool.call('VM.resume_on', vm, there, false, false);
    if (row().power_state === 'Halted') await pool.call('VM.start_on', vm, there, false, false);
    expect(pool.runsOn(vm).length).toBe(1);
    await pool.call('VM.hard_shutdown', vm);
    return count;
  };

  test('leaves the guest on one host where one of its steps fails, or is cancelled there', async () => {
    const steps = await travel(-1, () => {});
    expect(steps).toBeGreaterThan(0);
    for (let index = 0; index < steps; index += 1) {
      await travel(index, () => {
        throw new XenopsError('IO_error', []);
      });
      await travel(index, (task) => void pool.services.cancel(task));
    }
  });
});
