// Goal: whatever runs on behalf of a session ends when that ends or loses its right, at once and however it came in.
// Method: a whole host behind the real HTTP server; streams of every kind are opened and their sessions ended in every way.
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import subject from '../../actors/subject/behaviour.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { Route } from '../../src/edge/route.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Availability } from '../../src/objects/availability.ts';
import { roleRef } from '../../src/objects/roles.ts';
import { asFault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { type Served, served } from './served.ts';

let host: Served;
let root: Ref<'session'>;
let availability: Availability;
let changed = (): void => {};
/** How handlers of this test ended: with the code of what their signal said. */
let ended: string[];
let begun: (() => void)[];

/** Resolves when the right is withdrawn, which nothing but the edge makes happen here. */
const untilWithdrawn = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      ended.push(asFault(signal.reason).code);
      resolve();
    };
    signal.addEventListener('abort', end, { once: true });
    begun.shift()?.();
  });

const routes: readonly Route[] = [
  {
    method: 'GET',
    path: '/stream',
    action: 'get_export_raw_vdi',
    handle: async (_, answer, context) => {
      const body = answer.begin(200, {});
      await body.write(Buffer.from('first'));
      await untilWithdrawn(context.withdrawn());
    },
  },
  {
    method: 'PUT',
    path: '/upload',
    action: 'put_import_raw_vdi',
    handle: async (_, answer, context) => {
      await untilWithdrawn(context.withdrawn());
      answer.send(200, {}, ['done']);
    },
  },
  {
    method: 'CONNECT',
    path: '/screen',
    action: 'connect_console',
    connect: async (_, socket, context) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      await untilWithdrawn(context.withdrawn());
    },
  },
  {
    method: 'UPGRADE',
    path: '/screen',
    action: 'connect_console_ws',
    upgrade: async (_, accept, __, context) => {
      const stream: Duplex = await accept(undefined);
      stream.write('open');
      await untilWithdrawn(context.withdrawn());
    },
  },
];

beforeEach(async () => {
  ended = [];
  begun = [];
  availability = {};
  host = await served({
    routes,
    behaviours: [subject],
    services: {
      availability: () => availability,
      onAvailability: (told) => {
        changed = told;
        return () => {};
      },
    },
  });
  root = await host.session();
});
afterEach(() => host.close());

const running = (): Promise<void> => new Promise((resolve) => void begun.push(resolve));
const commit = (make: (tx: Tx) => void): Promise<void> => host.world.store.commit(make);

/** Something that runs for a session: resolves with what the client saw at its end. */
const open: Readonly<Record<string, (session: string) => Promise<unknown>>> = {
  'a download': (session) => host.http('GET', `/stream?session_id=${session}`).catch(() => 'cut'),
  'an upload': async (session) => (await host.http('PUT', `/upload?session_id=${session}`)).status,
  'a raw stream': async (session) => {
    const socket = await host.socket();
    socket.on('error', () => {});
    socket.write(`CONNECT /screen?session_id=${session} HTTP/1.0\r\n\r\n`);
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    return 'cut';
  },
  'a WebSocket': async (session) => {
    const socket = new WebSocket(`ws://127.0.0.1:${host.port}/screen?session_id=${session}`);
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('close', resolve));
    return 'cut';
  },
};

const seen: Readonly<Record<string, unknown>> = {
  'a download': 'cut',
  'an upload': 401,
  'a raw stream': 'cut',
  'a WebSocket': 'cut',
};

