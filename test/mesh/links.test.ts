// Goal: what links promise about time, epochs, versions, crossing dials and repeated requests.
// Method: meshes over a network of memory, with a clock that the test moves.
import { afterEach, describe, expect, test } from 'vitest';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { decodeFrame } from '../../src/mesh/frame.ts';
import { meshLimits } from '../../src/mesh/limits.ts';
import { type Mesh, type MeshOptions, meshOf } from '../../src/mesh/mesh.ts';
import { silentLog } from '../../src/std/log.ts';
import { type ManualClock, manualClock } from '../manual-clock.ts';
import { linked, peerState } from './fixture.ts';
import { type MemoryNetwork, memoryNetwork } from './memory-network.ts';

interface Host {
  readonly name: string;
  readonly mesh: Mesh;
  readonly port: number;
  epoch: number;
  stored: (epoch: number) => Promise<void>;
}

const opened: Mesh[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((mesh) => mesh.close()));
});

const world = (): { clock: ManualClock; network: MemoryNetwork; host: typeof start } => {
  const clock = manualClock();
  const network = memoryNetwork();
  const start = async (name: string, options: Partial<MeshOptions> = {}): Promise<Host> => {
    const mesh = meshOf({
      clock,
      random: nodeRandom,
      log: silentLog,
      network: network.of(`pin of ${name}`),
      self: name,
      software: `xenact on ${name}`,
      certificate: { cert: '', key: '' },
      epoch: () => host.epoch,
      onEpoch: (epoch) => host.stored(epoch),
      ...options,
    });
    opened.push(mesh);
    const { port } = await mesh.listen({ host: 'memory', port: 0 });
    const host: Host = {
      name,
      mesh,
      port,
      epoch: 1,
      stored: async (epoch) => {
        host.epoch = epoch;
      },
    };
    return host;
  };
  return { clock, network, host: start };
};

const rowsOf = (hosts: readonly Host[]) =>
  hosts.map(({ name, port }) => ({
    host: name,
    address: { host: 'memory', port },
    pins: [`pin of ${name}`],
  }));

const meet = async (...hosts: readonly Host[]): Promise<void> => {
  for (const { mesh } of hosts) mesh.setPeers(rowsOf(hosts));
  const pairs = hosts.flatMap((a) => hosts.filter((b) => a !== b).map((b) => linked(a.mesh, b.name)));
  await Promise.all(pairs);
};

const failureOf = (call: Promise<unknown>): Promise<any> =>
  call.then(
    () => undefined,
    (error) => error,
  );
