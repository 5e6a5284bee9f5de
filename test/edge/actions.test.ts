// Goal: an action of a class is work like a call, and ends with its task, its client and the rights of who asked.
// Method: a class whose action each test scripts, behind the real HTTP server.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import task from '../../actors/task/behaviour.ts';
import { VDI } from '../../actors/vdi/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type ActionHandler, implement } from '../../src/objects/implement.ts';
import { Moved } from '../../src/objects/places.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Served, served } from './served.ts';

const vdi = 'OpaqueRef:vdi' as Ref<'VDI'>;
type Stream = ActionHandler<'VDI', any>['stream'];
let give: Stream;
let take: Stream;
let sent: { readonly to: string; readonly args: readonly unknown[] }[];
let host: Served;
let session: Ref<'session'>;

beforeEach(async () => {
  sent = [];
  const behaviour = implement(
    VDI,
    { home: (_, __, { SR }) => (SR === 'OpaqueRef:far' ? ('OpaqueRef:there' as Ref<'host'>) : undefined) },
    {},
    {
      get_export_raw_vdi: { operation: 'copy', stream: (...all) => give(...all) },
      put_import_raw_vdi: { operation: 'blocked', stream: (...all) => take(...all) },
    },
  );
  host = await served({
    behaviours: [behaviour, task],
    others: {
      authorityOf: () => undefined,
      send: async (to, { args, client }) => {
        sent.push({ to, args });
        const far = client?.(new AbortController().signal);
        await far?.answer({ type: 'text/plain' }).write(Buffer.from('from there'));
      },
    },
    rows: (tx) => {
      tx.create('host', 'OpaqueRef:there' as Ref<'host'>, { uuid: 'there' });
      tx.create('VDI', vdi, { uuid: 'disk' });
      tx.create('VDI', 'OpaqueRef:away' as Ref<'VDI'>, { uuid: 'away', SR: 'OpaqueRef:far' as Ref<'SR'> });
    },
  });
  session = await host.session();
});
afterEach(() => host.close());

const get = (more = 'vdi=disk', options = {}) =>
  host.http('GET', `/export_raw_vdi?session_id=${session}&${more}`, options);
const put = (body: string, more = '') =>
  host.http('PUT', `/import_raw_vdi?session_id=${session}&vdi=${vdi}${more}`, { body });
const store = () => host.world.store;
const running = () => [...store().committed.require('VDI', vdi).current_operations];
const tasks = () => [...store().committed.all('task')].map(([ref, row]) => [ref, row.name_label] as const);

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(new Error('cut')), { once: true }),
  );

test('it stands in current_operations under its task, and is settled before the last byte', async () => {
  let seen: unknown;
  give = async ({ settle, view }, _, client) => {
    settle((tx) => tx.patch('VDI', vdi, { name_label: 'settled' }));
    const [[ref, label] = []] = tasks();
    seen = [label, [...view.require('VDI', vdi).current_operations], ref];
    await client.answer({ type: 'text/x', sizeBytes: 3n }).write(Buffer.from('all'));
  };
  const { status, body, headers } = await get();
  expect([status, body, headers['content-type'], headers['content-length']]).toEqual([
    200,
    'all',
    'text/x',
    '3',
  ]);
  const [label, operations, ref] = seen as [string, unknown, string];
  expect([label, operations]).toEqual(['Exporting raw VDI', [[ref, 'copy']]]);
  expect(store().committed.require('VDI', vdi).name_label).toBe('settled');
  expect([running(), tasks()]).toEqual([[], []]);
});

test('the task that the client names is cancelled with the work, and tells how it ended', async () => {
  const mine = (await host.call('task.create', session, 'mine', '')) as Ref<'task'>;
  take = async ({ signal }, _, client) => {
    for await (const _chunk of client.body()) break;
    void host.call('task.cancel', session, mine);
    await untilAborted(signal);
  };
  expect((await put('bytes', `&task_id=${mine}`)).body).toContain('TASK_CANCELLED');
  expect(store().committed.require('task', mine).status).toBe('cancelled');
  expect(running()).toEqual([]);
});

