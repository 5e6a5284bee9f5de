// Goal: nothing that a client says to a host in confidence, or in free text, is found again where others read it.
// Method: a simulated pool behind the real HTTP server is told a marked text in every parameter of every message,
// at once and as a task, and in the heads and queries of HTTP requests; then all that was written down is searched.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeHttpServer } from '../../src/drivers/node/http-server.ts';
import { auditOf } from '../../src/edge/audit.ts';
import { edgeOf } from '../../src/edge/edge.ts';
import { xenactLog } from '../../src/main/log.ts';
import { constructorFields, type WireMessage, type WireParam } from '../../src/model/derive.ts';
import { dateTimeOf, type Ref, type Type } from '../../src/model/types.ts';
import { type Sandbox, sandboxOf } from '../../src/simulation/sandbox/sandbox.ts';
import { struct, type Value } from '../../src/std/value.ts';

let pool: Sandbox;
let url: string;
let close: () => Promise<void>;
const audit: string[] = [];
const logs: string[] = [];

beforeAll(async () => {
  const log = xenactLog('debug', { write: (line) => void logs.push(line) });
  pool = await sandboxOf({
    ...{ size: { hosts: 2, vms: 6, srs: 1 }, seed: 'secrets', name: 'test', latencyMs: [0, 0], silentMs: 10 },
    ...{ clock: nodeClock, log, address: '127.0.0.1', authority: () => '127.0.0.1', version: '1' },
    credentials: { verify: async () => true, setPassword: async () => {} },
  });
  const { services, invoker } = pool.coordinator;
  const parts = { catalog: pool.catalog, store: pool.store, services, invoker, log };
  const trail = { add: (line: string) => void audit.push(line) };
  const edge = edgeOf({
    ...parts,
    audit: auditOf({ catalog: pool.catalog, trail, clock: nodeClock, rows: pool.store.tables }),
  });
  const limits = {
    connectionsMax: 64,
    connectionsOfOneMax: 64,
    pipelinedMax: 32,
    headMs: 60_000,
    bodyIdleMs: 60_000,
    headBytesMax: 32_768,
  };
  const serving = await nodeHttpServer.listen({ host: '127.0.0.1', port: 0, limits }, edge);
  url = `http://127.0.0.1:${'port' in serving.endpoint ? serving.endpoint.port : 0}`;
  close = async () => {
    edge.stop();
    await serving.close();
    await pool.close();
  };
}, 60_000);
afterAll(() => close());

const sessionUuid = 'feedface-0000-4000-8000-';
let sessions = 0;

/** One for each call, since many end it. */
const newSession = async (): Promise<string> => {
  const { services } = pool.coordinator;
  sessions += 1;
  const session = `OpaqueRef:${sessionUuid}${String(sessions).padStart(12, '0')}` as Ref<'session'>;
  const active = dateTimeOf(services.clock.now());
  const fields = { uuid: services.random.uuid(), last_active: active, is_local_superuser: true };
  await pool.store.commit((tx) => tx.create('session', session, { ...fields, auth_user_name: 'root' }));
  return session;
};

/** What was said in confidence, and what was said freely but is nobody else's business in a log. */
const [secretMark, textMark] = ['SECRET-', 'TEXT-'] as const;
/** Which object a secret is of: in no log, but a fault may name it to whoever asked. */
const objectMark = 'OBJECT-';

const rowOf = (cls: string): string =>
  [...(pool.store.tables.get(cls)?.entries.values() ?? [])].find(({ committed }) => committed)?.ref ??
  'OpaqueRef:NULL';

const valueFor = (type: Type<any>, about: string, secret = type.secret === true): Value => {
  const inside = (item: Type<any>): Value => valueFor(item, about, secret || item.secret === true);
  switch (type.kind) {
    case 'string':
      return secret ? secretMark + about : type.shown === true ? 'label' : textMark + about;
    case 'ref':
      if (!secret) return rowOf(type.of ?? '');
      return (type.secret === true || type.of === 'session' ? secretMark : objectMark) + about;
    case 'set':
      return [inside(type.item as Type<any>)];
    case 'map': {
      const key = type.key?.kind === 'string' ? 'key' : inside(type.key as Type<any>);
      return new Map([[String(key), inside(type.item as Type<any>)]]);
    }
    case 'record': {
      const cls = pool.catalog.classes.find(({ name }) => name === type.of);
      return struct(
        Object.fromEntries(
          (cls ? constructorFields(cls) : []).map(([name, field]) => [name, inside(field.type)]),
        ),
      );
    }
    case 'option':
      return inside(type.item as Type<any>);
    case 'enum':
      return type.values?.[0] ?? '';
    case 'bool':
      return false;
    case 'int':
      return 1n;
    case 'float':
      return 1.5;
    default:
      return { dateTime: '20300101T00:00:00Z' };
  }
};

