// Goal: the network in memory does what its interface says, and fails in the ways that a real one does.
// Method: calls and streams between simulated processes, in virtual time.
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import type { Network, PostHandler } from '../../src/drivers/network.ts';
import { joined } from '../../src/pool/joined.ts';
import { memoryNetwork, type NetworkConditions } from '../../src/simulation/memory-network.ts';
import { simulated } from './simulated.ts';

const socket = { socketPath: '/run/daemon' };
const options = { contentType: 'text/plain', timeoutMs: 1_000, responseMax: 100 };
const echo: PostHandler = async ({ body }) => ({ status: 200, contentType: 'text/plain', body });

const setUp = (conditions: Partial<NetworkConditions> = {}) => {
  const world = simulated('network');
  const network = memoryNetwork({ random: world.random, conditions: { delayMs: [1, 3], ...conditions } });
  const [server, client] = [world.life('server'), world.life('client')];
  return { ...world, network, server, client, at: network.of('m1', server), from: network.of('m1', client) };
};
const ask = (from: Network, body = 'hello', more: object = {}) =>
  from.post(socket, '/', body, { ...options, ...more });
const reasonOf = (asked: Promise<unknown>) => asked.then(String, (error) => error.reason);

describe('a call', () => {
  test('is answered after the way there and back', async () => {
    const { at, from, loop, clock } = setUp();
    await at.serve(socket, echo, { bodyMax: 100 });
    expect(await loop.finish(ask(from))).toMatchObject({ status: 200, body: 'hello' });
    expect(clock.monotonicMs()).toBeGreaterThan(2);
    expect(clock.monotonicMs()).toBeLessThan(6);
  });

  test('to a place where nobody listens is refused, and so is one on another machine', async () => {
    const { at, network, client, from, loop } = setUp();
    expect(await loop.finish(reasonOf(ask(from)))).toBe('refused');
    await at.serve(socket, echo, { bodyMax: 100 });
    expect(await loop.finish(reasonOf(ask(network.of('m2', client))))).toBe('refused');
  });

  test('has its limits: of its body, of its answer, of its time', async () => {
    const { at, from, loop, clock } = setUp();
    const forever: PostHandler = () => new Promise(() => {});
    const serving = await at.serve(socket, echo, { bodyMax: 200 });
    expect(await loop.finish(ask(from, 'x'.repeat(201)))).toMatchObject({ status: 413 });
    expect(await loop.finish(reasonOf(ask(from, 'x'.repeat(101))))).toBe('too-large');
    await serving.close();
    await at.serve(socket, forever, { bodyMax: 100 });
    const began = clock.monotonicMs();
    expect(await loop.finish(reasonOf(ask(from)))).toBe('timeout');
    expect(clock.monotonicMs() - began).toBe(1_000);
  });

  test('that is given up tells its server', async () => {
    const { at, from, loop, clock } = setUp();
    let aborted = 0;
    await at.serve(
      socket,
      ({ signal }) =>
        new Promise(() => signal.addEventListener('abort', () => (aborted = clock.monotonicMs()))),
      { bodyMax: 100 },
    );
    const controller = new AbortController();
    clock.after(50, () => controller.abort());
    expect(await loop.finish(reasonOf(ask(from, 'x', { signal: controller.signal })))).toBe('aborted');
    await loop.run({});
    expect(aborted).toBeGreaterThan(50);
  });

  test('ends with the process that was to answer it, and a failure there is an answer', async () => {
    const { at, from, server, loop, clock } = setUp();
    await at.serve(socket, () => new Promise(() => {}), { bodyMax: 100 });
    clock.after(100, server.end);
    expect(await loop.finish(reasonOf(ask(from)))).toBe('closed');
    expect(await loop.finish(reasonOf(ask(from)))).toBe('refused');
    const again = setUp();
    await again.at.serve(socket, () => Promise.reject(new Error('broken')), { bodyMax: 100 });
    expect(await again.loop.finish(ask(again.from))).toEqual({ status: 500, body: 'broken\n' });
  });

  test('waits for a process that is held up', async () => {
    const { at, from, server, loop, clock } = setUp();
    await at.serve(socket, echo, { bodyMax: 100 });
    server.pause();
    clock.after(500, server.resume);
    expect(await loop.finish(ask(from))).toMatchObject({ body: 'hello' });
    expect(clock.monotonicMs()).toBeGreaterThan(500);
  });

  test.each([
    ['refusedChance', 'refused', 0],
    ['lostChance', 'timeout', 10],
    ['cutChance', 'closed', 10],
  ] as const)('under %s ends as %s, done or not', async (chance, reason, doneMin) => {
    const { at, from, loop } = setUp({ [chance]: 1 });
    let done = 0;
    const count: PostHandler = (request) => {
      done += 1;
      return echo(request);
    };
    await at.serve(socket, count, { bodyMax: 100 });
    const asked = Array.from({ length: 50 }, () => reasonOf(ask(from)));
    expect(new Set(await loop.finish(Promise.all(asked)))).toEqual(new Set([reason]));
    expect(done).toBeGreaterThanOrEqual(doneMin);
    expect(done).toBeLessThan(40);
  });
});

