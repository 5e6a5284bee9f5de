// Goal: consoles get their raw stream, by CONNECT or by WebSocket, with back pressure and clean ends.
// Method: a real server, sockets that write raw bytes, and the client of the `ws` package.
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { HttpHead } from '../../../src/drivers/http/http.ts';
import { makeCertificate } from '../../../src/drivers/node/certificate.ts';
import { echo, ending, promised, type Running } from './http-client.ts';

const { start, raw, ends } = ending();

const webSocket = (
  server: Running,
  protocols: string[] = [],
  options: WebSocket.ClientOptions = {},
): WebSocket => {
  const client = new WebSocket(`${server.url.replace('http', 'ws')}/console?uuid=1`, protocols, options);
  client.binaryType = 'nodebuffer';
  ends.push(() => client.terminate());
  return client;
};

/** A server that accepts every WebSocket and hands over its stream. */
const accepting = async (protocol?: string): Promise<{ server: Running; stream: Promise<Duplex> }> => {
  const accepted = promised<Duplex>();
  const server = await start({
    async upgrade(_, accept) {
      accepted.resolve(await accept(protocol));
    },
  });
  return { server, stream: accepted.promise };
};

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

test('CONNECT to a path hands over the socket with what came after the head', async () => {
  const seen = promised<HttpHead>();
  const server = await start({
    async connect(request, socket) {
      seen.resolve(request);
      socket.write('HTTP/1.1 200 OK\r\n\r\nRFB 003.003\n');
      socket.on('data', (data) => socket.write(`echo ${data}`));
    },
  });
  const client = await raw(server);
  client.send(
    'CONNECT /console?uuid=1-2&session_id=OpaqueRef:3 HTTP/1.0\r\nCookie: session_id=4\r\n\r\nearly',
  );
  await client.sees('RFB 003.003\necho early');
  client.send('late');
  await client.sees('echo late');
  const request = await seen.promise;
  expect(request).toMatchObject({ method: 'CONNECT', path: '/console', httpVersion: '1.0' });
  expect(request.query.get('uuid')).toBe('1-2');
  expect(request.query.get('session_id')).toBe('OpaqueRef:3');
  expect(request.headers['cookie']).toBe('session_id=4');
});

test('a CONNECT whose handler fails is cut, and one whose client resets harms nobody', async () => {
  const opened = promised<Duplex>();
  const server = await start({
    request: echo,
    async connect(request, socket) {
      if (request.path === '/fail') throw new Error('no such console');
      opened.resolve(socket);
    },
  });
  const failing = await raw(server);
  failing.send('CONNECT /fail HTTP/1.1\r\n\r\n');
  await failing.ended();
  const reset = await raw(server);
  reset.send('CONNECT /console HTTP/1.1\r\n\r\n');
  const socket = await opened.promise;
  const closed = new Promise((resolve) => socket.resume().once('close', resolve));
  reset.socket.resetAndDestroy();
  await closed;
  expect((await fetch(server.url)).status).toBe(200);
});

test('a console that stays silent is not closed by the limits of heads and bodies', async () => {
  const opened = promised<Duplex>();
  const server = await start({
    limits: { headMs: 30, bodyIdleMs: 30 },
    async connect(_, socket) {
      opened.resolve(socket);
    },
  });
  const client = await raw(server);
  client.send('CONNECT /console HTTP/1.1\r\n\r\n');
  const socket = await opened.promise;
  // A connection that says nothing is closed after the limit: by then it has passed for the console too.
  const silent = await raw(server);
  await silent.ended();
  socket.write('still here');
  await client.sees('still here');
});

test('a WebSocket carries binary messages both ways, with the protocol that was chosen', async () => {
  const { server, stream } = await accepting('binary');
  const client = webSocket(server, ['base64', 'binary']);
  await once(client, 'open');
  expect(client.protocol).toBe('binary');
  expect(client.extensions).toBe('');
  const served = await stream;
  served.write(Buffer.from('RFB'));
  const [message, isBinary] = await once(client, 'message');
  expect([String(message), isBinary]).toEqual(['RFB', true]);
  client.send(Buffer.from([0, 255, 1]));
  expect((await once(served, 'data'))[0]).toEqual(Buffer.from([0, 255, 1]));
});

