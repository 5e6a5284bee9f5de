// Goal: tasks and queues of the daemon are bounded, cancelled when they should be and never lose an end.
// Method: both alone, with operations that end when the test says so.
import { expect, test } from 'vitest';
import { vmQueues } from '../../../src/daemons/xenopsd/queues.ts';
import { type Tasks, taskTable } from '../../../src/daemons/xenopsd/tasks.ts';
import { XenopsError } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { silentLog } from '../../../src/std/log.ts';
import type { Value } from '../../../src/std/value.ts';
import { manualClock } from '../../manual-clock.ts';
import { promised } from './harness.ts';

const table = (tasksMax = 100): { readonly tasks: Tasks; readonly ended: (id: string) => Promise<void> } => {
  const waiting = new Map<string, () => void>();
  const tasks = taskTable({
    clock: manualClock(),
    log: silentLog,
    changed: (id, gone) => {
      if (!gone && tasks.stat(id).state.kind !== 'Pending') waiting.get(id)?.();
    },
    limits: { tasksMax, triggersMax: 2 },
  });
  return { tasks, ended: (id) => new Promise((resolve) => waiting.set(id, resolve)) };
};
const forever = (): Promise<undefined> => new Promise(() => {});

test('ids count from 0 and a task tells how it ended', async () => {
  const { tasks, ended } = table();
  const result = promised<Value | undefined>();
  const good = tasks.create('good', () => result.promise);
  expect(good).toBe('0');
  expect(tasks.stat('0')).toMatchObject({
    debugInfo: 'good',
    state: { kind: 'Pending', progress: 0 },
    cancellable: true,
  });
  const end = ended('0');
  result.resolve('made');
  await end;
  expect(tasks.stat('0').state).toMatchObject({ kind: 'Completed', result: 'made' });
  // One with a name answers its caller at its end, and is gone then.
  const named = tasks.perform('mine', 'named', async () => 'made too');
  await expect(tasks.perform('mine', 'named', async () => undefined)).rejects.toThrow('Already_exists');
  expect((await named).state).toMatchObject({ kind: 'Completed', result: 'made too' });
  expect(() => tasks.stat('mine')).toThrow('Does_not_exist');
  const bad = tasks.create('bad', async () => {
    throw new XenopsError('IO_error', []);
  });
  await ended(bad);
  expect(tasks.stat('1').state).toEqual({ kind: 'Failed', error: new XenopsError('IO_error', []) });
  const broken = tasks.create('broken', async () => {
    throw new TypeError('oops');
  });
  await ended(broken);
  expect(tasks.stat('2').state).toEqual({
    kind: 'Failed',
    error: new XenopsError('Internal_error', ['oops']),
  });
});

test('a cancelled task fails at its next cancellation point, and one that may not be cancelled goes on', async () => {
  const { tasks, ended } = table();
  const go = promised<void>();
  const id = tasks.create('first', async (work) => {
    await go.promise;
    work.check();
    return undefined;
  });
  tasks.cancel(id);
  const end = ended(id);
  go.resolve();
  await end;
  expect(tasks.stat(id).state).toEqual({ kind: 'Failed', error: new XenopsError('Cancelled', [id]) });
  tasks.cancel(id);
  const firm = tasks.create('second', async (work) => {
    work.setCancellable(false);
    tasks.cancel(firmId());
    work.check();
    return undefined;
  });
  function firmId(): string {
    return '1';
  }
  await ended(firm);
  expect(tasks.stat(firm)).toMatchObject({ state: { kind: 'Completed' }, cancellable: false });
});

test('what an operation throws when it was cut short is Cancelled to its client', async () => {
  const { tasks, ended } = table();
  const id = tasks.create(
    'cut',
    (work) =>
      new Promise((_, reject) => {
        work.signal.addEventListener('abort', () => reject(new Error('the socket is closed')));
      }),
  );
  const end = ended(id);
  tasks.cancel(id);
  await end;
  expect(tasks.stat(id).state).toMatchObject({ kind: 'Failed', error: { tag: 'Cancelled' } });
});

test('at the limit the oldest finished task makes room, and without one the new task is refused', async () => {
  const { tasks, ended } = table(2);
  const done = tasks.create('done', async () => undefined);
  await ended(done);
  tasks.create('one', forever);
  tasks.create('two', forever);
  expect(() => tasks.stat(done)).toThrow('Does_not_exist');
  expect(() => tasks.create('three', forever)).toThrow('tasks are running');
});

test('a task that is destroyed on finish is gone with its end', async () => {
  const { tasks } = table();
  const go = promised<void>();
  const id = tasks.create('quiet', async () => {
    await go.promise;
    return undefined;
  });
  tasks.destroyOnFinish(id);
  go.resolve();
  await tasks.close();
  expect(() => tasks.stat(id)).toThrow('Does_not_exist');
});

test('steps of progress too small to see are not announced', () => {
  const seen: string[] = [];
  const tasks = taskTable({ clock: manualClock(), log: silentLog, changed: (id) => seen.push(id) });
  tasks.create('steps', async (work) => {
    for (let step = 0; step <= 10_000; step += 1) work.progress(step / 10_000);
    return forever();
  });
  expect(seen.length).toBeGreaterThan(50);
  expect(seen.length).toBeLessThanOrEqual(100);
});

test('a queue lets one in at a time, in order of arrival', async () => {
  const queues = vmQueues(10);
  const order: string[] = [];
  const enter = async (name: string): Promise<() => void> => {
    const leave = await queues.enter('a');
    order.push(name);
    return leave;
  };
  const leave1 = await enter('1');
  const second = enter('2');
  const third = enter('3');
  const elsewhere = await queues.enter('b');
  elsewhere();
  expect(order).toEqual(['1']);
  leave1();
  const leave2 = await second;
  expect(order).toEqual(['1', '2']);
  leave2();
  leave2();
  (await third)();
  expect(order).toEqual(['1', '2', '3']);
});

test('who gives up waiting is passed over, and one too many is refused', async () => {
  const queues = vmQueues(1);
  const leave = await queues.enter('a');
  const gone = new AbortController();
  const waiting = queues.enter('a', gone.signal);
  await expect(queues.enter('a')).rejects.toMatchObject({ tag: 'Internal_error' });
  gone.abort(new XenopsError('Cancelled', ['5']));
  await expect(waiting).rejects.toMatchObject({ tag: 'Cancelled' });
  const next = queues.enter('a');
  leave();
  (await next)();
});
