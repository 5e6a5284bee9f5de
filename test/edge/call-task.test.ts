// Goal: a call reports to the task that its head names, or makes its own a part of it; nobody meddles with tasks of others.
// Method: a whole host behind the real HTTP server; XML-RPC calls with headers, tasks looked at while they run.
import { afterEach, beforeEach, expect, test } from 'vitest';
import task from '../../actors/task/behaviour.ts';
import vdi from '../../actors/vdi/behaviour.ts';
import { VM } from '../../actors/vm/class.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { implement } from '../../src/objects/implement.ts';
import { type Served, served } from './served.ts';

const vm = 'OpaqueRef:vm' as Ref<'VM'>;
let seen: { readonly task: string; readonly row: any }[];
let host: Served;
let root: string;
let mine: Ref<'task'>;

beforeEach(async () => {
  seen = [];
  const behaviour = implement(
    VM,
    {},
    {
      clean_shutdown: {
        work: async ({ task: ref, view, progress }) => {
          progress(0.5);
          seen.push({ task: ref, row: view.get('task', ref) });
        },
      },
    },
  );
  host = await served({
    behaviours: [behaviour, task, vdi],
    rows: (tx) => tx.create('VM', vm, { uuid: 'u1' }),
  });
  root = await host.session();
  mine = await host.call('task.create', root, 'mine', '');
});
afterEach(() => host.close());

const call = async (method: string, session: string, headers: Record<string, string>): Promise<string> =>
  (await host.http('POST', '/', { headers, body: xmlCall(method, [session, vm]) })).body;
const row = (ref: Ref<'task'>) => host.world.store.committed.get('task', ref);

test('a call runs under the task that it names, which its maker ends', async () => {
  expect(await call('VM.clean_shutdown', root, { 'task-id': mine })).toContain('Success');
  expect(seen).toMatchObject([{ task: mine, row: { name_label: 'mine' } }]);
  expect(row(mine)).toMatchObject({ status: 'pending', progress: 0.5 });
});

test('a call makes its task a part of the one that it names, with settings of its own', async () => {
  await call('VM.clean_shutdown', root, { 'subtask-of': mine, 'x-http-other-config-who': 'me' });
  expect(seen[0]?.row).toMatchObject({ subtask_of: mine });
  expect(seen[0]?.row.other_config).toEqual(new Map([['http:who', 'me']]));
  const body = await call('Async.VM.clean_shutdown', root, { 'subtask-of': mine });
  const made = /OpaqueRef:[0-9a-f-]+/.exec(body)?.[0] as Ref<'task'>;
  expect(row(made)?.subtask_of).toBe(mine);
  expect(row(mine)?.subtasks).toContain(made);
});

test('a task that there is not is passed over', async () => {
  await call('VM.clean_shutdown', root, { 'task-id': 'OpaqueRef:none', 'subtask-of': 'DummyRef:|x|y' });
  expect(seen[0]?.row).toMatchObject({ name_label: 'VM.clean_shutdown', subtask_of: nullRef });
});

test('the task of somebody else is refused, but for those who may touch all', async () => {
  const other = await host.sessionWithRole('vm-admin');
  await host.world.store.commit((tx) => tx.patch('session', other, { auth_user_sid: 'other' }));
  expect(await call('VM.clean_shutdown', other, { 'task-id': mine })).toContain('RBAC_PERMISSION_DENIED');
  const operator = await host.sessionWithRole('pool-operator');
  expect(await call('VM.clean_shutdown', operator, { 'task-id': mine })).toContain('Success');
});

test('so is one that the query of an image names, whoever has no identifier of his own included', async () => {
  const { uuid } = host.world.store.committed.require('task', mine);
  for (const sid of ['', 'other']) {
    const other = await host.sessionWithRole('vm-admin');
    await host.world.store.commit((tx) => tx.patch('session', other, { auth_user_sid: sid }));
    for (const [method, path] of [
      ['PUT', '/import_raw_vdi'],
      ['GET', '/export_raw_vdi'],
    ] as const) {
      for (const name of [mine, uuid]) {
        const query = `vdi=none&task_id=${name}&session_id=${other}`;
        expect((await host.http(method, `${path}?${query}`, { body: 'x' })).status, sid).toBe(403);
      }
    }
  }
  expect(row(mine)).toMatchObject({ status: 'pending' });
  // His own ends with the image, whatever becomes of that.
  await host.http('PUT', `/import_raw_vdi?vdi=none&task_id=${mine}&session_id=${root}`, { body: 'x' });
  expect(row(mine)).toMatchObject({ status: 'failure', error_info: ['HANDLE_INVALID', 'VDI', 'none'] });
});

test('a user may end his tasks also by another of his sessions', async () => {
  const [first, second, other] = [
    await host.sessionWithRole('vm-operator'),
    await host.sessionWithRole('vm-operator'),
    await host.sessionWithRole('vm-operator'),
  ];
  await host.world.store.commit((tx) => {
    for (const session of [first, second]) tx.patch('session', session, { auth_user_sid: 'him' });
  });
  const his = await host.call('task.create', first, 'his', '');
  for (const method of ['task.cancel', 'task.destroy']) {
    expect(await host.json(method, other, his)).toMatchObject({
      error: ['RBAC_PERMISSION_DENIED', 'task.destroy/any', expect.any(String)],
    });
  }
  expect(await host.json('task.destroy', second, his)).toHaveProperty('value');
});
