// Goal: what strangers send fills no memory and keeps nobody waiting, and what those with a session send does not either.
// Method: bodies of all sizes, whole and halved, sent to a host behind the real HTTP server; and the room for bodies by itself.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { BodyLimits } from '../../src/drivers/http/http.ts';
import { bodiesOf, rpcBodyBytesMax, strangerBodyBytesMax, strangerBodyMsMax } from '../../src/edge/bodies.ts';
import { NoRoom, roomOf } from '../../src/edge/room.ts';
import { callValuesMax } from '../../src/edge/rpc.ts';
import { manualClock } from '../manual-clock.ts';
import { type Served, served } from './served.ts';

let host: Served;
let root: string;
beforeAll(async () => {
  host = await served();
  root = await host.session();
});
afterAll(() => host.close());

describe('A call', () => {
  const long = (size: number): string => 'x'.repeat(size);
  const languages = [
    ['/', (session: string, text: string) => xmlCall('network.get_by_name_label', [session, text])],
    [
      '/jsonrpc',
      (session: string, text: string) => jsonCall('network.get_by_name_label', [session, text], 1n),
    ],
  ] as const;

  test('of somebody with a session may be large, of a stranger it is refused once that is seen', async () => {
    for (const [path, call] of languages) {
      const known = await host.http('POST', path, { body: call(root, long(strangerBodyBytesMax)) });
      expect([known.status, known.body]).toEqual([200, expect.stringMatching(/INVALID_VALUE|Longer than/)]);
      const stranger = call('OpaqueRef:00000000-0000-4000-8000-000000000000', long(strangerBodyBytesMax));
      const refused = await host.http('POST', path, { body: stranger });
      expect(refused.status).toBe(413);
      expect(refused.body).toContain(`The body is over the limit of ${strangerBodyBytesMax} bytes`);
      expect(refused.headers['connection']).toBe('close');
      expect(refused.headers['content-type']).toBe(path === '/' ? 'text/xml' : 'application/json');
    }
  });

  test('of a stranger is answered as ever when it is small', async () => {
    for (const [path, call] of languages) {
      const reply = await host.http('POST', path, { body: call('OpaqueRef:x', long(100_000)) });
      expect([reply.status, reply.body]).toEqual([200, expect.stringContaining('SESSION_INVALID')]);
    }
  });

  test('of very many small values is refused, as it would take long to read', async () => {
    const values = Array<string>(callValuesMax + 1).fill('');
    for (const body of [
      jsonCall('event.register', [root, values], 1n),
      xmlCall('event.register', [root, values]),
    ]) {
      const reply = await host.http('POST', body.startsWith('{') ? '/jsonrpc' : '/', { body });
      expect([reply.status, reply.body]).toEqual([
        200,
        expect.stringContaining(`Expected at most ${callValuesMax} values`),
      ]);
    }
  });
});

describe('Bodies', () => {
  const clock = manualClock();
  /** A body that arrives as the test says. */
  const arriving = (remoteAddress: string, announced: bigint | undefined) => {
    let limits: BodyLimits | undefined;
    let end = (_: Buffer): void => {};
    let came = Buffer.alloc(0);
    const outcome = { refused: undefined as unknown, used: false };
    const request = {
      remoteAddress,
      contentLength: () => announced,
      bytes: (given: BodyLimits) =>
        new Promise<Buffer>((resolve, reject) => {
          limits = given;
          end = resolve;
          given.signal?.addEventListener('abort', () => reject(given.signal?.reason));
        }),
    };
    let release = (): void => {};
    const using = new Promise<void>((resolve) => {
      release = resolve;
    });
    return {
      request,
      outcome,
      hold: (bodies: ReturnType<typeof bodiesOf>) =>
        bodies
          .hold(request, async () => {
            outcome.used = true;
            await using;
          })
          .catch((error: unknown) => {
            outcome.refused = error;
          }),
      send: (text: string): void => {
        came = Buffer.concat([came, Buffer.from(text)]);
        limits?.grown?.(came.length, () => came);
      },
      end: () => end(came),
      release: () => release(),
    };
  };
  const opened = () => bodiesOf({ isSession: () => false, clock, strangersRoomBytesMax: 100_000 });

  test('of strangers share their room: whoever has sent most gives way to others', async () => {
    const bodies = opened();
    const first = arriving('192.0.2.1', 200_000n);
    const second = arriving('192.0.2.1', 200_000n);
    const other = arriving('192.0.2.2', 200_000n);
    const held = [first, second, other].map((one) => one.hold(bodies));
    first.send('x'.repeat(50_000));
    second.send('x'.repeat(40_000));
    other.send('x'.repeat(30_000));
    await held[0];
    expect(first.outcome.refused).toBeInstanceOf(NoRoom);
    expect([second.outcome.refused, other.outcome.refused]).toEqual([undefined, undefined]);
    for (const one of [second, other]) {
      one.end();
      one.release();
    }
    await Promise.all(held);
    expect([second.outcome.used, other.outcome.used]).toEqual([true, true]);
  });

  test('count until their call is answered, and what is being answered is not taken away', async () => {
    const bodies = opened();
    const answered = arriving('192.0.2.1', 200_000n);
    const held = answered.hold(bodies);
    answered.send('x'.repeat(90_000));
    answered.end();
    const late = arriving('192.0.2.2', 200_000n);
    const refused = late.hold(bodies);
    await new Promise((resolve) => setImmediate(resolve));
    expect(() => late.send('x'.repeat(20_000))).toThrow(NoRoom);
    answered.release();
    await held;
    const next = arriving('192.0.2.2', 200_000n);
    void next.hold(bodies);
    next.send('x'.repeat(20_000));
    expect([next.outcome.refused, late.outcome.used]).toEqual([undefined, false]);
    void refused;
  });

  test('of strangers must be whole after a while, however they come in', async () => {
    const slow = arriving('192.0.2.1', undefined);
    const held = slow.hold(opened());
    slow.send('x');
    await clock.advance(strangerBodyMsMax);
    await held;
    expect(String(slow.outcome.refused)).toContain('did not arrive within 30 seconds');
  });

  test('without a length are refused as they grow, with a session they are not', () => {
    const bodies = bodiesOf({ isSession: (ref) => ref.endsWith('1'), clock });
    const large = ' '.repeat(strangerBodyBytesMax + 1);
    const session = (last: string): string => `"OpaqueRef:00000000-0000-4000-8000-00000000000${last}"`;
    for (const [last, isRefused] of [
      ['0', true],
      ['1', false],
    ] as const) {
      const one = arriving('192.0.2.1', undefined);
      void one.hold(bodies);
      const send = (): void => one.send(session(last) + large);
      if (isRefused) expect(send).toThrow(`limit of ${strangerBodyBytesMax} bytes`);
      else expect(send).not.toThrow();
    }
    expect(rpcBodyBytesMax).toBeGreaterThan(large.length);
  });
});

test('a room holds no more than it may, whatever comes and goes', () => {
  const room = roomOf(1_000);
  const places = Array.from({ length: 50 }, (_, i) => room.enter(`source ${i % 7}`, () => {}));
  for (let round = 1; round <= 40; round += 1) {
    for (const [i, place] of places.entries()) {
      try {
        place.fill(round * (i % 5));
      } catch (error) {
        expect(error).toBeInstanceOf(NoRoom);
      }
      expect(room.sizeBytes).toBeLessThanOrEqual(1_000);
    }
  }
  for (const place of places) place.leave();
  expect(room.sizeBytes).toBe(0);
});
