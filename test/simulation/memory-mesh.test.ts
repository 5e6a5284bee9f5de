// Goal: wires in memory keep order, know who is at the other side, and break as TCP and TLS connections break.
// Method: two or three hosts, messages both ways, and ways between them that are lost, shut, slow or opened again.
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { MeshListening, MeshNetwork, Wire } from '../../src/drivers/mesh-wire.ts';
import type { Life } from '../../src/simulation/life.ts';
import {
  fingerprintOf,
  type MemoryMesh,
  memoryMesh,
  simulatedCertificate,
} from '../../src/simulation/memory-mesh.ts';
import type { PathConditions } from '../../src/simulation/mesh-paths.ts';
import { seededRandom } from '../../src/simulation/random.ts';
import { type Simulated, simulated } from './simulated.ts';

const [certA, certB, certC] = ['a', 'b', 'c'].map((seed) => simulatedCertificate(seededRandom(seed)));
const limits = { handshakeMsMax: 1_000, connectionsMax: 2, messageBytesMax: 1_000 };
const pinB = fingerprintOf((certB as { cert: string }).cert);

interface Pair extends Simulated {
  readonly mesh: MemoryMesh;
  readonly a: Life;
  readonly b: Life;
  readonly from: MeshNetwork;
  readonly listening: MeshListening;
  /** What b's end was handed. */
  readonly accepted: Wire[];
}

const dialling = { certificate: certA as never, pins: [pinB], timeoutMs: 5_000, messageBytesMax: 1_000 };

const setUp = async (seed = 'mesh', conditions: Partial<PathConditions> = {}): Promise<Pair> => {
  const world = simulated(seed);
  const mesh = memoryMesh({ clock: world.clock, random: world.random, conditions, windowBytes: 2_000 });
  const [a, b] = [world.life('a'), world.life('b')];
  const accepted: Wire[] = [];
  const accepts = (fingerprint: string): boolean => fingerprint === fingerprintOf((certA as never)['cert']);
  const options = { certificate: certB as never, accepts, ...limits };
  const listening = await mesh
    .of('B', b)
    .listen({ host: 'B', port: 7 }, options, (wire) => accepted.push(wire));
  return { ...world, mesh, a, b, from: mesh.of('A', a), listening, accepted };
};

const dialled = async (pair: Pair): Promise<readonly [Wire, Wire]> => {
  const near = await pair.loop.finish(pair.from.dial({ host: 'B', port: 7 }, dialling));
  return [near, pair.accepted.at(-1) as Wire];
};

/** Everything that comes by a wire, and how it ended. */
const heard = (wire: Wire) => {
  const messages: number[] = [];
  const ends: string[] = [];
  wire.receive({
    message: (bytes) => void messages.push(bytes[0] as number),
    drained: () => {},
    closed: (reason) => ends.push(reason),
  });
  return { messages, ends };
};
const bytes = (n: number, size = 1): Uint8Array => new Uint8Array(size).fill(n);
const reasonOf = (asked: Promise<unknown>) => asked.then(String, (error) => error.reason);

