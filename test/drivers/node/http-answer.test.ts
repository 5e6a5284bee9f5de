// Goal: answers of every size reach every kind of client, at the client's speed, and a cut one is seen as cut.
// Method: a real server, fetch, and sockets that read slowly or not at all.
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { BodyBroken } from '../../../src/drivers/http/http.ts';
import { ending, promised } from './http-client.ts';

const { start, raw } = ending();

test('an answer of many parts of both kinds arrives whole', async () => {
  const parts = Array.from({ length: 20_000 }, (_, index) => {
    const text = `é${index},`.repeat(index % 7);
    return index % 3 === 0 ? Buffer.from(text) : text;
  });
  parts.push('x'.repeat(300_000), Buffer.alloc(300_000, 'y'));
  const server = await start({ request: async (_, answer) => answer.send(200, {}, parts) });
  const answer = await fetch(server.url);
  expect((await answer.text()) === parts.map(String).join('')).toBe(true);
});

test('an answer without a body has no length', async () => {
  const server = await start({ request: async (_, answer) => answer.send(204, {}, []) });
  expect((await fetch(server.url)).headers.get('content-length')).toBe(null);
});

test('pieces are chunked for HTTP/1.1 and last until the end for HTTP/1.0', async () => {
  const server = await start({
    async request(_, answer) {
      const body = answer.begin(200, { 'X-Own': 'yes' });
      await body.write(Buffer.from('one '));
      await body.write(Buffer.from('two'));
      await body.end();
    },
  });
  const modern = await raw(server);
  modern.send('GET / HTTP/1.1\r\n\r\n');
  expect(await modern.sees('0\r\n\r\n')).toContain('Transfer-Encoding: chunked\r\n');
  const old = await raw(server);
  old.send('GET / HTTP/1.0\r\nConnection: close\r\n\r\n');
  const answer = await old.ended();
  expect(answer).not.toContain('chunked');
  expect(answer).toMatch(/\r\n\r\none two$/);
  const kept = await raw(server);
  kept.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  expect(await kept.ended()).toMatch(/\r\n\r\none two$/);
});

test('pieces of a known length are not chunked and keep the connection', async () => {
  const server = await start({
    async request(_, answer) {
      const body = answer.begin(200, { 'Content-Length': '7' });
      await body.write(Buffer.from('one two'));
      await body.end();
    },
  });
  const client = await raw(server);
  for (const round of [1, 2]) {
    client.send('GET / HTTP/1.1\r\n\r\n');
    const all = await client.sees(round === 1 ? 'one two' : 'one twoHTTP');
    expect(all).not.toContain('chunked');
  }
});

test('an answer shorter than its length is cut, and its writer told', async () => {
  const error = promised<unknown>();
  const server = await start({
    async request(_, answer) {
      const body = answer.begin(200, { 'Content-Length': '7' });
      await body.write(Buffer.from('one'));
      error.resolve(await body.end().catch((why) => why));
    },
  });
  const answer = await fetch(server.url);
  await expect(answer.text()).rejects.toThrow();
  expect(await error.promise).toMatchObject({ code: 'ERR_HTTP_CONTENT_LENGTH_MISMATCH' });
});

test('an answer that fails is seen as cut, also where only the end of the connection says so', async () => {
  const release = promised<void>();
  const server = await start({
    async request(_, answer) {
      const body = answer.begin(200, {});
      await body.write(Buffer.from('half'));
      await release.promise;
      body.fail();
    },
  });
  const client = await raw(server);
  const failed = once(client.socket, 'error');
  client.send('GET / HTTP/1.0\r\n\r\n');
  await client.sees('half');
  release.resolve();
  expect((await failed)[0].code).toBe('ECONNRESET');
  await expect(fetch(server.url).then((answer) => answer.text())).rejects.toThrow();
});

test('a slow reader stops the writer and still gets everything', async () => {
  const size = 64 * 1024;
  const count = 500;
  let written = 0;
  const server = await start({
    async request(_, answer) {
      const body = answer.begin(200, {});
      for (; written < count; written++) await body.write(Buffer.alloc(size));
      await body.end();
    },
  });
  const client = await raw(server);
  client.socket.pause();
  client.send('GET / HTTP/1.0\r\n\r\n');
  let before = -1;
  while (before !== written || written === 0) {
    before = written;
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(written).toBeLessThan(count);
  client.socket.resume();
  const all = await client.ended();
  expect(all.length - all.indexOf('\r\n\r\n') - 4).toBe(size * count);
});

test('a writer hears that its reader went away', async () => {
  const error = promised<unknown>();
  const server = await start({
    async request(_, answer) {
      const body = answer.begin(200, {});
      try {
        for (;;) await body.write(Buffer.alloc(65_536));
      } catch (why) {
        error.resolve(why);
      }
    },
  });
  const client = await raw(server);
  client.send('GET / HTTP/1.1\r\n\r\n');
  await client.sees('200 OK');
  client.socket.destroy();
  expect(await error.promise).toBeInstanceOf(BodyBroken);
});

test.each([
  ['pieces', 'begin'],
  ['a whole', 'send'],
])('a reader that takes nothing of %s for too long is cut off', async (_, how) => {
  const gone = promised<void>();
  const server = await start({
    limits: { bodyIdleMs: 100 },
    async request(request, answer) {
      const left = once(request.gone(), 'abort');
      const all = Buffer.alloc(50_000_000);
      if (how === 'send') answer.send(200, {}, [all]);
      else
        await answer
          .begin(200, {})
          .write(all)
          .catch(() => {});
      await left;
      gone.resolve();
    },
  });
  const client = await raw(server);
  client.socket.pause();
  client.send('GET / HTTP/1.1\r\n\r\n');
  await gone.promise;
});

test('a download of an HTTP/1.0 upload without a length is written at the speed of its reader', async () => {
  const server = await start({
    async request(request, answer) {
      const body = answer.begin(200, {});
      for await (const chunk of request.chunks()) await body.write(chunk);
      await body.end();
    },
  });
  const client = await raw(server);
  const size = 20_000_000;
  client.send('PUT / HTTP/1.0\r\n\r\n');
  client.send(Buffer.alloc(size, 'z'));
  client.socket.end();
  const all = await client.ended();
  expect(all.length - all.indexOf('\r\n\r\n') - 4).toBe(size);
});
