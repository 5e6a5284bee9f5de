// Goal: watchers of events hear of every change, once, in order, with nothing lost silently, and cost little while nothing happens.
// Method: a whole host behind the real HTTP server; rows are changed in the store and by calls, watchers come over the wire.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { fragmentsOf } from '../../src/edge/encoding.ts';
import { type Events, eventsOf, subscribedOfUserMax } from '../../src/edge/events.ts';
import { mandatesOf } from '../../src/edge/mandates.ts';
import { tokenText } from '../../src/edge/subscriptions.ts';
import type { Ref } from '../../src/model/types.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { localSessionsOf } from '../../src/objects/local-sessions.ts';
import { silentLog } from '../../src/std/log.ts';
import type { Value } from '../../src/std/value.ts';
import type { Durable } from '../../src/store/durable.ts';
import type { Replica } from '../../src/store/replica.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { at, type Served, served } from './served.ts';

let host: Served;
let root: Ref<'session'>;
let names = 0;

beforeEach(async () => {
  host = await served();
  root = await host.session();
});
afterEach(() => host.close());

type Name = Ref<'network'>;
const create = async (...refs: readonly string[]): Promise<void> =>
  host.world.store.commit((tx) => {
    for (const ref of refs) tx.create('network', ref as Name, { uuid: `u-${ref}`, name_label: ref });
  });
const rename = async (...refs: readonly string[]): Promise<void> =>
  host.world.store.commit((tx) => {
    for (const ref of refs) tx.patch('network', ref as Name, { name_label: `name ${++names}` });
  });
const destroy = async (...refs: readonly string[]): Promise<void> =>
  host.world.store.commit((tx) => {
    for (const ref of refs) tx.delete('network', ref as Name);
  });

const from = (
  classes: readonly string[],
  token: string,
  timeoutS = 10,
  session: string = root,
): Promise<Value> => host.call('event.from', session, classes, token, timeoutS);
const tokenOf = (batch: Value): string => at(batch, 'token');
const listOf = (batch: Value): readonly Value[] => at(batch, 'events');
const briefly = (batch: Value): readonly string[] =>
  listOf(batch).map((event) => `${at(event, 'operation')} ${at(event, 'class')} ${at(event, 'ref')}`);
const now = async (): Promise<string> => tokenOf(await from(['network'], '', 0));

/** Resolves once so many calls wait for events. */
const waiting = async (count: number): Promise<void> => {
  while (host.edge.waiting < count) await new Promise((resolve) => setImmediate(resolve));
};

