// Goal: bodies of every shape that clients of disk images send arrive whole, or break by name.
// Method: sockets that write raw bytes to a real server, whose handler reads the bodies in chosen ways.
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { BodyBroken, BodyTooLarge, type HttpRequest } from '../../../src/drivers/http/http.ts';
import { ending, promised, type RawClient, type Running, rawClient } from './http-client.ts';

const { start, raw } = ending();

/** Reads to the end: what arrived, and the error that ended it. */
const readAll = async (request: HttpRequest): Promise<{ text: string; error: unknown }> => {
  let text = '';
  try {
    for await (const chunk of request.chunks()) text += Buffer.from(chunk).toString('latin1');
    return { text, error: undefined };
  } catch (error) {
    return { text, error };
  }
};

/** A server that reads each body to its end and answers its size or its error. */
const reading = async (): Promise<{ server: Running; read: Promise<{ text: string; error: unknown }> }> => {
  const read = promised<{ text: string; error: unknown }>();
  const server = await start({
    async request(request, answer) {
      const all = await readAll(request);
      read.resolve(all);
      answer.send(200, {}, [all.error ? `broken: ${all.error}` : `whole: ${all.text.length}`]);
    },
  });
  return { server, read: read.promise };
};

test('a large upload arrives whole', async () => {
  const { server, read } = await reading();
  const body = Buffer.alloc(5_000_000, 'abcdefg');
  const answer = await fetch(server.url, { method: 'PUT', body });
  expect(await answer.text()).toBe('whole: 5000000');
  expect((await read).text === body.toString('latin1')).toBe(true);
});