const argumentsOf = ({ params, method }: WireMessage): readonly Value[] =>
  params.map(({ name, type, secret }: WireParam) =>
    // Who comes is what an audit is about, so of a login the name is in it.
    name === 'uname' ? 'root' : valueFor(type, `${method}.${name}`, secret || type.secret === true),
  );

const call = async (method: string, params: readonly Value[]): Promise<void> => {
  const body = `{"jsonrpc":"2.0",${jsonCall(method, params, 1n).slice(1)}`;
  await (await fetch(`${url}/jsonrpc`, { method: 'POST', body })).text();
};

/** Waiting for events is all that these do. */
const waits = new Set(['event.from', 'event.next']);

const found = (texts: readonly string[], mark: string): readonly string[] =>
  texts.filter((text) => text.includes(mark)).map((text) => text.slice(0, 400));

describe('what a client says', () => {
  test('is in no log, no audit and, where it is a secret, in no task', async () => {
    const messages = pool.catalog.messages.filter(({ method }) => !waits.has(method));
    for (const message of messages) {
      for (const method of [message.method, ...(message.async ? [`Async.${message.method}`] : [])]) {
        const session = message.declared?.sessionless === true ? [] : [await newSession()];
        await call(method, [...session, ...argumentsOf(message)]);
      }
    }
    const tasks = [...pool.store.committed.all('task')].map(([, task]) =>
      [task.name_label, task.name_description, task.result, ...task.error_info].join(' '),
    );
    expect(audit.length).toBeGreaterThan(500);
    expect(tasks.length).toBeGreaterThan(100);
    for (const mark of [secretMark, textMark, objectMark, sessionUuid]) {
      expect(found(audit, mark)).toEqual([]);
      expect(found(logs, mark)).toEqual([]);
    }
    expect(found(tasks, secretMark)).toEqual([]);
  }, 120_000);

  test('by HTTP is in none either, however wrong the place is that it was put to', async () => {
    for (const { action } of pool.catalog.actions) {
      const { method = 'GET', path = '/' } = action ?? {};
      // What follows the head of these is no HTTP.
      if (method === 'CONNECT' || action?.duplex === true || path === '/cli') continue;
      const session = await newSession();
      const basic = Buffer.from(`root:${secretMark}basic`).toString('base64');
      const query = `password=${secretMark}query&vdi=${secretMark}vdi&task_id=${session}&uuid=${secretMark}uuid`;
      const headers = {
        'user-agent': 'client',
        'x-any': `${secretMark}header`,
        authorization: `Basic ${basic}`,
      };
      const body = method === 'GET' ? {} : { body: `${secretMark}body` };
      for (const who of [`&session_id=${session}`, `&session_id=${secretMark}session`, '']) {
        const answer = await fetch(`${url}${path}?${query}${who}`, { method, headers, ...body });
        await answer.body?.cancel();
      }
    }
    for (const mark of [secretMark, sessionUuid, Buffer.from('SECRET-basic').toString('base64')]) {
      expect(found(audit, mark)).toEqual([]);
      expect(found(logs, mark)).toEqual([]);
    }
  });

  test('stays hidden where a reference or a flag is expected', async () => {
    const session = await newSession();
    const other = await newSession();
    const host = rowOf('host');
    await call('VM.start', [session, other, false, false]);
    await call('VM.start', [session, `${secretMark}ref`, false, false]);
    await call('VM.start', [session, rowOf('VM'), `${secretMark}flag`, false]);
    await call('host.disable', [session, host]);
    for (const mark of [secretMark, other, session]) {
      expect(found(audit, mark)).toEqual([]);
      expect(found(logs, mark)).toEqual([]);
    }
    expect(JSON.parse(audit.at(-1) ?? '').args).toEqual({ host, auto_enable: true });
  });
});
