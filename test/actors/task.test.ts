// Goal: tasks are the client's to make, cancel and destroy, outlive a restart, and do not pile up.
// Method: task messages by wire name on one host in process, with the real disk where a restart matters.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import task from '../../actors/task/behaviour.ts';
import { finishedMs, hungMs, keptMax, taskCollector } from '../../actors/task/collect.ts';
import { endPendingTasks } from '../../actors/task/start.ts';
import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import type { Caller } from '../../src/objects/implement.ts';
import { tasksFewMax, tasksMax, tasksOfUser } from '../../src/objects/tasks.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import type { Tx } from '../../src/store/view.ts';
import { manualClock } from '../manual-clock.ts';
import { type World, type WorldOptions, world } from '../world.ts';

const opened = (options: WorldOptions = {}): Promise<World> => world({ behaviours: [task], ...options });

const userOf = (name: string, role: Caller['role'] = 'vm-admin'): Caller => ({
  session: `OpaqueRef:${name}` as Ref<'session'>,
  user: name,
  role,
  originator: '',
});

const sessionRow = (tx: Tx, name: string, sid: string): void =>
  tx.create('session', `OpaqueRef:${name}` as Ref<'session'>, { uuid: name, auth_user_sid: sid });

const taskRow = (tx: Tx, name: string, fields: object): Ref<'task'> => {
  const ref = `OpaqueRef:${name}` as Ref<'task'>;
  tx.create('task', ref, { uuid: name, ...fields });
  return ref;
};

const record = (here: World, ref: Ref<'task'>) => here.store.committed.require('task', ref);
const names = (here: World) => [...here.store.committed.all('task')].map(([, { uuid }]) => uuid);

describe('Tasks made by clients', () => {
  test('show the progress, result and end that their maker gives them', async () => {
    const here = await opened();
    const ref = await here.call('task.create', 'Backup', 'of everything');
    expect(record(here, ref)).toMatchObject({ name_label: 'Backup', status: 'pending', progress: 0 });
    await here.call('task.set_progress', ref, 0.5);
    await here.call('task.set_result', ref, 'done');
    await here.call('task.add_to_other_config', ref, 'k', 'v');
    await here.call('task.set_status', ref, 'success');
    expect(record(here, ref)).toMatchObject({ status: 'success', result: 'done', allowed_operations: [] });
    expect(record(here, ref).finished).not.toMatch(/^1970/);
    await expect(here.call('task.add_to_other_config', ref, 'k', 'w')).rejects.toMatchObject({
      code: 'MAP_DUPLICATE_KEY',
      params: ['task', 'other_config', ref, 'k'],
    });
    await here.call('task.remove_from_other_config', ref, 'missing');
    await here.call('task.destroy', ref);
    expect(here.store.committed.get('task', ref)).toBeUndefined();
    await here.close();
  });

  test.each([-0.1, 1.1, Number.NaN])('take no progress of %s', async (value) => {
    const here = await opened();
    const ref = await here.call('task.create', 'a', '');
    await expect(here.call('task.set_progress', ref, value)).rejects.toMatchObject({ code: 'INVALID_VALUE' });
    await here.close();
  });

  test('cannot fill the host, and who has many leaves others theirs', async () => {
    const here = await opened({
      rows: (tx) => {
        for (let i = 0; i < tasksMax; i += 1) taskRow(tx, `t${i}`, { holder: `user ${i % 4}` });
      },
    });
    const many = { code: 'TOO_MANY_PENDING_TASKS' };
    await expect(here.callAs(userOf('user 1'), 'task.create', 'a', '')).rejects.toMatchObject(many);
    for (let i = 0; i < tasksFewMax; i += 1) await here.callAs(userOf('ann'), 'task.create', 'a', '');
    await expect(here.callAs(userOf('ann'), 'task.create', 'a', '')).rejects.toMatchObject(many);
    await here.callAs(userOf('bob'), 'task.create', 'a', '');
    await here.close();
  });

  test('of one user are so many at most, and make room by forgetting what ended first', async () => {
    const here = await opened({
      rows: (tx) => {
        for (let i = 0; i < tasksOfUser.rowsMax; i += 1) {
          const ended = {
            status: 'success',
            finished: dateTimeOf(Date.UTC(2026, 0, 2, 0, 0, i === 3 ? 0 : 1)),
          };
          taskRow(tx, `t${i}`, { holder: 'ann', ...(i === 3 || i === 5 ? ended : {}) });
        }
      },
    });
    const create = () => here.callAs(userOf('ann'), 'task.create', 'a', '');
    await create();
    expect(names(here)).not.toContain('t3');
    expect(names(here)).toContain('t5');
    await create();
    await expect(create()).rejects.toMatchObject({ code: 'TOO_MANY_PENDING_TASKS' });
    await here.close();
  });

  test('of one user hold so many bytes at most, however they came to', async () => {
    const here = await opened();
    const text = 'x'.repeat(tasksOfUser.bytesMax / 16);
    const made: Ref<'task'>[] = [];
    const fill = async (): Promise<void> => {
      const ref = await here.callAs(userOf('ann'), 'task.create', 'a', '');
      await here.callAs(userOf('ann'), 'task.set_result', ref, text);
      made.push(ref);
    };
    for (let i = 0; i < 15; i += 1) await fill();
    await expect(fill()).rejects.toMatchObject({ code: 'TOO_MANY_PENDING_TASKS' });
    await here.callAs(userOf('ann'), 'task.set_status', made[4], 'success');
    await fill();
    expect(here.store.committed.get('task', made[4] as Ref<'task'>)).toBeUndefined();
    await here.callAs(
      userOf('bob'),
      'task.set_result',
      await here.callAs(userOf('bob'), 'task.create', 'b', ''),
      text,
    );
    await here.close();
  });

  test('belong to their user in all sessions, and to nobody else below a pool operator', async () => {
    const here = await opened({
      rows: (tx) => {
        sessionRow(tx, 'ann', 'S-1');
        sessionRow(tx, 'ann again', 'S-1');
        sessionRow(tx, 'bob', 'S-2');
      },
    });
    const ref = await here.callAs(userOf('ann'), 'task.create', 'a', '');
    for (const [method, ...args] of [['task.destroy'], ['task.cancel'], ['task.set_status', 'success']]) {
      await expect(here.callAs(userOf('bob'), method ?? '', ref, ...args)).rejects.toMatchObject({
        code: 'RBAC_PERMISSION_DENIED',
      });
    }
    await here.callAs(userOf('ann again'), 'task.set_progress', ref, 0.1);
    await here.callAs(userOf('bob', 'pool-operator'), 'task.set_progress', ref, 0.2);
    expect(record(here, ref).progress).toBe(0.2);
    await here.close();
  });
});

