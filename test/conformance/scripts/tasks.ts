import { taskCollector } from '../../../actors/task/collect.ts';
import { dateTimeOf, type Ref } from '../../../src/model/types.ts';
import { hostCaller } from '../../../src/objects/invoke.ts';
import { createTask, failTask, succeedTask } from '../../../src/objects/tasks.ts';
import { Fault } from '../../../src/std/fault.ts';
import type { Tx } from '../../../src/store/view.ts';
import { type Adapter, against, byName } from '../subject.ts';
import { type Live, live, putVm } from './live.ts';

const ref = 'OpaqueRef:task' as Ref<'task'>;

const pending = (here: Live, more: Record<string, unknown> = {}): Promise<void> =>
  here.rows((tx) => {
    const { services } = here.host.world;
    createTask(tx, ref, services, {
      label: 'task',
      cancellable: true,
      watched: 'until-destroyed',
      caller: hostCaller,
    });
    tx.patch('task', ref, more as never);
  });

const task = ({ host }: Live) => host.world.store.committed.get('task', ref);

/** The fields of a final task that cases name. */
const ending = (here: Live): unknown => {
  const row = task(here);
  return {
    'task.status': row?.status,
    'task.error_info': row?.error_info,
    'task.progress': row?.progress,
    'task.finished': row?.finished.startsWith('1970') ? 'unset' : 'set',
    'task.allowed_operations': row?.allowed_operations,
  };
};

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** Whether a task is still there after passes of the collector, with what happens between them. */
const kept = (fields: (nowMs: number) => Record<string, unknown>, between?: (tx: Tx) => void): Adapter =>
  live(async (here, { then }) => {
    const nowMs = here.host.world.services.clock.now();
    await pending(here, fields(nowMs));
    const pass = taskCollector();
    const collect = (): Promise<void> => here.rows((tx) => void pass(tx, nowMs));
    await collect();
    if (then['task exists'] === false || between !== undefined) {
      if (between !== undefined) await here.rows(between);
      await collect();
    }
    return against({ 'task exists': task(here) !== undefined }, then);
  });

export const tasks = byName({
  'async call returns a task at once': live(async ({ host, root }) => {
    const made: Ref<'task'> = await host.call('Async.VM.start', root, 'OpaqueRef:gone', false, false);
    const { status } = await host.world.finished(made);
    return against(['success', 'failure', 'cancelled'].includes(status), true);
  }),
  failure: live(async (here) => {
    await pending(here);
    await here.rows((tx) => failTask(tx, ref, here.host.world.services, new Fault('VM_IS_TEMPLATE', ['vm'])));
    return against(ending(here), {
      'task.status': 'failure',
      'task.error_info': ['VM_IS_TEMPLATE', 'vm'],
      'task.progress': 1,
      'task.finished': 'set',
      'task.allowed_operations': [],
    });
  }),
  'cancelled operation ends as cancelled, not failure': live(async (here, { then }) => {
    await pending(here);
    await here.rows((tx) => failTask(tx, ref, here.host.world.services, new Fault('TASK_CANCELLED', [ref])));
    return against(ending(here), then);
  }),
  'final states are sticky': live(async (here, { given, then }) => {
    await pending(here, { status: given['task.status'] });
    await here.rows((tx) => succeedTask(tx, ref, here.host.world.services, ''));
    return against({ 'task.status': task(here)?.status }, then);
  }),
  'destroying a pending task only marks it': live(async (here, { then }) => {
    await pending(here);
    await here.host.call('task.destroy', here.root, ref);
    const row = task(here);
    const marks = Object.fromEntries(row?.current_operations ?? []);
    return against({ 'task exists': row !== undefined, 'task.current_operations': marks }, then);
  }),
  'a marked task goes away with the first GC after completion': kept((nowMs) => ({
    status: 'success',
    finished: dateTimeOf(nowMs),
    current_operations: new Map([['task', 'destroy']]),
  })),
  'same user, another session': live(async (here) => {
    const owner = await here.host.session({ is_local_superuser: false, auth_user_sid: 'sid' });
    await pending(here, { session: owner });
    const other = await here.host.sessionWithRole('read-only');
    await here.rows((tx) => tx.patch('session', other, { auth_user_sid: 'sid' }));
    return against(Object.keys(await here.host.json('task.cancel', other, ref)), ['value']);
  }),
  'young completed tasks stay': kept((nowMs) => ({
    status: 'success',
    finished: dateTimeOf(nowMs - 64 * minuteMs),
  })),
  'hung pending task': kept((nowMs) => ({ created: dateTimeOf(nowMs - dayMs - minuteMs) })),
  'old pending task that still progresses stays': kept(
    (nowMs) => ({ created: dateTimeOf(nowMs - dayMs - minuteMs) }),
    (tx) => tx.patch('task', ref, { progress: 0.5 }),
  ),
  'lock wait is cancellable': live(async (here) => {
    const { host, root } = here;
    await here.rows((tx) => {
      putVm(tx, 'vm', { power_state: 'Running', current_operations: new Map([['other', 'suspend']]) });
    });
    const made: Ref<'task'> = await host.call('Async.VM.clean_shutdown', root, 'vm');
    const waiting = host.world.store.committed.require('task', made).allowed_operations;
    await host.call('task.cancel', root, made);
    const { status } = await host.world.finished(made);
    return against([waiting, status], [['cancel'], 'cancelled']);
  }),
  'asynchronous form of a call that has none': live(async ({ host, root }, { when }) => {
    const reply: any = await host.json(when['call'], root);
    const text = 'No async mode for this operation (rpc: VM.get_all)';
    return against(reply.error?.includes(text), true);
  }),
});