test('a WebSocket without a protocol is served, over TLS too', async () => {
  const tls = await makeCertificate({ names: [], days: 1 });
  const server = await start({
    tls,
    async upgrade(request, accept) {
      const stream = await accept(undefined);
      stream.end(`${request.secure} ${request.path} ${request.query.get('uuid')}`);
    },
  });
  const client = webSocket(server, [], { ca: tls.cert });
  expect(String((await once(client, 'message'))[0])).toBe('true /console 1');
  await once(client, 'close');
});

test('a WebSocket can be refused with a status', async () => {
  const server = await start({
    upgrade: async (_, __, refuse) => refuse(401, { 'X-Own': 'yes' }, 'log in first'),
  });
  const client = webSocket(server);
  client.on('error', () => {});
  const [, answer] = await once(client, 'unexpected-response');
  expect(answer.statusCode).toBe(401);
  expect(answer.headers['x-own']).toBe('yes');
  expect(String((await once(answer, 'data'))[0])).toBe('log in first');
});

test('a WebSocket whose handler fails or does nothing is answered 500', async () => {
  for (const upgrade of [
    async () => {},
    async () => {
      throw new Error('broken');
    },
  ]) {
    const client = webSocket(await start({ upgrade }));
    client.on('error', () => {});
    expect((await once(client, 'unexpected-response'))[1].statusCode).toBe(500);
  }
});

test('a handshake that is not valid is answered 400 and its handler told', async () => {
  const failed = promised<unknown>();
  const server = await start({
    upgrade: async (_, accept) => failed.resolve(await accept(undefined).catch((error) => error)),
  });
  const client = await raw(server);
  client.send('GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n');
  expect(await client.ended()).toContain('400 Bad Request');
  expect(await failed.promise).toBeInstanceOf(Error);
});

test('an end of either side ends the other', async () => {
  const { server, stream } = await accepting();
  const client = webSocket(server);
  const served = await stream;
  const ended = once(served.resume(), 'end');
  await once(client, 'open');
  client.close();
  await ended;
  const second = await accepting();
  const other = webSocket(second.server);
  const closed = once(other, 'close');
  (await second.stream).end();
  await closed;
});

test('a message over the limit closes the connection with code 1009', async () => {
  const { server, stream } = await accepting();
  const client = webSocket(server);
  await once(client, 'open');
  (await stream).resume();
  client.send(Buffer.alloc(4 * 1_048_576 + 1));
  expect((await once(client, 'close'))[0]).toBe(1009);
});

test('a WebSocket client that does not read stops the writer', async () => {
  const { server, stream } = await accepting();
  const client = webSocket(server);
  await once(client, 'open');
  const served = await stream;
  client.pause();
  let written = 0;
  while (served.write(Buffer.alloc(65_536)) || (await Promise.race([once(served, 'drain'), turns(300)]))) {
    written++;
    expect(written).toBeLessThan(2_000);
  }
  const drained = once(served, 'drain');
  client.on('message', () => {});
  client.resume();
  await drained;
});

test('a reader that does not read stops the WebSocket client', async () => {
  const { server, stream } = await accepting();
  const client = webSocket(server);
  await once(client, 'open');
  const served = await stream;
  const count = 1_000;
  for (let index = 0; index < count; index++) client.send(Buffer.alloc(65_536));
  let before = -1;
  while (before !== client.bufferedAmount) {
    before = client.bufferedAmount;
    await turns(300);
  }
  expect(client.bufferedAmount).toBeGreaterThan(0);
  let got = 0;
  for await (const chunk of served) {
    got += chunk.length;
    if (got === count * 65_536) break;
  }
});
