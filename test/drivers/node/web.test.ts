// Goal: a file is taken from where its URL leads, as it comes, and nothing that only this machine reaches is asked for
//   anybody else, however it is written.
// Method: servers of the test on loopback, which a caller of this machine may ask and others may not.

import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeWeb } from '../../../src/drivers/node/web.ts';

const { signal } = new AbortController();
const words = Buffer.alloc(300_000, 'what is in the file ');
const answers: Readonly<Record<string, RequestListener>> = {
  '/file': (_, answer) => void answer.end(words),
  '/moved': (_, answer) => void answer.writeHead(302, { location: '/file' }).end(),
  '/round': (_, answer) => void answer.writeHead(302, { location: '/round' }).end(),
  '/odd': (_, answer) => void answer.writeHead(302, { location: 'file:///etc/hostname' }).end(),
  '/short': (request, answer) => {
    answer.writeHead(200, { 'content-length': 1_000 });
    answer.write('the beginning', () => request.socket.destroy());
  },
  '/silent': () => {},
};

let server: Server;
let asked = 0;
beforeAll(async () => {
  server = createServer((request, answer) => {
    asked += 1;
    const answering = answers[request.url ?? ''];
    if (answering === undefined) answer.writeHead(404).end();
    else answering(request, answer);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterAll(async () => {
  server.closeAllConnections();
  await once(server.close(), 'close');
});

const at = (path: string, host = '127.0.0.1'): URL =>
  new URL(`http://${host}:${(server.address() as AddressInfo).port}${path}`);

const taken = async (path: string): Promise<Buffer> => {
  const { bytes } = await nodeWeb.get(at(path), { within: true, signal });
  const all: Uint8Array[] = [];
  for await (const piece of bytes) all.push(piece);
  return Buffer.concat(all);
};

test('a file comes whole, also where it has moved', async () => {
  expect((await taken('/file')).equals(words)).toBe(true);
  expect((await taken('/moved')).equals(words)).toBe(true);
});

test.each([
  ['/none', 'answered 404'],
  ['/round', 'sends on more than 5 times'],
  ['/odd', 'no URL of HTTP'],
])('%s is no file: it %s', async (path, why) => {
  await expect(taken(path)).rejects.toMatchObject({
    name: 'WebFailure',
    message: expect.stringContaining(why),
  });
});

test('a file that ends early says so, and who no longer wants one hears of it at once', async () => {
  await expect(taken('/short')).rejects.toMatchObject({ name: 'BodyBroken' });
  const given = new AbortController();
  const before = asked;
  const waiting = nodeWeb.get(at('/silent'), { within: true, signal: given.signal });
  await expect.poll(() => asked).toBe(before + 1);
  given.abort(new Error('no longer wanted'));
  await expect(waiting).rejects.toThrow('no longer wanted');
});

test.each([
  ...['127.0.0.1', 'localhost', '127.1', '0x7f000001', '2130706433', '0.0.0.0', '127.9.9.9'],
  ...['[::1]', '[::]', '[::ffff:127.0.0.1]', '[::127.0.0.1]', '169.254.169.254', '[fe80::1]'],
])('%s is asked for nobody from elsewhere', async (host) => {
  const before = asked;
  await expect(nodeWeb.get(at('/file', host), { within: false, signal })).rejects.toThrow(
    'by this host alone',
  );
  expect(asked).toBe(before);
});
