// Goal: whoever speaks the thin protocol on /cli is served, and whoever speaks something else costs nothing.
// Method: a host behind the real HTTP server; a client that was written from the protocol's description.
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandBytesMax } from '../../src/edge/command-route.ts';
import { type Served, served } from '../edge/served.ts';
import { opening, reading, say, xe } from './client.ts';

let at: Served;
beforeAll(async () => {
  at = await served();
});
afterAll(() => at.close());
const by = (user = 'root', password = 'pa:ss') => ({ at: { port: at.port }, user, password });
const usage = "For usage run: 'xe help'\n";

/** What comes back until the server closes. */
const raw = (text: string | Buffer): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(at.port);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.once('error', reject);
    socket.once('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
    socket.write(text);
  });

test('help needs no login, and ends well', async () => {
  const { out, status } = await xe(['help'], by('nobody', 'wrong'));
  expect(status).toBe(0);
  expect(out).toContain('help');
  const minimal = await xe(['help', '--minimal'], by());
  expect(minimal.status).toBe(0);
  expect(minimal.out.trim().split(',')).toContain('vm-start');
});

test('the exchange is the one of the protocol, byte for byte', async () => {
  const socket = connect(at.port);
  socket.write(opening('help\nx'));
  const read = reading(socket);
  const hello = await read(35);
  expect(hello?.toString('hex')).toBe(
    '58656e536f75726365207468696e20434c492070726f746f636f6c0000000002000000',
  );
  socket.write(hello as Buffer);
  expect((await read(35))?.toString('hex')).toBe(
    `1f000000090000000000000013000000${Buffer.from("Unknown command 'x'").toString('hex')}`,
  );
  expect((await read(16))?.toString('hex')).toBe('0c000000090000000400000000000000');
  expect(await read(1)).toBeUndefined();
  socket.destroy();
});

test('what there is not is refused before anybody logs in', async () => {
  expect(await xe(['no-such-command'], by('nobody'))).toMatchObject({
    ...{ out: '', status: 1 },
    err: `Unknown command: no-such-command\n${usage}`,
  });
  expect(await xe(['name=value'], by())).toMatchObject({ err: `Syntax error: \n${usage}`, status: 1 });
  expect(await say('', by())).toMatchObject({ err: `Syntax error: \n${usage}`, status: 1 });
});

test('carriage returns at the ends of lines are not part of the words', async () => {
  expect(await say('help\r\nx\r', by())).toMatchObject({ out: "Unknown command 'x'\n", status: 0 });
});

test('a command without a length, or with too much to say, is refused as HTTP', async () => {
  expect(await raw('POST /cli HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.0 411 /);
  const long = `POST /cli HTTP/1.0\r\ncontent-length: ${commandBytesMax + 1}\r\n\r\n`;
  expect(await raw(long)).toMatch(/^HTTP\/1\.0 413 /);
});

test('a page of another site cannot send a command', async () => {
  const head = 'POST /cli HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: https://elsewhere.example\r\n';
  expect(await raw(`${head}content-length: 4\r\n\r\nhelp`)).toMatch(/^HTTP\/1\.1 403 /);
});

test('whoever greets with something else, or answers nonsense, is left', async () => {
  const greeted = await raw(opening('help') + 'x'.repeat(35));
  expect(greeted).toMatch(/^XenSource thin CLI protocol/);
  expect(greeted).toHaveLength(35);
});

test('calls go on being served on other connections meanwhile, and none is logged as a bug', async () => {
  const waiting = connect(at.port);
  waiting.write(opening('help'));
  expect(await at.call('session.login_with_password', 'root', 'pa:ss')).toMatch(/^OpaqueRef:/);
  waiting.destroy();
  expect(at.takeErrors()).toEqual([]);
});
