// Goal: a page of another site cannot use the cookies and passwords that a browser remembers for this host.
// Method: requests of every kind to the real HTTP server, with the headers that browsers and programs send.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { type Served, served } from './served.ts';

let host: Served;
let session: string;
beforeAll(async () => {
  host = await served({
    sites: { allowedOrigins: ['https://panel.example'], hostNames: ['pool.example'] },
    routes: [
      {
        method: 'GET',
        path: '/who',
        action: 'any session',
        handle: async (_, answer) => answer.send(200, {}, ['in']),
      },
      {
        method: 'UPGRADE',
        path: '/stream',
        action: 'any session',
        upgrade: async (_request, accept) => void (await accept(undefined)).destroy(),
      },
    ],
  });
  session = await host.session();
});
afterAll(() => host.close());

const own = 'http://127.0.0.1:8080';
const statusOf = async (headers: Record<string, string>): Promise<number> =>
  (
    await host.http('GET', '/who', {
      headers: { host: '127.0.0.1:8080', cookie: `session_id=${session}`, ...headers },
    })
  ).status;

describe('A request with a cookie or a password', () => {
  test('is served to programs, to pages of this host, and to those that are allowed', async () => {
    expect(await statusOf({})).toBe(200);
    expect(await statusOf({ origin: own })).toBe(200);
    expect(await statusOf({ origin: 'https://127.0.0.1:8080' })).toBe(200);
    expect(await statusOf({ origin: 'https://panel.example' })).toBe(200);
    expect(await statusOf({ origin: 'https://pool.example', host: 'pool.example' })).toBe(200);
    expect(await statusOf({ origin: 'http://[::1]:81', host: '[::1]:81' })).toBe(200);
  });

  test('is refused to pages of others, and by names that are not known', async () => {
    for (const origin of [
      'https://evil.example',
      'null',
      'http://127.0.0.1:9',
      'https://panel.example.evil',
      '',
    ])
      expect([origin, await statusOf({ origin })]).toEqual([origin, 403]);
    expect(await statusOf({ host: 'evil.example:8080' })).toBe(403);
    expect(await statusOf({ host: 'evil.example', origin: 'http://evil.example' })).toBe(403);
    const basic = { authorization: `Basic ${btoa('root:pa:ss')}` };
    const reply = await host.http('GET', '/who', { headers: { ...basic, origin: 'https://evil.example' } });
    expect([reply.status, reply.body]).toEqual([403, expect.stringContaining('--allowed-origins')]);
  });
});

test('a WebSocket and a CONNECT of another site are refused', async () => {
  const asked = async (head: string): Promise<string> => {
    const socket = await host.socket();
    socket.write(
      `${head}Host: 127.0.0.1\r\nOrigin: https://evil.example\r\nCookie: session_id=${session}\r\n\r\n`,
    );
    const answer = await new Promise<string>((resolve) =>
      socket.once('data', (data) => resolve(String(data))),
    );
    socket.destroy();
    return answer;
  };
  const upgrade = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n';
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  expect(await asked(`GET /stream HTTP/1.1\r\n${upgrade}${key}`)).toContain(' 403 ');
  expect(await asked('CONNECT /console HTTP/1.1\r\n')).toContain(' 403 ');
});

test('scripts hear answers only where their page may call', async () => {
  const ask = (method: string, origin: string) =>
    host.http(method, '/jsonrpc', {
      headers: { host: '127.0.0.1:8080', origin, 'access-control-request-headers': 'content-type' },
      body: method === 'POST' ? jsonCall('VM.get_all', [session], 1n) : '',
    });
  for (const method of ['POST', 'OPTIONS']) {
    for (const origin of [own, 'https://panel.example']) {
      const reply = await ask(method, origin);
      expect([reply.status, reply.headers['access-control-allow-origin']]).toEqual([200, origin]);
      expect(reply.headers['vary']).toBe('Origin');
    }
    const refused = await ask(method, 'https://evil.example');
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([403, undefined]);
  }
  const asked = await ask('OPTIONS', own);
  expect(asked.headers['access-control-allow-headers']).toBe('content-type, X-Requested-With');
});
