// Goal: work keeps every row busy that it needs, from its beginning until it has settled; nothing stays so.
// Method: the real runtime in process, with classes whose handlers each test scripts; a host, two, one dying.
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { endPendingTasks } from '../../actors/task/start.ts';
import { VDI } from '../../actors/vdi/class.ts';
import { VM } from '../../actors/vm/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import { implement, type Working } from '../../src/objects/implement.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { hostRef, type World, world } from '../world.ts';

const [vm, other] = ['OpaqueRef:vm', 'OpaqueRef:other'] as [Ref<'VM'>, Ref<'VM'>];
const [near, far] = ['OpaqueRef:near', 'OpaqueRef:far'] as [Ref<'VDI'>, Ref<'VDI'>];
const blocked = (ref: Ref<'VDI'>): Hold => ({ cls: 'VDI', ref, operation: 'blocked' });
type Work = (working: Working<'VM'>) => Promise<void>;

let w: World;
afterEach(() => w.close());

interface Script {
  readonly holds?: readonly Hold[];
  readonly start: Work;
  readonly hard_shutdown?: Work;
  readonly resize?: (working: Working<'VDI'>) => Promise<void>;
  readonly hosts?: number;
}

const operationsOf = (view: View, cls: 'VM' | 'VDI', ref: Ref<any>): ReadonlyMap<string, string> =>
  cls === 'VM'
    ? view.require('VM', ref as Ref<'VM'>).current_operations
    : view.require('VDI', ref as Ref<'VDI'>).current_operations;

/** One operation at a time; a VM is told to shut down whatever it does. */
const alone = (cls: 'VM' | 'VDI') => (view: View, self: Ref<any>, operation: string) => {
  const [running] = [...operationsOf(view, cls, self)];
  return running === undefined || operation === 'hard_shutdown'
    ? undefined
    : new Fault('OTHER_OPERATION_IN_PROGRESS', [cls, self, running[1], running[0]]);
};

const open = async ({ holds = [], start, hard_shutdown, resize, hosts = 1 }: Script): Promise<void> => {
  const vms = implement(
    VM,
    { admit: alone('VM'), home: (_, __, { resident_on }) => resident_on },
    {
      start: { operation: 'start', holds: () => holds, work: start },
      hard_shutdown: { operation: 'hard_shutdown', work: hard_shutdown ?? (async () => {}) },
    },
  );
  const disks = implement(
    VDI,
    { admit: alone('VDI') },
    { resize: { operation: 'resize', work: resize ?? (async () => {}) } },
  );
  w = await world({
    behaviours: [vms, disks],
    hosts,
    rows: (tx) => {
      tx.create('VM', vm, { uuid: 'vm', resident_on: hostRef(hosts - 1) });
      tx.create('VM', other, { uuid: 'other', resident_on: hostRef(0) });
      for (const ref of [near, far]) tx.create('VDI', ref, { uuid: ref, virtual_size: 1n });
    },
  });
};

const busy = (cls: 'VM' | 'VDI', ref: Ref<any>): readonly string[] => [
  ...operationsOf(w.store.committed, cls, ref).values(),
];
const nothingBusy = () => [busy('VM', vm), busy('VDI', near), busy('VDI', far)].flat();
const start = () => w.call('VM.start', vm, false, false);
const gate = () => {
  let pass: () => void = () => {};
  const passed = new Promise<void>((resolve) => {
    pass = resolve;
  });
  return { pass, passed };
};

describe('rows that are declared as held', () => {
  test('are busy while the work runs, under its task, and free in the commit that settles it', async () => {
    const { pass, passed } = gate();
    await open({ holds: [blocked(near), blocked(far)], start: () => passed });
    const answered = start();
    await w.until(() => busy('VM', vm).length === 1);
    const [[task] = []] = [...w.store.committed.all('task')];
    expect([...w.store.committed.require('VDI', far).current_operations]).toEqual([[task, 'blocked']]);
    const before = w.store.generation;
    pass();
    await answered;
    expect(w.store.generation).toBe(before + 1);
    expect(nothingBusy()).toEqual([]);
  });

  test('are waited for all together: work that waits for one keeps no other from anybody', async () => {
    const { pass, passed } = gate();
    const order: string[] = [];
    await open({
      holds: [blocked(near), blocked(far)],
      start: async () => void order.push('start'),
      resize: async ({ self }) => {
        if (self === far) await passed;
        order.push(self);
      },
    });
    const resizing = w.call('VDI.resize', far, 2n);
    await w.until(() => busy('VDI', far).length === 1);
    const starting = start();
    await w.call('VDI.resize', near, 2n);
    expect(busy('VDI', near)).toEqual([]);
    pass();
    await Promise.all([resizing, starting]);
    expect(order).toEqual([near, far, 'start']);
  });

  test('are free again after failure, and what has no such row is refused', async () => {
    const gone = blocked('OpaqueRef:gone' as Ref<'VDI'>);
    const holds = [blocked(near)];
    await open({ holds, start: () => Promise.reject(new Fault('NO_HOSTS_AVAILABLE')) });
    await expect(start()).rejects.toMatchObject({ code: 'NO_HOSTS_AVAILABLE' });
    expect(nothingBusy()).toEqual([]);
    holds.push(gone);
    await expect(start()).rejects.toMatchObject({ code: 'HANDLE_INVALID', params: ['VDI', gone.ref] });
  });
});