describe.each(Object.keys(open))('%s', (kind) => {
  const begin = async (session: string): Promise<{ readonly over: Promise<unknown> }> => {
    const started = running();
    const over = open[kind]!(session);
    await started;
    return { over };
  };

  test('ends with the logout of its session, and others go on', async () => {
    const [own, other] = [await host.session(), await host.session()];
    const { over } = await begin(own);
    const { over: otherOver } = await begin(other);
    await host.call('session.logout', own);
    expect(await over).toBe(seen[kind]);
    expect(ended).toEqual(['SESSION_INVALID']);
    await host.call('session.logout', other);
    await otherOver;
  });

  test('ends when its user is given less than it takes, and not when he is given more', async () => {
    const session = await host.sessionWithRole('vm-admin');
    const { over } = await begin(session);
    const user = host.world.store.committed.require('session', session).subject;
    const [admin, reader] = ['pool-admin', 'read-only'].map(roleRef) as [Ref<'role'>, Ref<'role'>];
    await commit((tx) => {
      for (const [ref, name] of [
        [admin, 'pool-admin'],
        [reader, 'read-only'],
      ] as const)
        tx.create('role', ref, { uuid: name, name_label: name });
      tx.patch('subject', user, { roles: [admin] });
    });
    expect(ended).toEqual([]);
    await commit((tx) => tx.patch('subject', user, { roles: [reader] }));
    expect(await over).toBe(kind === 'an upload' ? 403 : 'cut');
    expect(ended).toEqual(['RBAC_PERMISSION_DENIED']);
  });

  test('ends with its user', async () => {
    const session = await host.sessionWithRole('pool-admin');
    const { over } = await begin(session);
    await host.call('subject.destroy', root, host.world.store.committed.require('session', session).subject);
    expect(await over).toBe(seen[kind]);
  });

  test('ends with a session of this host alone', async () => {
    const local = await host.call('session.slave_local_login_with_password', 'root', 'pa:ss');
    const { over } = await begin(local);
    await host.call('session.local_logout', local);
    expect(await over).toBe(seen[kind]);
  });

  test('goes on when the host no longer leads: its session lives on in the pool', async () => {
    const session = await host.session({ this_host: host.world.host });
    const { over } = await begin(session);
    availability = { member: true, coordinator: '10.0.0.1' };
    changed();
    expect(ended).toEqual([]);
    await commit((tx) => tx.delete('session', session));
    await over;
  });
});

describe('a wait for events', () => {
  /** Resolves once the call waits. */
  const waiting = async (): Promise<void> => {
    while (host.edge.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
  };
  const listen = (session: string): Promise<string> =>
    host
      .http('POST', '/', {
        body: xmlCall('event.from', [session, ['vm'], '00000000000000000000,00000000000000000000', 60]),
      })
      .then(({ body }) => /[A-Z]+_[A-Z_]+/.exec(body)?.[0] ?? body);
  const wait = async (session: string): Promise<{ readonly over: Promise<string> }> => {
    const over = listen(session);
    await waiting();
    return { over };
  };

  test('ends with its session, whether of the pool or of this host alone', async () => {
    const own = await wait(await host.session());
    await commit((tx) => {
      for (const [ref] of [...tx.all('session')]) tx.delete('session', ref);
    });
    expect(await own.over).toBe('SESSION_INVALID');
    const local = await host.call('session.slave_local_login_with_password', 'root', 'pa:ss');
    const here = await wait(local);
    await host.call('session.local_logout', local);
    expect(await here.over).toBe('SESSION_INVALID');
  });

  test('ends when its user has no role any more', async () => {
    const session = await host.sessionWithRole('read-only');
    const { over } = await wait(session);
    const user = host.world.store.committed.require('session', session).subject;
    await commit((tx) => tx.patch('subject', user, { roles: [] }));
    expect(await over).toBe('SESSION_INVALID');
  });

  test('ends when another host decides: whoever logged in here must log in anew, the others are sent on', async () => {
    const [here, there] = [await host.session({ this_host: host.world.host }), await host.session()];
    for (const [session, code] of [
      [here, 'SESSION_INVALID'],
      [there, 'HOST_IS_SLAVE'],
    ] as const) {
      availability = {};
      const { over } = await wait(session);
      availability = { member: true, coordinator: '10.0.0.1' };
      changed();
      expect(await over).toBe(code);
      expect(await host.json('VM.get_all', session)).toMatchObject({ error: [code, expect.any(String)] });
    }
    expect((await host.http('GET', `/stream?session_id=${here}`)).status).toBe(401);
  });

  test('goes on where members serve clients', async () => {
    const { over } = await wait(await host.session({ this_host: host.world.host }));
    availability = { member: true, serves: true, coordinator: '10.0.0.1' };
    changed();
    await commit((tx) => tx.create('VM', 'OpaqueRef:vm' as Ref<'VM'>, { uuid: 'u' }));
    expect(await over).toContain('OpaqueRef:vm');
  });

  test('leaves nothing behind', async () => {
    const { over } = await wait(root);
    await commit((tx) => tx.create('VM', 'OpaqueRef:vm' as Ref<'VM'>, { uuid: 'u' }));
    await over;
    expect(host.edge.mandates).toBe(0);
  });
});