describe('a wire', () => {
  test('knows both sides, and brings messages in order', async () => {
    const pair = await setUp();
    const [near, far] = await dialled(pair);
    expect([near.peerCertificate, far.peerCertificate]).toEqual([
      pinB,
      fingerprintOf((certA as never)['cert']),
    ]);
    for (let i = 0; i < 100; i++) near.send(bytes(i));
    await pair.loop.run({});
    const { messages } = heard(far);
    await pair.loop.run({});
    expect(messages).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  test('holds up its sender while a message is being worked on', async () => {
    const pair = await setUp();
    const [near, far] = await dialled(pair);
    let drained = 0;
    near.receive({ message: () => {}, drained: () => (drained += 1), closed: () => {} });
    let release = (): void => {};
    const messages: number[] = [];
    far.receive({
      message: (message) => {
        messages.push(message[0] as number);
        return new Promise((resolve) => {
          release = resolve;
        });
      },
      drained: () => {},
      closed: () => {},
    });
    for (let i = 0; i < 4; i++) near.send(bytes(i, 1_000));
    await pair.loop.run({});
    expect([messages, near.bufferedBytes()]).toEqual([[0], 2_000]);
    for (let i = 1; i < 4; i++) {
      release();
      await pair.loop.run({});
    }
    release();
    await pair.loop.run({});
    expect([messages, near.bufferedBytes()]).toEqual([[0, 1, 2, 3], 0]);
    expect(drained).toBeGreaterThan(0);
  });

  test('that is closed brings what was sent before, and the reason, to both sides', async () => {
    const pair = await setUp();
    const [near, far] = await dialled(pair);
    const [mine, its] = [heard(near), heard(far)];
    near.send(bytes(1));
    near.close('done');
    near.send(bytes(2));
    await pair.loop.run({});
    expect([its.messages, its.ends, mine.ends]).toEqual([[1], ['done'], ['done']]);
  });

  test('ends with a message that is too long', async () => {
    const pair = await setUp();
    const [near, far] = await dialled(pair);
    const [mine, its] = [heard(near), heard(far)];
    near.send(bytes(1, 1_001));
    await pair.loop.run({});
    expect([its.messages, its.ends, mine.ends]).toEqual([
      ...[[], ['A message is longer than is taken'], ['The connection was cut']],
    ]);
  });
});

describe('dialling', () => {
  let pair: Pair;
  beforeEach(async () => {
    pair = await setUp();
  });

  test('fails where nobody listens, and where somebody else does', async () => {
    const { from, loop, listening } = pair;
    const to = listening.address;
    expect(await loop.finish(reasonOf(from.dial({ host: 'B', port: 8 }, dialling)))).toBe('refused');
    expect(await loop.finish(reasonOf(from.dial(to, { ...dialling, pins: ['f00'] })))).toBe('refused');
    expect(await loop.finish(reasonOf(from.dial(to, { ...dialling, certificate: certC as never })))).toBe(
      'refused',
    );
    listening.setCertificate(certC as never);
    expect(await loop.finish(reasonOf(from.dial(to, dialling)))).toBe('refused');
    expect(pair.accepted).toEqual([]);
  });

  test('fails beyond the connections that are taken, and once the listener is closed', async () => {
    const { from, loop, listening } = pair;
    const [near] = await dialled(pair);
    await dialled(pair);
    expect(await loop.finish(reasonOf(from.dial(listening.address, dialling)))).toBe('closed');
    const { ends } = heard(near);
    const closed = listening.close();
    await loop.run({});
    await closed;
    expect(ends).toEqual(['The host stops listening']);
    expect(await loop.finish(reasonOf(from.dial(listening.address, dialling)))).toBe('refused');
  });

  test('waits for a way that is shut, until its time is over or it is given up', async () => {
    const { from, loop, clock, mesh } = pair;
    const to = { host: 'B', port: 7 };
    mesh.paths.block('B', 'A');
    expect(await loop.finish(reasonOf(from.dial(to, dialling)))).toBe('timeout');
    const controller = new AbortController();
    clock.after(10, () => controller.abort());
    expect(await loop.finish(reasonOf(from.dial(to, { ...dialling, signal: controller.signal })))).toBe(
      'aborted',
    );
    clock.after(10, mesh.paths.heal);
    expect(await loop.finish(reasonOf(from.dial(to, dialling)))).toBe('[object Object]');
  });
});

describe('trouble', () => {
  test('a lost message takes its wire with it, after a time', async () => {
    const pair = await setUp();
    const [near, far] = await dialled(pair);
    const [mine, its] = [heard(near), heard(far)];
    near.send(bytes(1));
    await pair.loop.run({});
    pair.mesh.paths.set('A', 'B', { lostChance: 1 });
    near.send(bytes(2));
    pair.mesh.paths.set('A', 'B', { lostChance: 0 });
    near.send(bytes(3));
    await pair.loop.run({});
    expect([its.messages, its.ends, mine.ends]).toEqual([
      ...[[1], ['The connection was cut'], ['The connection timed out']],
    ]);
    expect(pair.clock.monotonicMs()).toBeGreaterThan(15_000);
  });

  test('a way that is shut for a moment only holds messages up, and one that stays shut ends the wire', async () => {
    const pair = await setUp();
    const { loop, clock, mesh } = pair;
    const [near, far] = await dialled(pair);
    const [mine, its] = [heard(near), heard(far)];
    mesh.paths.block('A', 'B');
    near.send(bytes(1));
    near.send(bytes(2));
    await loop.run({ untilMs: clock.monotonicMs() + 10_000 });
    expect(its.messages).toEqual([]);
    mesh.paths.unblock('A', 'B');
    await loop.run({ untilMs: clock.monotonicMs() + 100_000 });
    expect([its.messages, mine.ends]).toEqual([[1, 2], []]);
    mesh.paths.block('A', 'B');
    near.send(bytes(3));
    await loop.run({ untilMs: clock.monotonicMs() + 20_000 });
    expect([mine.ends, its.ends]).toEqual([['The connection timed out'], []]);
    mesh.paths.heal();
    await loop.run({});
    expect([its.messages, its.ends]).toEqual([[1, 2], ['The connection was cut']]);
  });

  test('what arrives over a way whose back is shut arrives, and its sender gives up', async () => {
    const pair = await setUp();
    const { loop, clock, mesh } = pair;
    const [near, far] = await dialled(pair);
    const [mine, its] = [heard(near), heard(far)];
    mesh.paths.block('B', 'A');
    near.send(bytes(1));
    await loop.run({ untilMs: clock.monotonicMs() + 20_000 });
    expect([its.messages, mine.ends]).toEqual([[1], ['The connection timed out']]);
  });

  test('a process that ends cuts its wires at once, a machine without power only when somebody asks', async () => {
    for (const power of [true, false]) {
      const pair = await setUp();
      const { loop, clock, mesh, b } = pair;
      const [near] = await dialled(pair);
      const mine = heard(near);
      mesh.paths.setPower('B', power);
      b.end();
      await loop.run({ untilMs: clock.monotonicMs() + 1_000 });
      expect(mine.ends).toEqual(power ? ['The connection was cut'] : []);
      if (power) continue;
      near.send(bytes(1));
      await loop.run({ untilMs: clock.monotonicMs() + 1_000 });
      mesh.paths.setPower('B', true);
      await loop.run({});
      expect(mine.ends).toEqual(['The connection was cut']);
    }
  });

  test('a host that is held up takes later what came meanwhile', async () => {
    const pair = await setUp();
    const { loop, clock, b } = pair;
    const [near, far] = await dialled(pair);
    const its = heard(far);
    b.pause();
    near.send(bytes(1));
    await loop.run({ untilMs: clock.monotonicMs() + 60_000 });
    expect(its.messages).toEqual([]);
    b.resume();
    await loop.run({});
    expect([its.messages, its.ends]).toEqual([[1], []]);
  });

  test('whatever happens, each side has heard a beginning of what the other one sent, in order', async () => {
    const act = fc.constantFrom('ab', 'ba', 'send a', 'send b', 'heal', 'wait', 'divide', 'lossy');
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), fc.nat(), async (acts, seed) => {
        const pair = await setUp(String(seed), { delayMs: [1, 500] });
        const { loop, clock, mesh } = pair;
        const [near, far] = await dialled(pair);
        const [mine, its] = [heard(near), heard(far)];
        const sent = { a: [] as number[], b: [] as number[] };
        for (const one of acts) {
          if (one === 'ab') mesh.paths.block('A', 'B');
          if (one === 'ba') mesh.paths.block('B', 'A');
          if (one === 'heal') mesh.paths.heal();
          if (one === 'divide') mesh.paths.divide([['A'], ['B']]);
          if (one === 'lossy') mesh.paths.setAll({ lostChance: 0.2 });
          if (one === 'wait') await loop.run({ untilMs: clock.monotonicMs() + 3_000 });
          if (one === 'send a') near.send(bytes(sent.a.push(sent.a.length) - 1));
          if (one === 'send b') far.send(bytes(sent.b.push(sent.b.length) - 1));
        }
        mesh.paths.heal();
        await loop.run({});
        expect(its.messages).toEqual(sent.a.slice(0, its.messages.length));
        expect(mine.messages).toEqual(sent.b.slice(0, mine.messages.length));
        const whole = its.messages.length === sent.a.length && mine.messages.length === sent.b.length;
        expect(whole || (mine.ends.length === 1 && its.ends.length === 1)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