describe('Destroying and cancelling', () => {
  test('a task whose work goes on is only marked, and goes with the first pass after its end', async () => {
    const here = await opened();
    const collect = taskCollector();
    const ref = await here.store.commit((tx) => taskRow(tx, 'worked on', { status: 'pending' }));
    await here.call('task.destroy', ref);
    expect(record(here, ref).current_operations).toEqual(new Map([['task', 'destroy']]));
    const nowMs = here.services.clock.now();
    expect(await here.store.commit((tx) => collect(tx, nowMs))).toBe(0);
    await here.store.commit((tx) =>
      tx.patch('task', ref, { status: 'success', finished: dateTimeOf(nowMs) }),
    );
    expect(await here.store.commit((tx) => collect(tx, nowMs))).toBe(1);
    await here.close();
  });

  test('a task that a client made goes at once, cancelled before or not, as nothing else would end it', async () => {
    const here = await opened();
    const [plain, cancelled] = [
      await here.call('task.create', 'a', ''),
      await here.call('task.create', 'b', ''),
    ];
    await here.call('task.cancel', cancelled);
    for (const ref of [plain, cancelled]) await here.call('task.destroy', ref);
    expect(names(here)).toEqual([]);
    await here.close();
  });

  test('cancel reaches the work behind the task and says so on the task', async () => {
    const cancelled: string[] = [];
    const here = await opened({
      services: {
        cancel: (ref) => {
          cancelled.push(ref);
          return true;
        },
      },
    });
    const ref = await here.call('task.create', 'a', '');
    const canceller = await here.callAsync('task.cancel', ref);
    await here.finished(canceller);
    await here.call('task.cancel', ref);
    expect(cancelled).toEqual([ref, ref]);
    expect(record(here, ref).current_operations).toEqual(new Map([[canceller, 'cancel']]));
    await here.close();
  });

  test('what can no longer be cancelled is refused, and what is over is left as it is', async () => {
    const here = await opened({
      rows: (tx) => {
        taskRow(tx, 'late', { status: 'pending' });
        taskRow(tx, 'over', { status: 'failure' });
      },
    });
    await expect(here.call('task.cancel', 'OpaqueRef:late')).rejects.toMatchObject({
      code: 'OPERATION_NOT_ALLOWED',
    });
    await here.call('task.cancel', 'OpaqueRef:over');
    expect(record(here, 'OpaqueRef:over' as Ref<'task'>).current_operations.size).toBe(0);
    await here.close();
  });
});

