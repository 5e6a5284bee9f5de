// Goal: HTTP handlers beside the calls know who asks, in the documented order, and refusals say what to do.
// Method: routes of this test are plugged into the edge of a whole host and asked for over the real HTTP server.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import type { Route } from '../../src/edge/route.ts';
import { Fault } from '../../src/std/fault.ts';
import { type HttpReply, type Served, served } from './served.ts';

const routes: readonly Route[] = [
  {
    method: 'GET',
    path: '/whoami',
    action: 'any session',
    handle: async (_, answer, context) => {
      const { user, role } = await context.caller();
      // Asked for twice, logged in once.
      await context.caller();
      answer.send(200, {}, [`${user} ${role} ${host.world.store.tables.get('session')!.count}`]);
    },
  },
  {
    method: 'PUT',
    path: '/fails',
    action: 'open',
    handle: async ({ query }) => {
      throw query.has('bug') ? new TypeError('a bug') : new Fault('HANDLE_INVALID', ['VDI', 'x']);
    },
  },
  {
    method: 'CONNECT',
    path: '/console',
    action: 'any session',
    connect: async (_, socket, context) => {
      const { user } = await context.caller();
      socket.end(`HTTP/1.1 200 OK\r\n\r\nhello ${user}`);
    },
  },
  {
    method: 'UPGRADE',
    path: '/console',
    action: 'any session',
    upgrade: async (_, accept, __, context) => {
      const { user } = await context.caller();
      (await accept('binary')).end(`hello ${user}`);
    },
  },
];

let host: Served;
let root: string;

beforeAll(async () => {
  host = await served({ routes });
  root = await host.session();
});
afterAll(() => host.close());

const basic = (text: string): { Authorization: string } => ({
  Authorization: `Basic ${Buffer.from(text).toString('base64')}`,
});
const whoami = (path = '/whoami', headers = {}): Promise<HttpReply> => host.http('GET', path, { headers });
const sessions = (): number => host.world.store.tables.get('session')!.count;

describe('the user of an HTTP request', () => {
  test('is that of the session in the query or in a cookie', async () => {
    expect((await whoami(`/whoami?session_id=${root}`)).body).toMatch(/^root _local_root_ /);
    expect((await whoami(`/whoami/?session_id=${encodeURIComponent(root)}`)).status).toBe(200);
    expect((await whoami('/whoami', { Cookie: `a=b; session_id=${root}` })).body).toMatch(/^root /);
    const reader = await host.sessionWithRole('read-only');
    expect((await whoami(`/whoami?session_id=${reader}`)).body).toMatch(/^someone read-only /);
  });

  test('can log in with Basic for the one request, with colons in the password', async () => {
    const before = sessions();
    expect((await whoami('/whoami', basic('root:pa:ss'))).body).toBe(`root _local_root_ ${before + 1}`);
    await host.world.until(() => sessions() === before);
  });

  test('is the one of the session where both are given', async () => {
    const reply = await whoami('/whoami?session_id=OpaqueRef:bad', basic('root:pa:ss'));
    expect(reply.status).toBe(401);
  });

  test('must be known: otherwise the answer is 401 and says how to log in', async () => {
    for (const headers of [
      {},
      { Authorization: 'Bearer x' },
      { Authorization: 'Basic !!' },
      basic('no colon'),
    ]) {
      const reply = await whoami('/whoami', headers);
      expect(reply.status).toBe(401);
      expect(reply.headers['www-authenticate']).toBe('Basic realm="XenAPI"');
      expect(reply.body).toBe('Give a session_id in the query or a cookie, or log in with Basic.\n');
    }
  });

  test('who has lost every role has no session any more', async () => {
    const subject = await host.session({ is_local_superuser: false, auth_user_name: 'someone' });
    expect(await host.json('VM.get_all', subject)).toEqual({ error: ['SESSION_INVALID', subject] });
  });
});

describe('a handler', () => {
  test('that refuses is answered with the fault and the status that fits', async () => {
    expect(await host.http('PUT', '/fails')).toMatchObject({ status: 404, body: 'HANDLE_INVALID(VDI, x)\n' });
  });

  test('that is not built yet is told of only to somebody who might ask for it', async () => {
    expect((await host.http('GET', '/sync_config_files/2')).status).toBe(401);
    for (const separator of ['&', ';']) {
      const headers = { Cookie: ['a=b', 'pool_secret=guessed', 'c=d'].join(separator) };
      expect((await host.http('GET', '/sync_config_files/2', { headers })).status).toBe(401);
    }
    const reader = await host.sessionWithRole('read-only');
    expect((await host.http('GET', `/sync_config_files/2?session_id=${reader}`)).status).toBe(403);
    expect(await host.http('GET', `/sync_config_files/2?session_id=${root}`)).toMatchObject({
      status: 501,
      body: 'NOT_IMPLEMENTED(get_config_sync)\n',
    });
  });

  test('that fails with a bug is logged, and the client learns nothing of it', async () => {
    const reply = await host.http('PUT', '/fails?bug=1');
    expect([reply.status, reply.body]).toEqual([
      500,
      'The request failed for a reason that was written to the log.\n',
    ]);
    expect(host.takeErrors().map(({ context }) => String((context as any).error))).toContain(
      'TypeError: a bug',
    );
  });
});

describe('a raw stream', () => {
  const connect = async (path: string): Promise<string> => {
    const socket = await host.socket();
    socket.write(`CONNECT ${path} HTTP/1.0\r\n\r\n`);
    let answer = '';
    for await (const data of socket) answer += data;
    return answer;
  };

  test('is handed over to whom the path belongs', async () => {
    expect(await connect(`/console?session_id=${root}`)).toBe('HTTP/1.1 200 OK\r\n\r\nhello root');
  });

  test('is refused in words of HTTP', async () => {
    expect(await connect('/console')).toMatch(/^HTTP\/1\.1 401 .*WWW-Authenticate: Basic/s);
    expect(await connect('/nowhere')).toMatch(/^HTTP\/1\.1 403 .*There is nothing at \/nowhere/s);
  });
});

describe('a WebSocket', () => {
  const open = (path: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${host.port}${path}`, ['binary']);
      socket.once('message', (data) => resolve(String(data)));
      socket.once('unexpected-response', (_, response) => resolve(`refused ${response.statusCode}`));
      socket.once('error', () => {});
    });

  test('is accepted or refused as any request is', async () => {
    expect(await open(`/console?session_id=${root}`)).toBe('hello root');
    expect(await open('/console')).toBe('refused 401');
    expect(await open('/nowhere')).toBe('refused 404');
  });
});
