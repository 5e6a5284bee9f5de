// Goal: no head of a request, however odd, ends the server, holds it up for others or makes it grow.
// Method: heads that fast-check makes up, whole ones that it spoils, and lengths that lie, over raw sockets of
// one server; after each the same server must answer an ordinary request.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { echo, type Running, rawClient, startServer } from './http-client.ts';

let server: Running;

const grownBytesMax = 64 * 1_048_576;

beforeAll(async () => {
  const limits = { headMs: 1_000, bodyIdleMs: 1_000 };
  server = await startServer({ limits, request: echo, connect: async (_, socket) => void socket.end() });
});
afterAll(() => server.close());

/** Writes the bytes, says that no more come, and waits until the server is done with them. */
const sent = async (bytes: Uint8Array): Promise<string> => {
  const client = await rawClient(server.port);
  client.socket.write(bytes);
  client.socket.end();
  const got = await client.ended();
  client.socket.destroy();
  return got;
};

const serves = async (): Promise<void> => {
  const answer = await fetch(`${server.url}/still`, { method: 'POST', body: 'here' });
  expect(await answer.text()).toBe('POST /still here');
};

const token = fc.stringMatching(/^[A-Za-z!#$%&'*+.^_`|~-]{1,20}$/);
const odd = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc.constantFrom('\0', '\r', '\n', '\r\n', ' ', '\t', '\u00ff', '%00', '%zz', '../', '//', '?', '#', ':'),
);
const name = fc.oneof(
  { weight: 3, arbitrary: token },
  { weight: 1, arbitrary: odd },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'Host',
      'Content-Length',
      'Transfer-Encoding',
      'Connection',
      'Expect',
      'Upgrade',
      '__proto__',
    ),
  },
);
const value = fc.oneof(
  odd,
  fc.constantFrom(
    'chunked',
    '-1',
    '99999999999999999999',
    '1, 2',
    'keep-alive',
    '100-continue',
    'websocket',
    'close',
  ),
);
const head = fc
  .tuple(
    fc.oneof(fc.constantFrom('GET', 'POST', 'PUT', 'CONNECT', 'OPTIONS', 'get', 'PRI'), odd),
    fc.oneof(fc.constantFrom('/', '*', '/a?b=c', 'http://x/', 'x:1'), odd),
    fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.1 ', ''),
    fc.array(fc.tuple(name, value), { maxLength: 30 }),
    fc.oneof(
      fc.constant(''),
      odd,
      fc.constantFrom('0\r\n\r\n', 'ffffffffffffffff\r\nx', '5;a=b\r\nhello\r\n'),
    ),
  )
  .map(([method, target, version, headers, body]) =>
    Buffer.from(
      `${method} ${target} ${version}\r\n${headers.map(([key, one]) => `${key}: ${one}\r\n`).join('')}\r\n${body}`,
    ),
  );

test('bytes that are no request', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), async (bytes) => {
      expect(await sent(bytes)).not.toContain('HTTP/1.1 200');
    }),
    { numRuns: 100 },
  );
  await serves();
});

test('heads with odd methods, targets, headers and bodies', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(head, async (bytes) => {
      await sent(bytes);
    }),
    { numRuns: 200 },
  );
  await serves();
});

test('whole requests of which some bytes are spoilt or cut off', { timeout: 60_000 }, async () => {
  const whole = Buffer.from('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello');
  const spoilt = fc
    .tuple(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }), fc.nat(whole.length))
    .map(([changes, end]) => {
      const bytes = Buffer.from(whole);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes.subarray(0, Math.max(1, end));
    });
  await fc.assert(
    fc.asyncProperty(spoilt, async (bytes) => {
      await sent(bytes);
    }),
    { numRuns: 200 },
  );
  await serves();
});

test('sixty-four kibibytes of head do not stay in memory, and long lines are refused', {
  timeout: 60_000,
}, async () => {
  const before = process.memoryUsage().rss;
  const fills = [
    `GET /${'a'.repeat(65_536)} HTTP/1.1\r\n\r\n`,
    `GET / HTTP/1.1\r\nX: ${'z'.repeat(65_536)}\r\n\r\n`,
    `GET / HTTP/1.1\r\nX:${'\r\n y'.repeat(16_384)}`,
  ];
  // Of very many short headers those beyond a limit are left out.
  const many = Buffer.from(`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(10_922)}\r\n`);
  for (let round = 0; round < 25; round++) {
    await sent(many);
    for (const fill of fills) expect(await sent(Buffer.from(fill))).not.toContain('HTTP/1.1 200');
  }
  await serves();
  expect(process.memoryUsage().rss - before).toBeLessThan(grownBytesMax);
});