describe('event.from', () => {
  test('with an empty token gives every object as it is, as added', async () => {
    await create('a', 'b');
    const batch = await from(['network'], '');
    expect(briefly(batch)).toEqual(['add network a', 'add network b']);
    const [event] = listOf(batch);
    expect(at(event, 'timestamp')).toBe('0.0');
    expect(at(event, 'id')).toMatch(/^\d+$/);
    expect(at(event, 'snapshot')).toEqual(await host.call('network.get_record', root, 'a'));
    expect(tokenOf(batch)).toMatch(/^\d{20},\d{20}$/);
  });

  test('is the same over XML-RPC, where counts are i4', async () => {
    await create('a');
    const { body } = await host.http('POST', '/', {
      body: xmlCall('event.from', [root, ['network'], '', 0]),
    });
    expect(body).toContain('<member><name>network</name><value><i4>1</i4></value></member>');
    const answer = readXmlRpcResponse(body);
    if (answer.kind !== 'success') throw new Error(body);
    expect(briefly(answer.value)).toEqual(['add network a']);
    const record = await host.xml('network.get_record', root, 'a');
    expect({ value: at(listOf(answer.value)[0], 'snapshot') }).toEqual(record);
  });

  test('gives added before changed before deleted, each object once, as it is now', async () => {
    await create('b', 'c');
    const token = await now();
    await rename('b');
    await destroy('c');
    await create('d');
    await rename('b', 'd');
    await create('fleeting');
    await destroy('fleeting');
    const batch = await from(['network'], token);
    expect(briefly(batch)).toEqual(['add network d', 'mod network b', 'del network c']);
    const [, changed, deleted] = listOf(batch);
    expect(at(changed, 'snapshot', 'name_label')).toBe(await host.call('network.get_name_label', root, 'b'));
    expect((deleted as Map<string, Value>).has('snapshot')).toBe(false);
  });

  test('waits for the first change of what it subscribes to, and for nothing else', async () => {
    await create('a', 'b');
    const token = await now();
    const answer = from(['SR', 'NETWORK/b'], token);
    await waiting(1);
    await rename('a');
    await rename('b');
    expect(briefly(await answer)).toEqual(['mod network b']);
  });

  test('batches what changes soon after, and loses nothing of what comes later', async () => {
    const token = await now();
    const answer = from(['*'], token);
    await waiting(1);
    await create('a');
    await create('b');
    const first = await answer;
    expect(briefly(first)).toEqual(['add network a', 'add network b']);
    await create('c');
    expect(briefly(await from(['*'], tokenOf(first)))).toEqual(['add network c']);
  });

  test('comes back empty and with a token when its time is over, whatever else changed', async () => {
    const token = await now();
    const answer = from(['SR'], token, 0.05);
    await waiting(1);
    await create('a');
    const batch = await answer;
    expect(listOf(batch)).toEqual([]);
    expect(tokenOf(batch) >= token).toBe(true);
    expect(briefly(await from(['network'], token, 0))).toEqual(['add network a']);
  });

  test('counts the rows of every class, in lower case', async () => {
    await create('a', 'b');
    const counts: Map<string, Value> = at(await from(['SR'], '', 0), 'valid_ref_counts');
    expect([...counts.keys()]).toEqual(host.world.catalog.classes.map(({ name }) => name.toLowerCase()));
    expect([counts.get('network'), counts.get('pool'), counts.get('vm')]).toEqual([2n, 1n, 0n]);
  });

  test('says nothing of classes that have no events', async () => {
    const batch = await from(['*'], '', 0);
    expect(briefly(batch).filter((one) => one.includes('session'))).toEqual([]);
    const token = tokenOf(batch);
    await host.session();
    expect(listOf(await from(['*', 'session'], token, 0))).toEqual([]);
  });

  test('keeps the second number of the token, so that tokens never go back', async () => {
    const batch = await from(['network'], '00000000000000000000,00000000000000000007', 0);
    expect(tokenOf(batch)).toMatch(/,00000000000000000007$/);
  });

  test('puts messages before the rest, and tells of one that has come and gone', async () => {
    const [kept, gone] = ['m-kept' as Ref<'message'>, 'm-gone' as Ref<'message'>];
    const token = tokenOf(await from(['*'], '', 0));
    await create('net');
    await host.world.store.commit((tx) => {
      for (const ref of [kept, gone]) tx.create('message', ref, { uuid: ref });
    });
    await host.world.store.commit((tx) => tx.delete('message', gone));
    const batch = await from(['*'], token);
    expect(briefly(batch)).toEqual(['add message m-kept', 'del message m-gone', 'add network net']);
    expect(briefly(await from(['message'], '', 0))).toEqual(['add message m-kept']);
  });

  test('has a place of its own for messages: who begins to hear of them hears of them all', async () => {
    await host.world.store.commit((tx) => tx.create('message', 'm1' as Ref<'message'>, { uuid: 'm1' }));
    const token = tokenOf(await from(['network'], '', 0));
    expect(token).toMatch(/,0{20}$/);
    await create('net');
    const batch = await from(['network', 'message'], token);
    expect(briefly(batch)).toEqual(['add message m1', 'add network net']);
    await host.world.store.commit((tx) => tx.create('message', 'm2' as Ref<'message'>, { uuid: 'm2' }));
    expect(briefly(await from(['message'], tokenOf(batch)))).toEqual(['add message m2']);
    // Another server's number, far ahead of ours.
    const foreign = tokenOf(batch).replace(/,.*/, ',01700000000000000000');
    const waits = from(['message'], foreign);
    await waiting(1);
    await host.world.store.commit((tx) => tx.create('message', 'm3' as Ref<'message'>, { uuid: 'm3' }));
    expect(briefly(await waits)).toEqual(['add message m3']);
  });

  test('refuses what is no token', async () => {
    expect(await host.json('event.from', root, ['VM'], 'nonsense', 1)).toEqual({
      error: ['EVENT_FROM_TOKEN_PARSE_FAILURE', 'nonsense'],
    });
  });

  test('with a token from the future, as after a lost disk, says that events were lost', async () => {
    const future = tokenText({ generation: BigInt(host.world.store.generation + 1), messages: 0n });
    for (const token of [future, '9223372036854775807,0']) {
      expect(await host.json('event.from', root, ['VM'], token, 10)).toEqual({ error: ['EVENTS_LOST'] });
    }
  });

  test('ends with its session, and leaves those of other sessions alone', async () => {
    const other = await host.session();
    const token = await now();
    const [ending, staying] = [
      host.json('event.from', other, ['network'], token, 10),
      from(['network'], token),
    ];
    await waiting(2);
    await host.call('session.logout', other);
    expect(await ending).toEqual({ error: ['SESSION_INVALID', other] });
    await create('a');
    expect(briefly(await staying)).toEqual(['add network a']);
  });

  test('ends when its client goes away', async () => {
    const leaving = new AbortController();
    const body = xmlCall('event.from', [root, ['network'], await now(), 60]);
    const gone = host.http('POST', '/', { body, signal: leaving.signal }).catch(() => 'gone');
    await waiting(1);
    leaving.abort();
    expect(await gone).toBe('gone');
    while (host.edge.waiting > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  test('several of one session do not disturb each other', async () => {
    const token = await now();
    const [nothing, something] = [from([], token, 0.05), from(['network'], token)];
    await waiting(2);
    await create('a');
    expect(listOf(await nothing)).toEqual([]);
    expect(briefly(await something)).toEqual(['add network a']);
  });

  test('tells of a task at once', async () => {
    const token = tokenOf(await from(['task'], '', 0));
    const answer = from(['task'], token);
    await waiting(1);
    await host.world.store.commit((tx) => tx.create('task', 't' as Ref<'task'>, { uuid: 't' }));
    expect(briefly(await answer)).toEqual(['add task t']);
  });

  test('is refused over its limits, and not before', async () => {
    await host.close();
    host = await served({ eventWaitersMax: 2 });
    root = await host.session();
    const token = await now();
    const answers = [from(['network'], token), from(['network'], token)];
    await waiting(2);
    expect(await host.json('event.from', root, ['network'], token, 10)).toEqual({
      error: ['TOO_MANY_PENDING_TASKS'],
    });
    await create('a');
    for (const answer of answers) expect(briefly(await answer)).toEqual(['add network a']);
    const many = Array.from({ length: 4_097 }, (_, i) => `vm/${i}`);
    expect(((await host.json('event.from', root, many, '', 0)) as any).error[0]).toBe(
      'EVENT_SUBSCRIPTION_PARSE_FAILURE',
    );
  });

  test('what one user listens to is bounded over all sessions, and given back with each', async () => {
    const sessions: string[] = [];
    const register = async (user: string, i: number) => {
      const session = await host.session({ auth_user_sid: user });
      const entries = Array.from({ length: 1_000 }, (_, j) => `vm/${i} ${j} ${'x'.repeat(900)}`);
      const reply = await host.json('event.register', session, entries);
      if (!('error' in reply)) sessions.push(session);
      return 'error' in reply ? reply.error : undefined;
    };
    const atMost = Math.ceil(subscribedOfUserMax / 900_000);
    for (let i = 0; i < atMost; i++) if ((await register('ann', i)) !== undefined) break;
    expect(await register('ann', 0)).toEqual(['TOO_MANY_PENDING_TASKS']);
    expect(await register('bob', 0)).toBeUndefined();
    await host.call('session.logout', sessions[0] ?? '');
    expect(await register('ann', 0)).toBeUndefined();
  });

  test('answers what waits when the host stops', async () => {
    const answer = from(['network'], await now(), 60);
    await waiting(1);
    host.edge.stop();
    expect(listOf(await answer)).toEqual([]);
  });
});

test('a thousand clients that wait and ten thousand changes do not get into each other’s way', async () => {
  const refs = Array.from({ length: 1_000 }, (_, i) => `n${i}`);
  await create(...refs);
  const token = await now();
  // What everybody is sent is not parsed five hundred times: that would measure the clients.
  const everything = jsonCall('event.from', [root, ['*'], token, 60], 1n);
  const all = Array.from({ length: 500 }, () => host.http('POST', '/jsonrpc', { body: everything }));
  const single = refs.slice(0, 500).map((ref) => from([`network/${ref}`], token, 60));
  await waiting(1_000);
  for (let i = 0; i < 10; i++) await Promise.all(refs.map((ref) => rename(ref)));
  const batches = await Promise.all(single);
  const bodies = await Promise.all(all);
  expect(batches.map(briefly)).toEqual(refs.slice(0, 500).map((ref) => [`mod network ${ref}`]));
  for (const { body } of bodies) expect(body).toContain('"operation":"mod"');
  expect(host.edge.waiting).toBe(0);
}, 60_000);

describe('event.inject', () => {
  test('makes an event that comes after its token, for a class of any case', async () => {
    const token = await now();
    const injected = await host.call('event.inject', root, 'Pool', host.world.pool);
    expect(injected > token || injected === token).toBe(true);
    const batch = await from(['pool'], injected);
    expect(briefly(batch)).toEqual([`mod pool ${host.world.pool}`]);
    expect(tokenOf(batch) > injected).toBe(true);
  });

  test('refuses a reference that is not of the class', async () => {
    for (const cls of ['VM', 'nope']) {
      expect(await host.json('event.inject', root, cls, host.world.pool)).toEqual({
        error: ['HANDLE_INVALID', cls, host.world.pool],
      });
    }
  });
});

describe('event.next', () => {
  const next = (session: string = root): Promise<Value> => host.call('event.next', session);

  test('needs a registration, and does not give the secret of the session away', async () => {
    const { uuid } = host.world.store.committed.require('session', root);
    for (const method of ['event.next', 'event.unregister']) {
      const params = method === 'event.next' ? [] : [['VM']];
      expect(await host.json(method, root, ...params)).toEqual({ error: ['SESSION_NOT_REGISTERED', uuid] });
    }
  });

  test('gives what happened since the registration, then what happened since', async () => {
    await create('a');
    await host.call('event.register', root, ['network']);
    await create('b');
    expect(briefly(new Map([['events', await next()]]))).toEqual(['add network b']);
    const later = next();
    await waiting(1);
    await rename('a');
    expect(briefly(new Map([['events', await later]]))).toEqual(['mod network a']);
  });

  test('hears of classes as they are added and taken away', async () => {
    await host.call('event.register', root, ['pool']);
    await host.call('event.register', root, ['network']);
    await host.call('event.unregister', root, ['Pool']);
    await host.call('event.inject', root, 'pool', host.world.pool);
    await create('a');
    expect(briefly(new Map([['events', await next()]]))).toEqual(['add network a']);
  });

  test('ends with its session', async () => {
    const other = await host.session();
    await host.call('event.register', other, []);
    const ending = host.json('event.next', other);
    await waiting(1);
    await host.call('session.logout', other);
    expect(await ending).toEqual({ error: ['SESSION_INVALID', other] });
  });

  test('has a number for the newest event', async () => {
    const before = await host.call('event.get_current_id', root);
    await create('a');
    expect(await host.call('event.get_current_id', root)).toBeGreaterThan(before);
  });

  test('can be registered for asynchronously, which answers with a task that has ended', async () => {
    const task = await host.call('Async.event.register', root, ['network']);
    expect(host.world.store.committed.require('task', task).status).toBe('success');
    await create('a');
    expect(briefly(new Map([['events', await next()]]))).toEqual(['add network a']);
  });
});

describe('a watcher that comes back after a restart', () => {
  /** A store whose rows go back to generation 60, and whose deletions are known from 50 on. */
  const restarted = (): { store: Store; replica: Replica; events: Events } => {
    const row = {
      cls: 'network',
      ref: 'old',
      created: 40,
      modified: 60,
      fields: { uuid: 'u', name_label: 'old' },
    };
    const tombstones = [{ generation: 70, cls: 'network', ref: 'gone', created: 45 }];
    const durable: Durable = {
      load: () => ({ rows: [row], tombstones, horizon: 50, generation: 100 }),
      write: async () => {},
      close: async () => {},
    };
    const { store, replica } = openStore({ classes, durable, log: silentLog });
    const catalog = catalogOf(classes, []);
    const mandates = mandatesOf({
      store,
      localSessions: localSessionsOf({ clock: nodeClock, random: nodeRandom }),
    });
    const fragments = fragmentsOf(classes);
    return { store, replica, events: eventsOf({ catalog, store, clock: nodeClock, fragments, mandates }) };
  };

  const ask = async (cls: string, generation: number): Promise<string> => {
    const { store, replica, events } = restarted();
    const session = 's' as Ref<'session'>;
    await store.commit((tx) => tx.create('session', session, { uuid: 's' }));
    const token = tokenText({ generation: BigInt(generation), messages: 0n });
    const caller = { session, user: 'root', role: 'pool-admin', originator: '' } as const;
    try {
      const encoding = await events.answer('from', [[cls], token, 0], caller, {
        gone: new AbortController().signal,
        check: () => {},
      });
      return (await encoding('json')).join('');
    } finally {
      events.stop();
      await replica.close();
    }
  };

  test('hears what was changed and deleted, as long as deletions are known', async () => {
    const body = await ask('network', 55);
    expect(body).toContain('"operation":"mod","ref":"old"');
    expect(body).toContain('"operation":"del","ref":"gone"');
  });

  test('is told that events were lost when its token is older than that', async () => {
    await expect(ask('network', 49)).rejects.toThrow('EVENTS_LOST');
  });

  test('is told so of tasks too, whose deletions are not kept on disk', async () => {
    await expect(ask('task', 55)).rejects.toThrow('EVENTS_LOST');
    await expect(ask('*', 55)).rejects.toThrow('EVENTS_LOST');
    expect(await ask('task', 100)).toContain('"events":[]');
  });
});