const never = (): Promise<never> => new Promise(() => {});
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('time', () => {
  test('a call that is not answered rejects at its deadline, and its handler is told', async () => {
    const { clock, host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    let seen: AbortSignal | undefined;
    const begun = new Promise<void>((resolve) => {
      b.mesh.serve('slow', (_, { signal, timeoutMs }) => {
        expect(timeoutMs).toBe(700);
        seen = signal;
        resolve();
        return never();
      });
    });
    const failure = failureOf(a.mesh.call('b', 'slow', null, { timeoutMs: 700 }));
    await begun;
    await clock.advance(699);
    expect(seen?.aborted).toBe(false);
    await clock.advance(1);
    expect(await failure).toMatchObject({ reason: 'deadline' });
    expect(seen?.aborted).toBe(true);
    expect(a.mesh.peers()[0]?.callsOut).toBe(0);
  });

  test('each of many calls ends at its own deadline', async () => {
    const { clock, host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    b.mesh.serve('slow', never);
    const ended: number[] = [];
    for (const timeoutMs of [300, 100, 200, 100]) {
      a.mesh.call('b', 'slow', null, { timeoutMs }).catch(() => ended.push(timeoutMs));
    }
    await clock.advance(100);
    expect(ended).toEqual([100, 100]);
    await clock.advance(1_000);
    expect(ended).toEqual([100, 100, 200, 300]);
  });

  test('a host that says nothing any more is down, and its calls reject at once', async () => {
    const { clock, network, host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    b.mesh.serve('slow', never);
    const downs: string[] = [];
    a.mesh.watch('b', (why) => downs.push(why));
    const failure = failureOf(a.mesh.call('b', 'slow', null, { timeoutMs: 60_000 }));
    await clock.advance(20_000);
    expect(downs).toEqual([]);
    network.silent = true;
    await clock.advance(4_900);
    expect(downs).toEqual([]);
    await clock.advance(2_000);
    expect(await failure).toMatchObject({ reason: 'unreachable' });
    expect(downs).toEqual(['Nothing was heard for 5000 ms']);
    expect(await failureOf(a.mesh.call('b', 'slow', null, { timeoutMs: 1 }))).toMatchObject({
      reason: 'unreachable',
    });
    network.silent = false;
    await clock.advance(10_000);
    expect(a.mesh.peers()[0]?.state).toBe('up');
    expect(downs).toHaveLength(1);
  });

  test('a link is not silent while a message is on its way, however long that takes', async () => {
    const { clock, network, host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    const downs: string[] = [];
    a.mesh.watch('b', (why) => downs.push(why));
    network.silent = true;
    for (let second = 0; second < 20; second++) {
      network.receivedBytes += 1_000;
      await clock.advance(1_000);
    }
    expect(downs).toEqual([]);
    await clock.advance(7_000);
    expect(downs).toEqual(['Nothing was heard for 5000 ms']);
  });

  test('a host that is not there is dialled again, later and later', async () => {
    const { clock, network, host } = world();
    const [a, b] = [await host('a'), await host('b')];
    network.silent = true;
    a.mesh.setPeers(rowsOf([a, b]));
    await clock.waiting(1);
    await clock.advance(1_000);
    const early = network.dials.length;
    expect(early).toBeGreaterThanOrEqual(3);
    await clock.advance(60_000);
    const late = network.dials.length - early;
    expect(late).toBeGreaterThanOrEqual(60_000 / meshLimits.redialMsMax);
    expect(late).toBeLessThan(30);
    expect(a.mesh.peers()[0]).toMatchObject({ state: 'down', why: `Nobody answers at ${b.port}` });
  });

  test('watching a host that is down already says so', async () => {
    const { host } = world();
    const a = await host('a');
    expect(await new Promise((resolve) => a.mesh.watch('nobody', resolve))).toContain('no other host');
  });
});

describe('a call that is given up', () => {
  test('rejects with the reason of its signal, and its handler is told', async () => {
    const { host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    const told = new Promise<unknown>((resolve) => {
      b.mesh.serve('slow', (_, { signal }) => {
        signal.addEventListener('abort', () => resolve(signal.reason));
        begun.abort();
        return never();
      });
    });
    const begun = new AbortController();
    const mine = new AbortController();
    const failure = failureOf(a.mesh.call('b', 'slow', null, { timeoutMs: 9_000, signal: mine.signal }));
    await new Promise((resolve) => begun.signal.addEventListener('abort', resolve));
    mine.abort(new Error('enough'));
    expect(await failure).toMatchObject({ message: 'enough' });
    expect(await told).toMatchObject({ message: 'Host a gave the call up' });
  });

  test.each([
    [true, true],
    [false, false],
  ])(
    'by a lost link aborts its handler only where it is to die with its caller (%s)',
    async (dies, aborted) => {
      const { network, host } = world();
      const [a, b] = [await host('a'), await host('b')];
      await meet(a, b);
      const begun = new Promise<AbortSignal>((resolve) => {
        b.mesh.serve('slow', (_, { signal }) => {
          resolve(signal);
          return never();
        });
      });
      const failure = failureOf(a.mesh.call('b', 'slow', null, { timeoutMs: 9_000, dieWithCaller: dies }));
      const signal = await begun;
      const down = peerState(b.mesh, 'a', ({ state }) => state === 'down');
      network.cut();
      expect(await failure).toMatchObject({ reason: 'unreachable' });
      await down;
      expect(signal.aborted).toBe(aborted);
    },
  );
});

describe('a request with an id', () => {
  test('is done once when it is repeated after a lost link, whether it still runs or is over', async () => {
    const { clock, network, host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    let runs = 0;
    let finish = (_: string): void => {};
    let begun = (): void => {};
    const began = new Promise<void>((resolve) => {
      begun = resolve;
    });
    b.mesh.serve('once', () => {
      runs += 1;
      begun();
      return new Promise<string>((resolve) => {
        finish = resolve;
      });
    });
    const options = { timeoutMs: 60_000, requestId: 'request-1' };
    const first = failureOf(a.mesh.call('b', 'once', null, options));
    await began;
    network.cut();
    expect(await first).toMatchObject({ reason: 'unreachable' });
    await Promise.all([clock.advance(2_000), linked(a.mesh, 'b')]);
    const second = a.mesh.call('b', 'once', null, options);
    await turn();
    finish('done');
    expect(await second).toBe('done');
    expect(await a.mesh.call('b', 'once', null, options)).toBe('done');
    expect(runs).toBe(1);
  });

  test('that failed fails again the same way, and is forgotten after a while and beyond a number', async () => {
    const { clock, host } = world();
    const limits = { requestsRememberedMax: 2, rememberedMsMax: 1_000 };
    const [a, b] = [await host('a'), await host('b', { limits })];
    await meet(a, b);
    let runs = 0;
    b.mesh.serve('fail', () => {
      runs += 1;
      throw new Error(`run ${runs}`);
    });
    const ask = (requestId: string): Promise<any> =>
      failureOf(a.mesh.call('b', 'fail', null, { timeoutMs: 60_000, requestId }));
    expect((await ask('1')).message).toBe('run 1');
    expect((await ask('1')).message).toBe('run 1');
    await ask('2');
    await ask('3');
    expect((await ask('1')).message).toBe('run 4');
    await clock.advance(1_000);
    expect((await ask('1')).message).toBe('run 5');
  });
});

describe('epochs', () => {
  test('a higher one is stored before anything that came with it or after it is done', async () => {
    const { host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    const order: string[] = [];
    let stored = (): void => {};
    b.stored = (epoch) =>
      new Promise((resolve) => {
        order.push(`told ${epoch}`);
        stored = () => {
          b.epoch = epoch;
          order.push('stored');
          resolve();
        };
      });
    b.mesh.serve('do', (what: string) => order.push(what));
    a.epoch = 5;
    const calls = [a.mesh.call('b', 'do', 'first', { timeoutMs: 9_000 })];
    await turn();
    calls.push(a.mesh.call('b', 'do', 'second', { timeoutMs: 9_000 }));
    await turn();
    expect(order).toEqual(['told 5']);
    stored();
    await Promise.all(calls);
    expect(order).toEqual(['told 5', 'stored', 'first', 'second']);
  });

  test('of a host that is behind nothing is done, and it hears the epoch; what takes any epoch is done', async () => {
    const { host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    const done: string[] = [];
    b.mesh.serve('do', (what: string) => done.push(what));
    b.mesh.serve('ask', () => 'anything', { anyEpoch: true });
    b.epoch = 7;
    const failure = failureOf(a.mesh.call('b', 'do', 'x', { timeoutMs: 9_000 }));
    expect(await failure).toMatchObject({ reason: 'stale', epoch: 7 });
    expect(a.epoch).toBe(7);
    expect(done).toEqual([]);
    await a.mesh.call('b', 'do', 'y', { timeoutMs: 9_000 });
    expect(done).toEqual(['y']);
    b.epoch = 8;
    expect(await a.mesh.call('b', 'ask', null, { timeoutMs: 9_000 })).toBe('anything');
  });

  test('an answer of a host that is behind by then does not count, unless the call takes any', async () => {
    const { host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    let finish = (): void => {};
    b.mesh.serve('slow', () => new Promise<string>((resolve) => (finish = () => resolve('late'))));
    const ask = async (anyEpoch: boolean): Promise<any> => {
      const call = a.mesh
        .call('b', 'slow', null, { timeoutMs: 9_000, anyEpoch })
        .catch((error: unknown) => error);
      await turn();
      a.epoch += 1;
      finish();
      return call;
    };
    expect(await ask(false)).toMatchObject({ reason: 'stale', epoch: 2 });
    expect(await ask(true)).toBe('late');
  });

  test('one that cannot be stored ends the link instead of being acted on', async () => {
    const { host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    const done: string[] = [];
    b.mesh.serve('do', (what: string) => done.push(what));
    b.stored = () => Promise.reject(new Error('The disk is full'));
    a.epoch = 5;
    expect(await failureOf(a.mesh.call('b', 'do', 'x', { timeoutMs: 9_000 }))).toMatchObject({
      reason: 'unreachable',
    });
    expect(done).toEqual([]);
  });
});

describe('two hosts', () => {
  test('keep one link when their dials cross, the same on both sides', async () => {
    for (let round = 0; round < 20; round++) {
      const { clock, host } = world();
      const [a, b] = [await host('a'), await host('b')];
      await meet(a, b);
      await clock.advance(10);
      b.mesh.serve('who', (_, { from }) => from);
      a.mesh.serve('who', (_, { from }) => from);
      const ups: string[] = [];
      const off = [a, b].map(({ mesh }) => mesh.onPeer(({ state }) => ups.push(state)));
      expect(await a.mesh.call('b', 'who', null, { timeoutMs: 100 })).toBe('a');
      expect(await b.mesh.call('a', 'who', null, { timeoutMs: 100 })).toBe('b');
      await clock.advance(3_000);
      expect(ups).toEqual([]);
      for (const one of off) one();
    }
  });

  test('link again after a cut, however often', async () => {
    const { clock, network, host } = world();
    const [a, b] = [await host('a'), await host('b')];
    await meet(a, b);
    b.mesh.serve('echo', (n: number) => n);
    for (let round = 0; round < 20; round++) {
      const downs = [peerState(a.mesh, 'b', isDown), peerState(b.mesh, 'a', isDown)];
      network.cut();
      await Promise.all(downs);
      await clock.advance(500);
      await Promise.all([linked(a.mesh, 'b'), linked(b.mesh, 'a')]);
      expect(await a.mesh.call('b', 'echo', round, { timeoutMs: 100 })).toBe(round);
    }
  });

  const isDown = ({ state }: { state: string }): boolean => state === 'down';

  test('use the highest version that both speak', async () => {
    const { host } = world();
    const [a, b] = [await host('a', { versions: [1, 3] }), await host('b', { versions: [2, 5] })];
    await meet(a, b);
    expect(a.mesh.peers()[0]).toMatchObject({ version: 3, software: 'xenact on b' });
    expect(b.mesh.peers()[0]).toMatchObject({ version: 3, software: 'xenact on a' });
  });

  test('without a version in common say what both speak and which one to upgrade', async () => {
    const { host } = world();
    const [a, b] = [await host('a', { versions: [1, 1] }), await host('b', { versions: [3, 4] })];
    for (const { mesh } of [a, b]) mesh.setPeers(rowsOf([a, b]));
    const told = await Promise.all([
      peerState(a.mesh, 'b', ({ why }) => why.includes('upgrade')),
      peerState(b.mesh, 'a', ({ why }) => why.includes('upgrade')),
    ]);
    expect(told.map(({ why }) => why)).toEqual([
      'xenact on b on host b speaks versions 3 to 4 of the mesh, xenact on a on this host version 1: upgrade this host',
      'xenact on a on host a speaks version 1 of the mesh, xenact on b on this host versions 3 to 4: upgrade host a',
    ]);
  });

  test('end their link when one is taken out of the pool or its certificate is not pinned any more', async () => {
    const { host } = world();
    const [a, b, c] = [await host('a'), await host('b'), await host('c')];
    await meet(a, b, c);
    const downs: string[] = [];
    for (const name of ['b', 'c']) a.mesh.watch(name, (why) => downs.push(`${name}: ${why}`));
    const [, rowB] = rowsOf([a, b]);
    a.mesh.setPeers([{ ...rowB!, pins: ['pin of a newer b'] }]);
    expect(downs.sort()).toEqual(['b: Its certificate is not pinned', 'c: It is not in this pool any more']);
    expect(a.mesh.peers().map((state) => state.host)).toEqual(['b']);
  });
});

describe('limits', () => {
  test('one call more than may be open is rejected as busy, and the others are answered', async () => {
    const { host } = world();
    const [a, b] = [await host('a', { limits: { callsInFlightMax: 3 } }), await host('b')];
    await meet(a, b);
    const finish: ((value: string) => void)[] = [];
    b.mesh.serve('slow', () => new Promise((resolve) => finish.push(resolve)));
    const calls = [1, 2, 3].map(() => a.mesh.call('b', 'slow', null, { timeoutMs: 9_000 }));
    expect(await failureOf(a.mesh.call('b', 'slow', null, { timeoutMs: 9_000 }))).toMatchObject({
      reason: 'busy',
    });
    await turn();
    for (const one of finish) one('done');
    expect(await Promise.all(calls)).toEqual(['done', 'done', 'done']);
  });

  test('a receiver that has enough says busy too', async () => {
    const { host } = world();
    const [a, b] = [await host('a'), await host('b', { limits: { callsInFlightMax: 1 } })];
    await meet(a, b);
    b.mesh.serve('slow', never);
    a.mesh.call('b', 'slow', null, { timeoutMs: 9_000 }).catch(() => {});
    expect(await failureOf(a.mesh.call('b', 'slow', null, { timeoutMs: 9_000 }))).toMatchObject({
      reason: 'busy',
    });
  });

  test('what is too large or cannot travel fails alone, and the link stays', async () => {
    const { host } = world();
    const limits = { frameBytesMax: 10_000 };
    const [a, b] = [await host('a', { limits }), await host('b', { limits })];
    await meet(a, b);
    b.mesh.serve('size', (text: string) => text.length);
    b.mesh.serve('large', () => 'x'.repeat(20_000));
    const ask = (payload: unknown): Promise<unknown> =>
      a.mesh.call('b', 'size', payload, { timeoutMs: 9_000 });
    const results = await Promise.allSettled([
      ask('x'.repeat(6_000)),
      ask('x'.repeat(6_000)),
      ask('x'.repeat(20_000)),
      ask(new Date()),
      a.mesh.call('b', 'large', null, { timeoutMs: 9_000 }),
    ]);
    expect(results.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.reason))).toEqual([
      6_000,
      6_000,
      'unsendable',
      'unsendable',
      'unsendable',
    ]);
    expect(a.mesh.peers()[0]?.state).toBe('up');
  });
});

test('calls of one turn share a frame, and so do their answers', async () => {
  const { network, host } = world();
  const [a, b] = [await host('a'), await host('b')];
  await meet(a, b);
  await turn();
  b.mesh.serve('echo', (n: number) => n);
  const before = network.sent.length;
  const numbers = Array.from({ length: 50 }, (_, i) => i);
  const echoed = await Promise.all(numbers.map((n) => a.mesh.call('b', 'echo', n, { timeoutMs: 9_000 })));
  expect(echoed).toEqual(numbers);
  const frames = network.sent.slice(before).map((bytes) => decodeFrame(bytes, meshLimits).items.length);
  expect(frames).toEqual([50, 50]);
  expect(a.mesh.peers()[0]?.traffic.out.calls).toBe(50);
});

test('a host without sense ends its link and nothing else', async () => {
  const { network, host } = world();
  const [a, b] = [await host('a'), await host('b')];
  await meet(a, b);
  const down = peerState(a.mesh, 'b', ({ state }) => state === 'down');
  const mad = network.of('pin of b');
  a.mesh.setPeers(rowsOf([a, b]));
  const wire = await mad.dial({ host: 'memory', port: a.port }, { pins: ['pin of a'] } as any);
  const closed = new Promise<string>((resolve) =>
    wire.receive({ message: () => {}, drained: () => {}, closed: resolve }),
  );
  wire.send(new Uint8Array([0xc1, 0xff]));
  expect(await closed).toContain('is no frame');
  network.cut();
  expect((await down).why).toBe('The connection was cut');
});
