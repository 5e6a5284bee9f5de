// Goal: a raw stream that is asked for on a socket of calls carries bytes both ways, ends with the server,
//   and is refused with a reason where there is none.
// Method: servers and clients of this machine's network on Unix sockets in a temporary folder.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Serving } from '../../../src/drivers/network.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';

const LIMITS = { timeoutMs: 5_000 };
let folder: string;
let socketPath: string;
let servings: Serving[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xs-'));
  socketPath = join(folder, 'socket');
});
afterEach(async () => {
  for (const serving of servings) await serving.close();
  servings = [];
  await rm(folder, { recursive: true });
});

const serve = async (onStream?: (path: string, stream: Duplex) => void): Promise<Serving> => {
  const calls = async () => ({ status: 200, contentType: 'text/plain', body: 'a call' });
  const limits = { bodyMax: 1_000, ...(onStream === undefined ? {} : { onStream }) };
  const serving = await nodeNetwork.serve({ socketPath }, calls, limits);
  servings.push(serving);
  return serving;
};

test('bytes go both ways, and calls are answered on the same socket', async () => {
  await serve((path, stream) => {
    stream.write(path);
    stream.pipe(stream);
  });
  const stream = await nodeNetwork.openStream({ socketPath }, '/some/where', LIMITS);
  let seen = '';
  const echoed = new Promise<void>((resolve) =>
    stream.on('data', (bytes: Buffer) => {
      seen += bytes;
      if (seen === '/some/wherehello') resolve();
    }),
  );
  stream.write('hello');
  await echoed;
  stream.destroy();
  const options = { contentType: 'text/plain', timeoutMs: 5_000, responseMax: 100 };
  expect(await nodeNetwork.post({ socketPath }, '/', '', options)).toEqual({ status: 200, body: 'a call' });
});

test('a server that closes ends its streams', async () => {
  const serving = await serve(() => {});
  const stream = await nodeNetwork.openStream({ socketPath }, '/', LIMITS);
  const closed = once(stream, 'close');
  stream.resume();
  await serving.close();
  await closed;
});

test('where nobody listens, or calls alone are answered, or nobody answers, there is no stream', async () => {
  const refused = { name: 'NetworkFailure', reason: 'refused' };
  await expect(nodeNetwork.openStream({ socketPath }, '/', LIMITS)).rejects.toMatchObject(refused);
  await serve();
  await expect(nodeNetwork.openStream({ socketPath }, '/', LIMITS)).rejects.toMatchObject(refused);
  const silent = { socketPath: join(folder, 'silent') };
  servings.push(await nodeNetwork.listen(silent, () => {}, { connectionsMax: 1 }));
  await expect(nodeNetwork.openStream(silent, '/', { timeoutMs: 50 })).rejects.toMatchObject({
    reason: 'timeout',
  });
});

test('an upgrade to anything else is refused', async () => {
  await serve((_path, stream) => stream.end('never'));
  const socket = connect(socketPath);
  socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n');
  let seen = '';
  socket.on('data', (bytes: Buffer) => {
    seen += bytes;
  });
  await once(socket, 'end');
  expect(seen).toMatch(/^HTTP\/1\.1 400 /);
});
