// Goal: streams of bytes between hosts arrive whole, hold up fast writers, and end with an error when cut.
// Method: two meshes over real TLS on the loopback.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, expect, test } from 'vitest';
import type { MeshOptions } from '../../src/mesh/mesh.ts';
import { Fault } from '../../src/std/fault.ts';
import { join, type Node, startNode } from './fixture.ts';

const nodes: Node[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map(({ mesh }) => mesh.close()));
});

const pair = async (options: Partial<MeshOptions> = {}): Promise<[Node, Node]> => {
  const both: [Node, Node] = [await startNode('a', options), await startNode('b', options)];
  nodes.push(...both);
  await join(both);
  return both;
};

const soon = { timeoutMs: 10_000 };
/** Not by `for await`, which destroys a duplex whose other direction has not ended. */
const text = (stream: Duplex): Promise<string> =>
  new Promise((resolve, reject) => {
    let all = '';
    stream.on('data', (chunk) => {
      all += chunk;
    });
    stream.once('end', () => resolve(all));
    stream.once('error', reject);
  });
const errorOf = (stream: Duplex): Promise<any> => once(stream, 'error').then(([error]) => error);

test('bytes go both ways, each way with an end of its own', async () => {
  const [a, b] = await pair();
  b.mesh.serveStream('upper', ({ greeting }: { greeting: string }) => async (stream) => {
    stream.write(`${greeting} `);
    stream.end((await text(stream)).toUpperCase());
  });
  const stream = await a.mesh.open('b', 'upper', { greeting: 'hello' }, soon);
  stream.write('from ');
  stream.end('afar');
  expect(await text(stream)).toBe('hello FROM AFAR');
  await new Promise<void>((resolve) => (stream.closed ? resolve() : stream.once('close', resolve)));
  expect(a.mesh.peers()[0]?.streams).toBe(0);
});

test('100 MB arrive whole while calls go on', async () => {
  const [a, b] = await pair();
  const sent = createHash('sha256');
  const piece = new Uint8Array(100_000);
  const source = Readable.from(
    (function* () {
      for (let i = 0; i < 1_000; i++) {
        const chunk = Buffer.from(piece.fill(i % 251));
        sent.update(chunk);
        yield chunk;
      }
    })(),
  );
  const received = new Promise<[string, number]>((resolve) => {
    b.mesh.serveStream('sink', () => (stream) => {
      const hash = createHash('sha256');
      let bytes = 0;
      stream.on('data', (chunk) => {
        hash.update(chunk);
        bytes += chunk.length;
      });
      stream.once('end', () => {
        stream.end();
        resolve([hash.digest('hex'), bytes]);
      });
    });
  });
  b.mesh.serve('echo', (n: number) => n);
  const stream = await a.mesh.open('b', 'sink', null, soon);
  const piped = pipeline(source, stream);
  for (let i = 0; i < 20; i++) expect(await a.mesh.call('b', 'echo', i, soon)).toBe(i);
  stream.resume();
  await piped;
  expect(await received).toEqual([sent.digest('hex'), 100_000_000]);
});

const counters: Readonly<Record<string, (stream: Duplex) => Promise<number>>> = {
  'by events': async (stream) => (await text(stream)).length,
  'by iteration': async (stream) => {
    let bytes = 0;
    for await (const chunk of stream) bytes += chunk.length;
    return bytes;
  },
};

test.each(Object.keys(counters))(
  'a reader that does not read holds the writer up within a window, and goes on %s',
  async (how) => {
    const window = 256 * 1_024;
    const [a, b] = await pair({ limits: { streamWindowBytesMax: window } });
    const accepted = new Promise<Duplex>((resolve) => b.mesh.serveStream('sink', () => resolve));
    const stream = await a.mesh.open('b', 'sink', null, soon);
    const there = await accepted;
    const chunk = Buffer.alloc(16_384);
    let written = 0;
    while (stream.write(chunk)) written += chunk.length;
    for (let i = 0; i < 200; i++) {
      stream.write(chunk);
      written += chunk.length;
    }
    // What the window lets through has come when a call that was sent after it is answered.
    b.mesh.serve('echo', () => null);
    while (there.readableLength < window) await a.mesh.call('b', 'echo', null, soon);
    for (let i = 0; i < 20; i++) await a.mesh.call('b', 'echo', null, soon);
    expect(there.readableLength).toBe(window);
    expect(stream.writableLength).toBeGreaterThan(200 * chunk.length - window);
    const counted = counters[how]?.(there);
    stream.end(chunk);
    expect(await counted).toBe(written + 2 * chunk.length);
  },
);