test('a chunked upload arrives whole', async () => {
  const { server, read } = await reading();
  const client = await raw(server);
  client.send('PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
  client.send('2\r\nde\r\n0\r\n\r\n');
  await client.sees('whole: 5');
  expect((await read).text).toBe('abcde');
});

test('an upload slower than its reader and one faster than its reader arrive whole', async () => {
  const server = await start({
    async request(request, answer) {
      let sizeBytes = 0;
      for await (const chunk of request.chunks()) {
        sizeBytes += chunk.length;
        await new Promise((resolve) => setImmediate(resolve));
      }
      answer.send(200, {}, [String(sizeBytes)]);
    },
  });
  const answer = await fetch(server.url, { method: 'PUT', body: Buffer.alloc(3_000_000) });
  expect(await answer.text()).toBe('3000000');
});

test('a reader that does not read stops the sender', async () => {
  const arrived = promised<HttpRequest>();
  const release = promised<void>();
  const server = await start({
    async request(request, answer) {
      arrived.resolve(request);
      await release.promise;
      answer.send(200, {}, [String((await readAll(request)).text.length)]);
    },
  });
  const client = await raw(server);
  const size = 64 * 1024 * 1024;
  client.send(`PUT / HTTP/1.1\r\nContent-Length: ${size}\r\n\r\n`);
  await arrived.promise;
  client.send(new Uint8Array(size));
  // The sender's system takes some megabytes and then no more, however long it is given.
  let before = -1;
  while (before !== client.socket.writableLength || before === 0) {
    before = client.socket.writableLength;
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(client.socket.writableLength).toBeGreaterThan(0);
  release.resolve();
  await client.sees(String(size));
});

test.each([
  ['its end', (client: RawClient) => client.socket.end()],
  ['a reset', (client: RawClient) => client.socket.resetAndDestroy()],
])('a body cut short by %s is broken, and what came before was delivered', async (_, end) => {
  const arrived = promised<void>();
  const read = promised<{ text: string; error: unknown }>();
  const release = promised<void>();
  const server = await start({
    async request(request, answer) {
      arrived.resolve();
      let text = '';
      try {
        for await (const chunk of request.chunks()) {
          text += Buffer.from(chunk).toString('latin1');
          // The reader is busy with the first bytes while the rest and the end of the connection arrive.
          await release.promise;
        }
      } catch (error) {
        read.resolve({ text, error });
      }
      answer.send(400, {}, ['too short']);
    },
  });
  const client = await raw(server);
  client.send('PUT / HTTP/1.1\r\nContent-Length: 1125899906842624\r\n\r\nfirst ');
  await arrived.promise;
  client.send('and the footer');
  await new Promise((resolve) => client.socket.write('', resolve));
  end(client);
  // Another client is served in between, so the end has been seen.
  await (await rawClient(server.port)).socket.destroy();
  release.resolve();
  const { text, error } = await read.promise;
  expect(text).toBe('first and the footer');
  expect(error).toBeInstanceOf(BodyBroken);
});

test('a client that ends its side too early still reads the answer', async () => {
  const { server } = await reading();
  const client = await raw(server);
  client.send('PUT / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc');
  client.socket.end();
  expect(await client.ended()).toContain('broken: BodyBroken');
});

test('a client that ends its side after its whole body still reads the answer', async () => {
  const { server } = await reading();
  const client = await raw(server);
  client.send('PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc');
  client.socket.end();
  expect(await client.ended()).toContain('whole: 3');
});

test('a body whose chunks are no chunks is broken', async () => {
  const { server, read } = await reading();
  const client = await raw(server);
  client.send('PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzzz\r\n');
  expect(await client.ended()).toContain('broken: BodyBroken');
  const { text, error } = await read;
  expect(text).toBe('abc');
  expect(String(error)).toContain('not valid HTTP');
});

test('an HTTP/1.0 upload without a length lasts until the client ends its side', async () => {
  const { server, read } = await reading();
  const client = await raw(server);
  client.send('PUT /import HTTP/1.0\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n');
  const more = 'x'.repeat(1_000_000);
  client.send(more);
  client.socket.end();
  expect(await client.ended()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*whole: 1000018$/);
  expect((await read).text).toBe(`GET / HTTP/1.1\r\n\r\n${more}`);
});

test('an HTTP/1.0 upload whose head comes in pieces and whose data comes later arrives whole', async () => {
  const { server, read } = await reading();
  const client = await raw(server);
  for (const piece of ['PUT / HT', 'TP/1.0\r\nA: b\r', '\n\r', '\n']) {
    await new Promise((resolve) => client.socket.write(piece, resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.send('data');
  client.socket.end();
  await client.ended();
  expect(await read).toEqual({ text: 'data', error: undefined });
});

test('an HTTP/1.0 upload without a length that is reset is broken', async () => {
  const first = promised<Uint8Array>();
  const error = promised<unknown>();
  const server = await start({
    async request(request) {
      try {
        for await (const chunk of request.chunks()) first.resolve(chunk);
      } catch (why) {
        error.resolve(why);
      }
    },
  });
  const client = await raw(server);
  client.send('PUT / HTTP/1.0\r\n\r\ndata');
  expect(Buffer.from(await first.promise).toString()).toBe('data');
  client.socket.resetAndDestroy();
  expect(await error.promise).toBeInstanceOf(BodyBroken);
});

test('an HTTP/1.0 upload may be answered without reading it', async () => {
  const server = await start({ request: async (_, answer) => answer.send(401, {}, ['who are you?']) });
  const client = await raw(server);
  client.send('PUT / HTTP/1.0\r\n\r\n');
  expect(await client.ended()).toMatch(/401 Unauthorized[\s\S]*who are you\?$/);
});

test('a client that waits for 200 before its body sees it first, and nothing of a second head', async () => {
  const read = promised<string>();
  const server = await start({
    async request(request, answer) {
      answer.early(200, {});
      expect(answer.begun()).toBe(true);
      const { text } = await readAll(request);
      read.resolve(text);
      answer.send(500, { 'X-Late': 'yes' }, ['never seen']);
    },
  });
  const client = await raw(server);
  client.send('PUT /import HTTP/1.0\r\nHost: x\r\nContent-Length: 5\r\n\r\n');
  expect(await client.sees('\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  client.send('hello');
  const all = await client.ended();
  expect(await read.promise).toBe('hello');
  expect(all.indexOf('\r\n\r\n') + 4).toBe(all.length);
});

test('an early answer works for HTTP/1.1 and for data that lasts until the client ends', async () => {
  const read: string[] = [];
  const server = await start({
    async request(request, answer) {
      answer.early(200, {});
      read.push((await readAll(request)).text);
      answer.send(200, {}, []);
    },
  });
  const modern = await raw(server);
  modern.send('PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\n');
  await modern.sees('200 OK');
  modern.send('hello');
  expect(await modern.ended()).not.toContain('chunked');
  const endless = await raw(server);
  endless.send('PUT / HTTP/1.0\r\n\r\n');
  await endless.sees('200 OK');
  endless.send('until the end');
  endless.socket.end();
  await endless.ended();
  expect(read).toEqual(['hello', 'until the end']);
});

test('a failure after an early answer cuts the connection', async () => {
  const release = promised<void>();
  const server = await start({
    async request(_, answer) {
      answer.early(200, {});
      await release.promise;
      throw new Error('the disk is full');
    },
  });
  const client = await raw(server);
  const failed = once(client.socket, 'error');
  client.send('PUT / HTTP/1.0\r\nContent-Length: 5\r\n\r\n');
  await client.sees('200 OK');
  release.resolve();
  expect((await failed)[0].code).toBe('ECONNRESET');
});

test('a client that expects to be told is told to continue once the body is wanted', async () => {
  const { server } = await reading();
  const client = await raw(server);
  client.send('PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  await client.sees('HTTP/1.1 100 Continue\r\n\r\n');
  client.send('hello');
  await client.sees('whole: 5');
});

test('a client whose body is not wanted is not told to continue, and its connection ends', async () => {
  const server = await start({ request: async (_, answer) => answer.send(403, {}, ['no']) });
  const client = await raw(server);
  client.send('PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  const answer = await client.ended();
  expect(answer).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
  expect(answer).toContain('Connection: close');
});

test('a refusal in the middle of an upload reaches the client that is still sending', async () => {
  const server = await start({
    async request(request, answer) {
      for await (const _ of request.chunks()) break;
      answer.send(507, {}, ['the storage is full']);
    },
  });
  const client = await raw(server);
  client.send('PUT / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n');
  client.send(new Uint8Array(3_000_000));
  expect(await client.ended()).toContain('the storage is full');
});

test('a silent body closes the connection after the limit', async () => {
  const error = promised<unknown>();
  const server = await start({
    limits: { bodyIdleMs: 50 },
    async request(request) {
      error.resolve(await request.bytes({ bytesMax: 100, withinMs: 60_000 }).catch((why) => why));
    },
  });
  const client = await raw(server);
  client.send('POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel');
  await client.ended();
  expect(await error.promise).toBeInstanceOf(BodyBroken);
  expect(String(await error.promise)).toContain('50 ms');
});

test('a text of exactly the limit is read, and one byte more is too large, announced or not', async () => {
  const errors: unknown[] = [];
  const server = await start({
    async request(request, answer) {
      try {
        answer.send(200, {}, [await request.bytes({ bytesMax: 5, withinMs: 60_000 })]);
      } catch (error) {
        errors.push(error);
        answer.send(413, {}, ['too large']);
      }
    },
  });
  const fits = await fetch(server.url, { method: 'POST', body: 'héll' });
  expect(await fits.text()).toBe('héll');
  const client = await raw(server);
  client.send('POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\n');
  await client.sees('413');
  const chunked = await raw(server);
  chunked.send('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n');
  await chunked.sees('413');
  expect(errors.every((error) => error instanceof BodyTooLarge && error.bytesMax === 5)).toBe(true);
  expect(errors).toHaveLength(2);
});

test('a small body that nobody read does not end the connection', async () => {
  const server = await start({
    async request(_, answer) {
      await new Promise((resolve) => setImmediate(resolve));
      answer.send(404, {}, ['nothing here']);
    },
  });
  const client = await raw(server);
  client.send('POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello');
  await client.sees('nothing here');
  client.send('GET /again HTTP/1.1\r\n\r\n');
  await client.sees('nothing hereHTTP/1.1 404');
});