describe('a row that is held in the middle of work', () => {
  test('is refused while it is busy, and otherwise busy until the end', async () => {
    const { pass, passed } = gate();
    const outcomes: unknown[] = [];
    await open({
      start: async ({ hold, view }) => {
        await hold(blocked(far)).catch((error) => outcomes.push(error.code));
        await hold(blocked(near));
        outcomes.push([...view.require('VDI', near).current_operations.values()]);
        pass();
      },
      resize: () => passed,
    });
    const resizing = w.call('VDI.resize', far, 2n);
    await w.until(() => busy('VDI', far).length === 1);
    await Promise.all([start(), resizing]);
    expect(outcomes).toEqual(['OTHER_OPERATION_IN_PROGRESS', ['blocked']]);
    expect(nothingBusy()).toEqual([]);
  });

  test('is free for the steps that take back what was done before', async () => {
    const undone: string[] = [];
    await open({
      start: async ({ hold, undo, call }) => {
        undo(async () => {
          await call('VDI.resize', near, { size: 1n });
          undone.push('resized');
        });
        await hold(blocked(near));
        throw new Fault('NO_HOSTS_AVAILABLE');
      },
    });
    await expect(start()).rejects.toMatchObject({ code: 'NO_HOSTS_AVAILABLE' });
    expect(undone).toEqual(['resized']);
    expect(nothingBusy()).toEqual([]);
  });
});

test('a call within work leaves the row busy that the work around it holds', async () => {
  const seen: (readonly string[])[] = [];
  const holds: readonly Hold[] = [{ cls: 'VM', ref: other, operation: 'reverting' }];
  await open({
    holds,
    start: async ({ call, view }) => {
      await call('VM.hard_shutdown', other, {});
      seen.push([...view.require('VM', other).current_operations.values()]);
    },
    hard_shutdown: async ({ record }) => void seen.push([...record.current_operations.values()]),
  });
  await start();
  expect(seen).toEqual([['reverting', 'hard_shutdown'], ['reverting']]);
  expect(busy('VM', other)).toEqual([]);
});

test('a host that dies leaves nothing busy, also of work that had no task, and takes nothing of another host along', async () => {
  const { pass, passed } = gate();
  await open({
    hosts: 2,
    holds: [],
    start: ({ hold, services }) =>
      hold(blocked(services.host === hostRef(0) ? near : far)).then(() => passed),
  });
  const [first, second] = w.hosts;
  const here = first?.invoker.call('VM.start', other, { start_paused: false, force: false });
  const there = second?.invoker.call('VM.start', vm, { start_paused: false, force: false });
  await w.until(() => busy('VDI', near).length + busy('VDI', far).length === 2);
  there?.catch(() => {});
  await w.lose(hostRef(1));
  await endPendingTasks(w.store, 0, (host) => host === hostRef(1));
  expect([busy('VM', vm), busy('VDI', far)]).toEqual([[], []]);
  expect([busy('VM', other), busy('VDI', near)]).toEqual([['start'], ['blocked']]);
  pass();
  await here;
  expect(busy('VDI', near)).toEqual([]);
});

/**
 * What is no work's: the rows of a new object, of a guest that is gone, and what is done to a task itself.
 */
const writers = /^src\/objects\/(busy|tasks)\.ts$|^actors\/task\/|^actors\/vm\/(halting|stopping)\.ts$/;

test('nothing else writes what rows are busy with', () => {
  const sources = ['src', 'actors'].flatMap((room) =>
    readdirSync(room, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => `${room}/${path}`),
  );
  const writing = /\b(current_operations: (new Map|\w+\b(?!\())|\['current_operations'\] =)/;
  const found = sources
    .filter((path) => !writers.test(path) && !/class\.ts$|fields\.ts$|\/fates\//.test(path))
    .filter((path) => writing.test(readFileSync(path, 'utf8')));
  expect(found).toEqual([]);
});