test('a handler that throws refuses the stream with its fault', async () => {
  const [a, b] = await pair();
  b.mesh.serveStream('refuse', () => {
    throw new Fault('HOST_OFFLINE', ['OpaqueRef:b']);
  });
  await expect(a.mesh.open('b', 'refuse', null, soon)).rejects.toMatchObject({ code: 'HOST_OFFLINE' });
  await expect(a.mesh.open('b', 'nothing', null, soon)).rejects.toMatchObject({ reason: 'unknown' });
  expect(a.mesh.peers()[0]?.streams).toBe(0);
});

test('an end that fails tells the other end why', async () => {
  const [a, b] = await pair();
  b.mesh.serveStream('break', () => (stream) => {
    stream.destroy(new Fault('SR_FULL', ['10', '5']));
  });
  b.mesh.serveStream('leave', () => (stream) => {
    stream.destroy();
  });
  b.mesh.serveStream('wait', () => (stream) => {
    stream.once('data', () => stream.destroy());
  });
  await expect(a.mesh.open('b', 'break', null, soon)).rejects.toMatchObject({ code: 'SR_FULL' });
  await expect(a.mesh.open('b', 'leave', null, soon)).rejects.toThrow('before its end');
  const stream = await a.mesh.open('b', 'wait', null, soon);
  stream.write('x');
  expect((await errorOf(stream)).message).toContain('before its end');
});

test('a lost link ends its streams with an error on both sides', async () => {
  const [a, b] = await pair();
  const accepted = new Promise<Duplex>((resolve) => b.mesh.serveStream('sink', () => resolve));
  const here = await a.mesh.open('b', 'sink', null, soon);
  const there = await accepted;
  const errors = Promise.all([errorOf(here), errorOf(there)]);
  await a.mesh.close();
  for (const error of await errors) expect(error).toMatchObject({ reason: 'unreachable' });
});

test('a stream from a host that is behind by then is ended, unless it takes any epoch', async () => {
  const [a, b] = await pair();
  const accepted = new Map<string, Duplex>();
  for (const [name, anyEpoch] of [
    ['strict', false],
    ['any', true],
  ] as const) {
    b.mesh.serveStream(name, () => (stream) => accepted.set(name, stream), { anyEpoch });
  }
  const strict = await a.mesh.open('b', 'strict', null, soon);
  const any = await a.mesh.open('b', 'any', null, { ...soon, anyEpoch: true });
  await new Promise((resolve) => setImmediate(resolve));
  b.epoch = 9;
  const told = errorOf(strict);
  strict.write('x');
  any.end('still here');
  expect(await told).toMatchObject({ reason: 'stale', epoch: 9 });
  while (!accepted.has('any')) await new Promise((resolve) => setImmediate(resolve));
  expect(await text(accepted.get('any') as Duplex)).toBe('still here');
});

test('one stream more than may be open is refused as busy', async () => {
  const [a, b] = await pair({ limits: { streamsMax: 2 } });
  b.mesh.serveStream('sink', () => () => {});
  await a.mesh.open('b', 'sink', null, soon);
  const second = await a.mesh.open('b', 'sink', null, soon);
  await expect(a.mesh.open('b', 'sink', null, soon)).rejects.toMatchObject({ reason: 'busy' });
  second.destroy();
  await once(second, 'close');
  await a.mesh.open('b', 'sink', null, soon);
});
