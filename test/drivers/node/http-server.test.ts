// Goal: ordinary clients are served, and bad, slow or too many ones are turned away without harm to others.
// Method: a real server on the loopback, asked by fetch and by sockets that write raw bytes.
import { once } from 'node:events';
import { request as secureRequest } from 'node:https';
import { connect as connectSecurely } from 'node:tls';
import { expect, test, vi } from 'vitest';
import type { HttpLimits, HttpRequest } from '../../../src/drivers/http/http.ts';
import { makeCertificate } from '../../../src/drivers/node/certificate.ts';
import { nodeHttpServer } from '../../../src/drivers/node/http-server.ts';
import { echo, ending, limits, promised, startServer } from './http-client.ts';

const { start, raw } = ending();

const post = (body: string, more = ''): string =>
  `POST /a HTTP/1.1\r\nHost: x\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

test('a request reaches the handler with all that was sent', async () => {
  const seen = promised<HttpRequest>();
  const server = await start({
    async request(request, answer) {
      seen.resolve(request);
      expect(String(await request.bytes({ bytesMax: 1000, withinMs: 60_000 }))).toBe('é');
      answer.send(207, { 'X-Own': 'yes' }, ['a', Buffer.from('b'), 'é']);
    },
  });
  const answer = await fetch(`${server.url}/some%20path/?session_id=OpaqueRef%3A1&flag&a=1&a=2`, {
    method: 'POST',
    body: 'é',
    headers: { 'X-Name': 'value' },
  });
  expect(answer.status).toBe(207);
  expect(answer.headers.get('x-own')).toBe('yes');
  expect(answer.headers.get('content-length')).toBe('4');
  expect(await answer.text()).toBe('abé');
  const request = await seen.promise;
  expect(request).toMatchObject({
    method: 'POST',
    path: '/some path/',
    httpVersion: '1.1',
    remoteAddress: '127.0.0.1',
    secure: false,
  });
  expect(request.contentLength()).toBe(2n);
  expect(request.headers['x-name']).toBe('value');
  expect(request.query.get('session_id')).toBe('OpaqueRef:1');
  expect(request.query.getAll('a')).toEqual(['1', '2']);
  expect(request.query.has('flag')).toBe(true);
});

test('the lengths of bodies are told: none, chunked, and beyond what a number holds', async () => {
  const lengths: (bigint | undefined)[] = [];
  const server = await start({
    async request(request, answer) {
      lengths.push(request.contentLength());
      answer.send(200, {}, []);
    },
  });
  await fetch(server.url);
  const client = await raw(server);
  client.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
  await client.sees('200 OK');
  const huge = await raw(server);
  huge.send('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9007199254740993\r\n\r\n');
  await huge.sees('200 OK');
  expect(lengths).toEqual([0n, undefined, 9007199254740993n]);
});

test('a path of escapes that are no UTF-8 is answered 400', async () => {
  const server = await start({ request: echo });
  const answer = await fetch(`${server.url}/%ff`);
  expect(answer.status).toBe(400);
  expect(await answer.text()).toContain('percent-encoded');
});

test('a request for a whole address is served by its path', async () => {
  const server = await start({ request: echo });
  const client = await raw(server);
  client.send('GET http://somewhere/x/y?z=1 HTTP/1.0\r\n\r\n');
  expect(await client.ended()).toContain('GET /x/y ');
});

test('many requests share one connection, also when they are sent without waiting', async () => {
  const server = await start({ request: echo });
  const client = await raw(server);
  client.send(post('one') + post('two') + post('three'));
  const answers = await client.sees('POST /a three');
  expect(answers.match(/POST \/a (one|two|three)/g)).toEqual(['POST /a one', 'POST /a two', 'POST /a three']);
});

test('an HTTP/1.0 client is answered and its connection ends', async () => {
  const server = await start({ request: echo });
  const client = await raw(server);
  client.send('POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi');
  const answer = await client.ended();
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(answer).toContain('Content-Length: 9\r\n');
  expect(answer).toMatch(/POST \/ hi$/);
});

test('an HTTP/1.1 request without a Host is served', async () => {
  const server = await start({ request: echo });
  const client = await raw(server);
  client.send('GET /x HTTP/1.1\r\n\r\n');
  await client.sees('GET /x ');
});

test('an upgrade to HTTP/2 that some clients offer is ignored', async () => {
  const server = await start({ request: echo });
  const client = await raw(server);
  client.send(post('body', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n'));
  await client.sees('POST /a body');
});

test('an answer to HEAD has the length and no body', async () => {
  const server = await start({ request: echo });
  const answer = await fetch(`${server.url}/x`, { method: 'HEAD' });
  expect(answer.headers.get('content-length')).toBe('8');
  expect(await answer.text()).toBe('');
});

test('a handler that fails or does not answer is answered 500 once', async () => {
  const server = await start({
    async request(request) {
      if (request.path === '/throw') throw new Error('secret');
    },
  });
  for (const path of ['/throw', '/silent']) {
    const answer = await fetch(server.url + path);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('secret');
  }
});

test('an answer with a header that would break the head is a failure of the handler', async () => {
  const server = await start({
    request: async (_, answer) => answer.send(200, { 'X-Bad': 'a\r\nb: c' }, []),
  });
  expect((await fetch(server.url)).status).toBe(500);
});

test('a second answer is refused', async () => {
  const second = promised<unknown>();
  const server = await start({
    async request(_, answer) {
      answer.send(200, {}, ['first']);
      try {
        answer.send(200, {}, ['second']);
      } catch (error) {
        second.resolve(error);
      }
    },
  });
  expect(await (await fetch(server.url)).text()).toBe('first');
  expect(String(await second.promise)).toContain('answered already');
});

test('a broken request is answered 400 with a sentence', async () => {
  const server = await start({ request: echo });
  for (const noise of ['what is this\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00']) {
    const client = await raw(server);
    client.send(noise);
    const answer = await client.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toMatch(/\r\n\r\nThe request is not valid HTTP: .+\.\n$/);
  }
});

test('a request that could be read in two ways is refused', async () => {
  const server = await start({ request: echo });
  const client = await raw(server);
  client.send(post('0\r\n\r\n', 'Transfer-Encoding: chunked\r\n'));
  expect(await client.ended()).toContain('400 Bad Request');
});

test('a head over the limit is answered 431', async () => {
  const server = await start({ request: echo, limits: { headBytesMax: 2000 } });
  const client = await raw(server);
  client.send(`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(3000)}\r\n\r\n`);
  expect(await client.ended()).toContain('431 Request Header Fields Too Large');
  const short = await raw(server);
  short.send(`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(1000)}\r\n\r\n`);
  await short.sees('200 OK');
});

test('silent and slow clients are closed after the limit while others are served', async () => {
  const server = await start({ request: echo, limits: { headMs: 300 } });
  const silent = await raw(server);
  const slow = await raw(server);
  slow.send('GET / HTTP/1.1\r\nX-Half: ');
  expect((await fetch(server.url)).status).toBe(200);
  expect(await slow.ended()).toContain('408 Request Timeout');
  expect(await silent.ended()).toContain('408 Request Timeout');
  expect((await fetch(server.url)).status).toBe(200);
});

/** A server whose requests to `/wait` are answered when the test says so. */
const waiting = async (limits: Partial<HttpLimits>) => {
  const gate = promised<void>();
  let arrived = 0;
  const server = await start({
    request: async (request, answer) => {
      if (request.path === '/wait') {
        arrived += 1;
        await gate.promise;
      }
      answer.send(200, {}, [`${request.path} answered`]);
    },
    limits,
  });
  const ask = async (path: string) => {
    const client = await raw(server);
    client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    return client;
  };
  return { server, gate, ask, arrived: () => arrived };
};

test('a connection over the limit is told so while the others do something, and served once one has ended', async () => {
  for (const limits of [{ connectionsMax: 2 }, { connectionsOfOneMax: 2 }]) {
    const { gate, ask, arrived } = await waiting(limits);
    const [first, second] = [await ask('/wait'), await ask('/wait')];
    await vi.waitFor(() => expect(arrived()).toBe(2));
    const third = await ask('/');
    const refused = await third.ended();
    expect(refused).toContain('503 Service Unavailable');
    expect(refused).toContain('Connection: close');
    expect(refused).toContain('Too many connections');
    gate.resolve();
    await Promise.all([first.sees('answered'), second.sees('answered')]);
    const fourth = await ask('/fourth');
    await fourth.sees('/fourth answered');
    // The one that has done nothing longest has given way.
    await vi.waitFor(() => expect([first.socket.readableEnded, second.socket.readableEnded]).toContain(true));
  }
});

test('connections that say nothing keep nobody out, and end as others come', async () => {
  const server = await start({ request: echo, limits: { connectionsMax: 2 } });
  const flood = await Promise.all(Array.from({ length: 100 }, () => raw(server)));
  expect((await fetch(server.url)).status).toBe(200);
  await vi.waitFor(() =>
    expect(flood.filter((client) => client.socket.readableEnded).length).toBeGreaterThanOrEqual(98),
  );
  for (const client of flood) client.socket.destroy();
});

test('requests that are sent ahead beyond the limit end their connection', async () => {
  const { gate, server } = await waiting({ pipelinedMax: 2 });
  const client = await raw(server);
  client.send('GET /wait HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(4));
  gate.resolve();
  const answers = await client.ended();
  expect(answers.split('/wait answered')).toHaveLength(3);
  expect(answers).toContain('503 Service Unavailable');
});

test('the handler hears that a client went away before it was answered', async () => {
  const heard = promised<string>();
  const server = await start({
    async request(request) {
      String(await request.bytes({ bytesMax: 1000, withinMs: 60_000 }));
      if (!request.gone().aborted) await once(request.gone(), 'abort');
      heard.resolve(request.path);
    },
  });
  const client = await raw(server);
  client.send('POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx');
  client.socket.end();
  expect(await heard.promise).toBe('/first');
});

test('a client that was answered is not said to have gone', async () => {
  const signals: AbortSignal[] = [];
  const server = await start({
    async request(request, answer) {
      signals.push(request.gone());
      answer.send(200, {}, ['x']);
    },
  });
  const client = await raw(server);
  client.send('GET / HTTP/1.0\r\n\r\n');
  await client.ended();
  client.socket.destroy();
  await fetch(server.url, { headers: { Connection: 'close' } });
  expect(signals.map((signal) => signal.aborted)).toEqual([false, false]);
});

test('HTTPS serves the same, and no TLS before 1.2', async () => {
  const tls = await makeCertificate({ names: [], days: 1 });
  const server = await start({ request: echo, tls });
  const call = secureRequest(`${server.url}/x`, { ca: tls.cert, method: 'POST', agent: false });
  call.end('hello');
  const [answer] = await once(call, 'response');
  expect(String((await once(answer, 'data'))[0])).toBe('POST /x hello');
  const old = connectSecurely({
    port: server.port,
    ca: tls.cert,
    minVersion: 'TLSv1.1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  const [refused] = await once(old, 'error');
  expect(refused.code).toMatch(/ERR_SSL|ECONNRESET/);
});

test('what is no TLS on the HTTPS port is closed and harms nobody', async () => {
  const tls = await makeCertificate({ names: [], days: 1 });
  const server = await start({ request: echo, tls });
  const client = await raw(server);
  client.send('GET / HTTP/1.1\r\n\r\n');
  await client.ended();
  const call = secureRequest(`${server.url}/x`, { ca: tls.cert, agent: false });
  call.end();
  expect((await once(call, 'response'))[0].statusCode).toBe(200);
});

test('closing ends idle connections at once and lets what is being answered end', async () => {
  const arrived = promised<void>();
  const release = promised<void>();
  const server = await startServer({
    async request(request, answer) {
      if (request.path === '/slow') {
        arrived.resolve();
        await release.promise;
      }
      answer.send(200, {}, ['done']);
    },
  });
  const idle = await raw(server);
  idle.send('GET / HTTP/1.1\r\n\r\n');
  await idle.sees('done');
  const busy = await raw(server);
  busy.send('GET /slow HTTP/1.1\r\n\r\n');
  await arrived.promise;
  const closed = server.close();
  await idle.ended();
  release.resolve();
  const answer = await busy.ended();
  expect(answer).toContain('Connection: close');
  expect(answer).toContain('done');
  busy.socket.end();
  idle.socket.end();
  await closed;
});

test('closing cuts what does not end', async () => {
  const arrived = promised<AbortSignal>();
  const server = await startServer({
    async request(request) {
      arrived.resolve(request.gone());
      await once(request.gone(), 'abort');
    },
  });
  const client = await raw(server);
  client.send('GET / HTTP/1.1\r\n\r\n');
  const gone = await arrived.promise;
  await server.close();
  await client.ended();
  await vi.waitFor(() => expect(gone.aborted).toBe(true));
});

test('a port that is taken is refused by name', async () => {
  const server = await start({ request: echo });
  const again = nodeHttpServer.listen({ host: '127.0.0.1', port: server.port, limits }, {} as never);
  await expect(again).rejects.toMatchObject({ name: 'NetworkFailure', reason: 'in-use' });
});