describe('Tasks over time', () => {
  test('an open task ends as failed when the program starts again, a finished one keeps its result', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xenact-tasks-'));
    const first = await opened({ durable: lmdbDurable(folder) });
    const open = await first.call('task.create', 'open', '');
    const over = await first.call('task.create', 'over', '');
    await first.call('task.set_result', over, 'kept');
    await first.call('task.set_status', over, 'success');
    await first.close();

    const durable = lmdbDurable(folder);
    const rows = [...durable.load().rows].filter(({ cls }) => cls === 'task');
    expect(rows.map(({ ref }) => ref).sort()).toEqual([open, over].sort());
    await durable.close();

    const second = await opened({ durable: lmdbDurable(folder), existing: true });
    expect(await endPendingTasks(second.store, Date.UTC(2026, 5, 1))).toBe(1);
    expect(record(second, open)).toMatchObject({
      status: 'failure',
      error_info: ['INTERNAL_ERROR', expect.stringContaining('restarted')],
      finished: '20260601T00:00:00Z',
      progress: 1,
    });
    expect(record(second, over)).toMatchObject({ status: 'success', result: 'kept' });
    await second.close();
    await rm(folder, { recursive: true });
  });

  test('finished tasks stay a while, hung ones a day, and those that get on for as long as they do', async () => {
    const clock = manualClock();
    const nowMs = clock.now();
    const here = await opened({ clock });
    await here.store.commit((tx) => {
      taskRow(tx, 'young', { status: 'success', finished: dateTimeOf(nowMs - finishedMs + 60_000) });
      taskRow(tx, 'old', { status: 'failure', finished: dateTimeOf(nowMs - finishedMs - 1_000) });
      taskRow(tx, 'hung', { status: 'pending', created: dateTimeOf(nowMs - hungMs - 1_000) });
      taskRow(tx, 'slow', { status: 'pending', created: dateTimeOf(nowMs - hungMs - 1_000) });
    });
    const collect = taskCollector();
    await here.store.commit((tx) => collect(tx, nowMs));
    expect(names(here)).toEqual(['young', 'hung', 'slow']);
    await here.store.commit((tx) => tx.patch('task', 'OpaqueRef:slow' as Ref<'task'>, { progress: 0.1 }));
    await here.store.commit((tx) => collect(tx, nowMs));
    expect(names(here)).toEqual(['young', 'slow']);
    await here.close();
  });

  test('of too many finished tasks of a session the ones that finished first go early, and no others', async () => {
    const here = await opened();
    const nowMs = here.services.clock.now();
    const [busy, quiet] = ['OpaqueRef:busy', 'OpaqueRef:quiet'] as Ref<'session'>[];
    await here.store.commit((tx) => {
      taskRow(tx, 'result', { status: 'success', session: quiet, finished: dateTimeOf(nowMs - 600_000) });
      for (let i = 0; i < keptMax + 3; i += 1) {
        const finished = dateTimeOf(nowMs - (keptMax - i) * 1000);
        taskRow(tx, `t${i}`, { status: 'success', session: busy, finished });
      }
      for (let i = 0; i < keptMax; i += 1)
        taskRow(tx, `p${i}`, { created: dateTimeOf(nowMs), session: quiet });
    });
    const collect = taskCollector();
    expect(await here.store.commit((tx) => collect(tx, nowMs))).toBe(3);
    expect(names(here)).toHaveLength(2 * keptMax + 1);
    expect(names(here)).not.toContain('t2');
    for (const name of ['t3', 'p0', 'result']) expect(names(here)).toContain(name);
    await here.close();
  });
});
