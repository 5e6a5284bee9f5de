// Goal: calls among the programs of one host reach their server, share connections, and fail by name.
// Method: real servers on loopback and on Unix sockets in a temporary folder, raw sockets for bad peers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Endpoint, PostHandler, Serving } from '../../../src/drivers/network.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';

const ordinary = { contentType: 'text/plain', timeoutMs: 10_000, responseMax: 10_000_000 };
const echo: PostHandler = async ({ method, path, body }) => ({
  status: 200,
  contentType: 'text/plain',
  body: `${method} ${path} ${body}`,
});

let folder: string;
let ends: (() => Promise<unknown>)[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xn-'));
  ends = [() => rm(folder, { recursive: true })];
});
afterEach(async () => {
  for (const end of ends.reverse()) await end();
});

const loopback: Endpoint = { host: '127.0.0.1', port: 0 };
const unix = (name: string): Endpoint & { socketPath: string } => ({ socketPath: join(folder, name) });

const serve = async (on: Endpoint, handle: PostHandler = echo, bodyMax = 1_000_000): Promise<Serving> => {
  const serving = await nodeNetwork.serve(on, handle, { bodyMax });
  ends.push(() => serving.close());
  return serving;
};

/** A server of raw bytes, for peers that do not keep to HTTP. */
const raw = async (on: Endpoint, greet: (socket: Socket) => void): Promise<Endpoint> => {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    greet(socket);
  });
  server.listen('socketPath' in on ? on.socketPath : { host: on.host, port: on.port });
  await once(server, 'listening');
  ends.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const address = server.address();
  return typeof address === 'object' && address ? { host: '127.0.0.1', port: address.port } : on;
};

test.each([
  ['a Unix socket', () => unix('s')],
  ['loopback', () => loopback],
])('a call over %s is answered', async (_, where) => {
  const { endpoint } = await serve(where());
  const answer = await nodeNetwork.post(endpoint, '/path?a=b', 'é\n', ordinary);
  expect(answer).toEqual({ status: 200, body: 'POST /path?a=b é\n' });
});

test('calls one after the other share a connection', async () => {
  const { endpoint } = await serve(unix('s'));
  let connections = 0;
  const between = await raw(loopback, (socket) => {
    connections++;
    nodeNetwork.connect(endpoint, { timeoutMs: 1000 }).then((to) => {
      to.on('error', () => {});
      socket.pipe(to).pipe(socket);
    });
  });
  for (let round = 0; round < 10; round++) await nodeNetwork.post(between, '/', String(round), ordinary);
  expect(connections).toBe(1);
});

test('a thousand calls at once are all answered', async () => {
  const { endpoint } = await serve(unix('s'));
  const answers = await Promise.all(
    Array.from({ length: 1000 }, (_, index) => nodeNetwork.post(endpoint, '/', String(index), ordinary)),
  );
  expect(answers.map((answer) => answer.body)).toEqual(answers.map((_, index) => `POST / ${index}`));
});

test('a body of exactly the limit is served and one byte more is answered 413', async () => {
  const { endpoint } = await serve(unix('s'), echo, 100_000);
  const whole = await nodeNetwork.post(endpoint, '/', 'x'.repeat(100_000), ordinary);
  expect(whole.status).toBe(200);
  const over = await nodeNetwork.post(endpoint, '/', 'x'.repeat(100_001), ordinary);
  expect(over).toEqual({ status: 413, body: 'A body is over the limit of 100000 bytes\n' });
  expect((await nodeNetwork.post(endpoint, '/', 'x', ordinary)).status).toBe(200);
});

test('an answer over the limit is too large', async () => {
  const { endpoint } = await serve(unix('s'));
  const call = nodeNetwork.post(endpoint, '/', '12345', { ...ordinary, responseMax: 11 });
  await expect(call).rejects.toMatchObject({ name: 'NetworkFailure', reason: 'too-large' });
  expect((await nodeNetwork.post(endpoint, '/', '1234', { ...ordinary, responseMax: 11 })).status).toBe(200);
});

test('a handler that fails is answered 500 and the server lives on', async () => {
  const { endpoint } = await serve(unix('s'), async ({ body }) => {
    if (body === 'bad') throw new Error('no such thing');
    return { status: 204, contentType: 'text/plain', body: '' };
  });
  expect(await nodeNetwork.post(endpoint, '/', 'bad', ordinary)).toEqual({
    status: 500,
    body: 'no such thing\n',
  });
  expect((await nodeNetwork.post(endpoint, '/', 'good', ordinary)).status).toBe(204);
});

test('a place where nobody listens refuses', async () => {
  const { endpoint, close } = await nodeNetwork.serve(loopback, echo, { bodyMax: 1 });
  await close();
  for (const to of [endpoint, unix('none')]) {
    await expect(nodeNetwork.post(to, '/', '', ordinary)).rejects.toMatchObject({ reason: 'refused' });
    await expect(nodeNetwork.connect(to, { timeoutMs: 1000 })).rejects.toMatchObject({ reason: 'refused' });
  }
});

test('a silent server is given up after the time limit, also in the middle of its answer', async () => {
  const silent = await raw(unix('silent'), () => {});
  const slow = await raw(unix('slow'), (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
  });
  for (const to of [silent, slow]) {
    const call = nodeNetwork.post(to, '/', '', { ...ordinary, timeoutMs: 50 });
    await expect(call).rejects.toMatchObject({
      reason: 'timeout',
      message: expect.stringContaining('50 ms'),
    });
  }
});