test('a fault before the first byte is answered, and undoes what was done', async () => {
  const undone: string[] = [];
  take = async ({ undo }) => {
    undo(() => undone.push('undone'));
    throw new Fault('VDI_READONLY', [vdi]);
  };
  const { status, body } = await put('bytes');
  expect([status, body.includes('VDI_READONLY'), undone]).toEqual([500, true, ['undone']]);
});

test('one who loses his session, or goes away, ends it', async () => {
  const begun: (() => void)[] = [];
  const ended: string[] = [];
  give = async ({ signal }, _, client) => {
    await client.answer({ type: 'text/x' }).write(Buffer.alloc(9_000));
    begun.shift()?.();
    await untilAborted(signal).catch(() => {
      ended.push(signal.reason.code);
      throw signal.reason;
    });
  };
  const start = () => new Promise<void>((resolve) => begun.push(resolve));
  const [first, started] = [get().catch(() => 'cut'), start()];
  await started;
  await store().commit((tx) => tx.delete('session', session));
  expect(await first).toBe('cut');
  session = await host.session();
  const going = new AbortController();
  const again = start();
  const second = get('vdi=disk', { signal: going.signal }).catch(() => 'gone');
  await again;
  going.abort();
  expect(await second).toBe('gone');
  await host.world.until(() => running().length === 0);
  expect(ended).toEqual(['SESSION_INVALID', 'INTERNAL_ERROR']);
});

test('what is on another host goes there where its client does not', async () => {
  const { status, body } = await get('vdi=away&format=raw');
  expect([status, body]).toEqual([200, 'from there']);
  expect(sent).toEqual([{ to: 'OpaqueRef:there', args: ['OpaqueRef:away', 'raw', 'OpaqueRef:NULL'] }]);
});

test('what has moved meanwhile is looked for again, and leaves no task', async () => {
  let asked = 0;
  give = async (_, __, client) => {
    asked += 1;
    if (asked === 1) throw new Moved('OpaqueRef:there' as Ref<'host'>, false);
    await client.answer({ type: 'text/x' }).write(Buffer.from('found'));
  };
  expect((await get()).body).toBe('found');
  expect([asked, tasks()]).toEqual([2, []]);
});

test('the query is read by its declaration', async () => {
  let seen: unknown;
  give = async (_, args) => {
    seen = args;
  };
  expect((await get('vdi_uuid=disk')).status).toBe(200);
  expect(seen).toEqual({ format: 'raw', base: 'OpaqueRef:NULL' });
  expect((await get('format=raw')).body).toContain('INVALID_VALUE');
  expect((await get('vdi=none')).status).toBe(404);
});

test('a client of HTTP/1.0 is told to send before it has sent anything', async () => {
  const seen: string[] = [];
  take = async (_, __, client) => {
    for await (const chunk of client.body()) seen.push(String(chunk));
  };
  const socket = await host.socket();
  socket.write(`PUT /import_raw_vdi?session_id=${session}&vdi=disk HTTP/1.0\r\nContent-Length: 5\r\n\r\n`);
  expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.\d 200 /);
  socket.write('bytes');
  await once(socket, 'end');
  expect(seen.join('')).toBe('bytes');
});

test('a client that does not know how much it sends first asks so, without a task, and begins nothing', async () => {
  const seen: string[] = [];
  take = async (_, __, client) => {
    seen.push(`a stream of ${client.sizeBytes}`);
    for await (const chunk of client.body()) seen.push(String(chunk));
  };
  const asked = async (): Promise<Socket> => {
    const socket = await host.socket();
    socket.write(`PUT /import_raw_vdi?session_id=${session}&vdi=disk HTTP/1.1\r\n`);
    socket.write(`Host: localhost\r\nContent-Length: ${2 ** 50}\r\n\r\n`);
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
    return socket;
  };
  const probe = await asked();
  probe.end();
  await once(probe, 'close');
  expect([seen, running(), tasks()]).toEqual([[], [], []]);
  const sending = await asked();
  sending.write('by');
  sending.end('tes');
  await once(sending, 'close');
  expect([seen[0], seen.slice(1).join('')]).toEqual(['a stream of undefined', 'bytes']);
});
