// Goal: who changed what is written down, with its end, and never with a secret; reading it needs a session.
// Method: a whole host behind the real HTTP server with a log in memory; calls of several users over the wire.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import hostBehaviour from '../../actors/host/behaviour.ts';
import network from '../../actors/network/behaviour.ts';
import secret from '../../actors/secret/behaviour.ts';
import { VM } from '../../actors/vm/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { implement } from '../../src/objects/implement.ts';
import { sessionMark } from '../../src/objects/shown.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Served, served } from './served.ts';

const vm = 'OpaqueRef:vm' as Ref<'VM'>;
const behaviour = implement(
  VM,
  {},
  {
    clean_shutdown: {
      work: async () => {
        throw new Fault('VM_BAD_POWER_STATE', [vm, 'running', 'halted']);
      },
    },
  },
);

let host: Served;
let root: string;
let lines: string[];
const entries = (): any[] => lines.map((line) => JSON.parse(line));

beforeEach(async () => {
  lines = [];
  const trail = {
    add: (line: string) => void lines.push(line),
    read: async function* () {
      yield Buffer.from(lines.map((line) => `${line}\n`).join(''));
    },
  };
  host = await served({
    behaviours: [behaviour, hostBehaviour, network, secret],
    rows: (tx) => tx.create('VM', vm, { uuid: 'u1' }),
    trail,
    services: {
      files: {
        audit: trail.read,
        logs: async function* () {},
        backup: async function* () {},
      },
    },
  });
  root = await host.session({ originator: 'a client' });
});
afterEach(() => host.close());

describe('the audit log', () => {
  test('has who changed what, from where and how it ended, and not the session itself', async () => {
    await host.call('VM.set_name_label', root, vm, 'new');
    expect(entries()).toEqual([
      {
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        user: 'root',
        session: sessionMark(root),
        originator: 'a client',
        from: expect.stringMatching(/127\.0\.0\.1$/),
        method: 'VM.set_name_label',
        args: { self: vm, value: 'new' },
        outcome: 'success',
      },
    ]);
    expect(lines.join()).not.toContain(root);
  });

  test('has no calls that only read', async () => {
    await host.call('VM.get_all_records', root);
    await host.call('VM.get_name_label', root, vm);
    await host.call('event.from', root, ['vm'], '', 0);
    expect(lines).toEqual([]);
  });

  test('has what failed and what was not allowed, with the code', async () => {
    const reader = await host.sessionWithRole('read-only');
    await host.json('VM.set_name_label', reader, vm, 'x');
    await host.json('VM.clean_shutdown', root, vm);
    expect(entries().map(({ user, outcome }) => [user, outcome])).toEqual([
      ['someone', 'RBAC_PERMISSION_DENIED'],
      ['root', 'VM_BAD_POWER_STATE'],
    ]);
  });

  test('has the begin and the end of a call that answers with its task', async () => {
    const task = await host.call('Async.VM.clean_shutdown', root, vm);
    await host.world.finished(task);
    await expect.poll(() => lines.length).toBe(2);
    expect(entries()).toMatchObject([
      { task, outcome: 'started' },
      { task, outcome: 'VM_BAD_POWER_STATE' },
    ]);
  });

  test('hides secrets by their type, and of free maps all values', async () => {
    await host.json('session.login_with_password', 'root', 'hunter2', '1.0', 'x');
    const reply = await host.json(
      'secret.create',
      root,
      new Map<string, any>([
        ['value', 'hunter2'],
        ['other_config', new Map()],
      ]),
    );
    expect(reply).toHaveProperty('value');
    const config = new Map([
      ['password', 'hunter2'],
      ['location', '/here'],
    ]);
    await host.json('VM.set_xenstore_data', root, vm, config);
    expect(lines.join('\n')).not.toContain('hunter2');
    expect(entries()).toMatchObject([
      { method: 'session.login_with_password', user: 'root', outcome: 'SESSION_AUTHENTICATION_FAILED' },
      { method: 'secret.create' },
      { args: { value: { password: '(hidden)', location: '(hidden)' } } },
    ]);
  });

  test('cuts what is long', async () => {
    await host.call('VM.set_name_description', root, vm, 'x'.repeat(100_000));
    expect(lines[0]?.length).toBeLessThan(1_000);
  });

  test('is given out by HTTP to whoever has a session, from a date on', async () => {
    await host.call('VM.set_name_label', root, vm, 'new');
    const read = (query: string) => host.http('GET', `/audit_log?session_id=${root}${query}`);
    expect((await read('')).body).toBe(`${lines[0]}\n`);
    expect((await read('&since=20200101T00:00:00Z')).body).toBe(`${lines[0]}\n`);
    expect((await read('&since=2990-01-01T00:00:00Z')).body).toBe('');
    expect((await read('&since=never')).status).toBe(500);
    expect((await host.http('GET', '/audit_log')).status).toBe(401);
    expect(lines).toHaveLength(1);
  });

  test('has who took a backup, as there are secrets in it', async () => {
    await host.http('GET', `/host_backup?session_id=${root}`);
    expect(entries()).toMatchObject([{ method: 'http/get_host_backup', user: 'root', outcome: 'success' }]);
    await host.http('GET', `/pool/xmldbdump?session_id=${root}`);
    expect(entries()[1]).toMatchObject({ method: 'http/get_pool_xml_db_sync', user: 'root' });
  });
});