test('a connection that ends before the whole answer is a failure', async () => {
  const early = await raw(unix('early'), (socket) => socket.once('data', () => socket.destroy()));
  const short = await raw(unix('short'), (socket) => {
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
  });
  const noise = await raw(unix('noise'), (socket) => socket.end('what is HTTP?\r\n\r\n'));
  for (const to of [early, short, noise]) {
    await expect(nodeNetwork.post(to, '/', '', ordinary)).rejects.toMatchObject({ reason: 'closed' });
  }
});

test('an aborted call ends and its server hears of it', async () => {
  const heard = promised<AbortSignal>();
  const abort = new AbortController();
  const { endpoint } = await serve(unix('s'), async ({ signal }) => {
    const aborted = once(signal, 'abort');
    abort.abort();
    await aborted;
    heard.resolve(signal);
    return { status: 200, contentType: 'text/plain', body: '' };
  });
  const call = nodeNetwork.post(endpoint, '/', '', { ...ordinary, signal: abort.signal });
  await expect(call).rejects.toMatchObject({ reason: 'aborted' });
  expect((await heard.promise).aborted).toBe(true);
  const after = nodeNetwork.post(endpoint, '/', '', { ...ordinary, signal: abort.signal });
  await expect(after).rejects.toMatchObject({ reason: 'aborted' });
});

test('closing a server ends the calls that it has not answered and removes its socket', async () => {
  const arrived = promised<void>();
  const { endpoint, close } = await nodeNetwork.serve(
    unix('s'),
    ({ signal }) => {
      arrived.resolve();
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
    { bodyMax: 1 },
  );
  const call = nodeNetwork.post(endpoint, '/', '', ordinary);
  const failed = expect(call).rejects.toMatchObject({ reason: 'closed' });
  await arrived.promise;
  await close();
  await failed;
  expect(await readdir(folder)).toEqual([]);
});

test('a socket file is for its own user alone', async () => {
  const { socketPath } = unix('s');
  await serve({ socketPath });
  expect(lstatSync(socketPath).mode & 0o777).toBe(0o600);
});

test('a socket file that a dead process left is replaced', async () => {
  const { socketPath } = unix('s');
  await leaveSocketFile(socketPath);
  expect(lstatSync(socketPath).isSocket()).toBe(true);
  const { endpoint } = await serve({ socketPath });
  expect((await nodeNetwork.post(endpoint, '/', '', ordinary)).status).toBe(200);
});

test('a place where somebody answers is in use', async () => {
  for (const where of [unix('s'), loopback]) {
    const { endpoint } = await serve(where);
    await expect(nodeNetwork.serve(endpoint, echo, { bodyMax: 1 })).rejects.toMatchObject({
      reason: 'in-use',
    });
    expect((await nodeNetwork.post(endpoint, '/', '', ordinary)).status).toBe(200);
  }
});

test('a file that is not a socket is left alone', async () => {
  const { socketPath } = unix('s');
  await writeFile(socketPath, 'precious');
  await expect(nodeNetwork.serve({ socketPath }, echo, { bodyMax: 1 })).rejects.toMatchObject({
    reason: 'in-use',
  });
  expect(lstatSync(socketPath).isFile()).toBe(true);
});

test('a socket path that the system cannot hold is refused with the reason', async () => {
  const to = unix('x'.repeat(108));
  const refused = { reason: 'refused', message: expect.stringContaining('107 bytes') };
  await expect(nodeNetwork.serve(to, echo, { bodyMax: 1 })).rejects.toMatchObject(refused);
  await expect(nodeNetwork.post(to, '/', '', ordinary)).rejects.toMatchObject(refused);
  await expect(nodeNetwork.connect(to, { timeoutMs: 1 })).rejects.toMatchObject(refused);
});

test('a raw connection carries bytes both ways and can be half closed', async () => {
  const to = await raw(unix('s'), (socket) => {
    let got = '';
    socket.on('data', (chunk) => {
      got += chunk;
    });
    socket.once('end', () => socket.end(`got ${got}`));
  });
  const stream = await nodeNetwork.connect(to, { timeoutMs: 1000 });
  stream.end('hello');
  expect(await text(stream)).toBe('got hello');
});

test('raw streams are handed over up to the limit and end with the listener', async () => {
  const { endpoint, close } = await nodeNetwork.listen(unix('s'), (stream) => stream.pipe(stream), {
    connectionsMax: 2,
  });
  const streams = [];
  for (let index = 0; index < 2; index++) {
    const stream = await nodeNetwork.connect(endpoint, { timeoutMs: 1000 });
    stream.write('hello');
    expect(String((await once(stream, 'data'))[0])).toBe('hello');
    streams.push(stream);
  }
  const third = await nodeNetwork.connect(endpoint, { timeoutMs: 1000 });
  third.resume();
  await once(third, 'close');
  const ended = streams.map((stream) => once(stream, 'close'));
  await close();
  await Promise.all(ended);
  expect(await readdir(folder)).toEqual([]);
});

/** A promise to be kept from elsewhere. */
const promised = <T>(): { promise: Promise<T>; resolve: (value: T) => void } => {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((keep) => {
    resolve = keep;
  });
  return { promise, resolve };
};

/** A process that is killed while it listens leaves its socket file. */
const leaveSocketFile = async (socketPath: string): Promise<void> => {
  const script = `require('net').createServer().listen(${JSON.stringify(socketPath)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script]);
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
};
