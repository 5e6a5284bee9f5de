// Goal: the short way of writing an answer sends what Node's own way would, and is not taken where it could not.
// Method: a real server whose handler does the same for POST, which may take it, and PUT, which may not.
import { expect, test } from 'vitest';
import { ending, promised } from './http-client.ts';

const { start, raw } = ending();
const undated = (text: string): string => text.replace(/\r\nDate: [^\r]+ GMT\r\n/, '\r\nDate: now\r\n');

const answersOf = async (
  headers: Readonly<Record<string, string>>,
  parts: readonly (string | Uint8Array)[],
  status = 200,
): Promise<readonly string[]> => {
  const server = await start({ request: async (_, answer) => answer.send(status, headers, parts) });
  const answers: string[] = [];
  for (const method of ['POST', 'PUT']) {
    const client = await raw(server);
    client.send(`${method} / HTTP/1.1\r\nContent-Length: 0\r\n\r\n`);
    answers.push(undated(await client.sees('the end')));
  }
  return answers;
};

test.each([
  ['one text', {}, ['the end']],
  ['several texts and headers', { 'Content-Type': 'text/xml', 'X-Own': 'a, b' }, ['<a>', '</a>', 'the end']],
  ['text that is not ASCII', {}, ['größer, 日本 \u{1f600} ', 'the end']],
  ['bytes among the text', {}, [Buffer.from('é'), 'the end']],
  ['a head of its own about the connection', { Connection: 'close' }, ['the end']],
  ['a date of its own', { Date: 'Thu, 01 Jan 1970 00:00:00 GMT' }, ['the end']],
  ['a long text', {}, ['x'.repeat(40_000), 'the end']],
])('%s has the same bytes both ways', async (_, headers, parts) => {
  const [short, ordinary] = await answersOf(headers, parts);
  expect(short).toBe(ordinary);
});

test('a status and an error have the same bytes both ways', async () => {
  for (const status of [404, 500, 299]) {
    const [short, ordinary] = await answersOf({}, ['the end'], status);
    expect(short).toBe(ordinary);
  }
});

test('the date is the time of the answer', async () => {
  const server = await start({ request: async (_, answer) => answer.send(200, {}, ['x']) });
  const before = Math.floor(Date.now() / 1000) * 1000;
  const answer = await fetch(server.url, { method: 'POST' });
  const dated = Date.parse(answer.headers.get('date') ?? '');
  expect(dated).toBeGreaterThanOrEqual(before);
  expect(dated).toBeLessThanOrEqual(Date.now());
});

test('a header that would end its line is refused, not written', async () => {
  const server = await start({
    request: async (_, answer) => answer.send(200, { 'X-Own': 'a\r\nX-Other: b' }, ['x']),
  });
  const answer = await fetch(server.url, { method: 'POST' });
  expect(answer.status).toBe(500);
  expect(answer.headers.get('x-other')).toBe(null);
});

test('answers of one connection keep the order of their requests', async () => {
  const first = promised<void>();
  const server = await start({
    async request({ path }, answer) {
      if (path === '/first') await first.promise;
      answer.send(200, {}, [`answer of ${path};`]);
      if (path === '/second') first.resolve();
    },
  });
  const client = await raw(server);
  const post = (path: string): string => `POST ${path} HTTP/1.1\r\nContent-Length: 0\r\n\r\n`;
  client.send(post('/first') + post('/second') + post('/third'));
  const all = await client.sees('/third;');
  expect([...all.matchAll(/answer of (\S+);/g)].map(([, path]) => path)).toEqual([
    '/first',
    '/second',
    '/third',
  ]);
});