describe('a place', () => {
  test('is taken by one at a time, and free again when its process ends', async () => {
    const { at, network, server, life } = setUp();
    const one = await at.serve({ host: 'h', port: 0 }, echo, { bodyMax: 1 });
    expect(one.endpoint).toMatchObject({ host: 'h', port: expect.any(Number) });
    await at.serve(socket, echo, { bodyMax: 1 });
    await expect(at.serve(socket, echo, { bodyMax: 1 })).rejects.toMatchObject({ reason: 'in-use' });
    server.end();
    await network.of('m1', life('next')).serve(socket, echo, { bodyMax: 1 });
  });
});

describe('a stream', () => {
  test('carries bytes both ways in order, and ends', async () => {
    const { at, from, loop } = setUp();
    await at.listen(socket, (stream) => stream.pipe(stream), { connectionsMax: 2 });
    const stream = await loop.finish(from.connect(socket, { timeoutMs: 100 }));
    for (let i = 0; i < 100; i++) stream.write(`${i} `);
    stream.end();
    expect(await loop.finish(text(stream))).toBe(Array.from({ length: 100 }, (_, i) => `${i} `).join(''));
  });

  test('holds up who writes until somebody reads', async () => {
    const { at, from, loop } = setUp();
    let written = 0;
    await at.listen(
      socket,
      (stream) => {
        const more = (): void => {
          written += 65_536;
          if (written < 10_000_000 && stream.write(Buffer.alloc(65_536))) more();
          else stream.once('drain', more);
        };
        more();
      },
      { connectionsMax: 2 },
    );
    const stream = await loop.finish(from.connect(socket, { timeoutMs: 100 }));
    await loop.run({});
    expect(written).toBeLessThan(1_000_000);
    stream.resume();
    await loop.run({});
    expect(written).toBeGreaterThan(9_000_000);
  });

  test('is cut when there are too many, when its process ends and when nobody listens any more', async () => {
    const { at, from, server, loop } = setUp();
    const serving = await at.listen(socket, () => {}, { connectionsMax: 1 });
    const first = await loop.finish(from.connect(socket, { timeoutMs: 100 }));
    const second = await loop.finish(from.connect(socket, { timeoutMs: 100 }));
    await loop.finish(once(second, 'close'));
    expect(first.destroyed).toBe(false);
    server.end();
    await loop.finish(once(first, 'close'));
    await serving.close();
    expect(await loop.finish(reasonOf(from.connect(socket, { timeoutMs: 100 })))).toBe('refused');
  });

  test('ends the write that is under way when it is cut', async () => {
    const { at, from, loop, server } = setUp();
    await at.listen(socket, () => {}, { connectionsMax: 1 });
    const stream = await loop.finish(from.connect(socket, { timeoutMs: 100 }));
    const written = new Promise<string>((resolve) => {
      stream.write(Buffer.alloc(1 << 20), (error) => resolve(error?.message ?? 'written'));
    });
    server.end();
    expect(await loop.finish(written)).toBe('The connection was closed');
  });

  test('that only leads on takes calls and streams to the server behind it', async () => {
    const { at, from, loop } = setUp();
    const given: string[] = [];
    const forever: PostHandler = ({ signal }) =>
      new Promise(() => signal.addEventListener('abort', () => given.push('the caller went away')));
    const handle: PostHandler = (call) => (call.path === '/forever' ? forever(call) : echo(call));
    await at.serve(socket, handle, { bodyMax: 100, onStream: (path, stream) => stream.end(path) });
    const way = { socketPath: '/run/way' };
    await from.listen(
      way,
      (near) => void from.connect(socket, { timeoutMs: 100 }).then((far) => joined(near, far)),
      { connectionsMax: 4 },
    );
    const answer = await loop.finish(from.post(way, '/', 'hello', options));
    expect(answer).toMatchObject({ status: 200, body: 'hello' });
    expect(await loop.finish(from.post(way, '/', 'x'.repeat(101), options))).toMatchObject({ status: 413 });
    const stream = await loop.finish(from.openStream(way, '/memory', { timeoutMs: 100 }));
    expect(await loop.finish(text(stream))).toBe('/memory');
    const late = from.post(way, '/forever', '', { ...options, timeoutMs: 50 });
    expect(await loop.finish(reasonOf(late))).toBe('timeout');
    await loop.run({});
    expect(given).toEqual(['the caller went away']);
  });

  test('of a server of calls is there where it gives some', async () => {
    const { at, from, loop } = setUp();
    await at.serve(socket, echo, { bodyMax: 1, onStream: (path, stream) => stream.end(path) });
    const stream = await loop.finish(from.openStream(socket, '/memory', { timeoutMs: 100 }));
    expect(await loop.finish(text(stream))).toBe('/memory');
  });
});
