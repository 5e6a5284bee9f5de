// Goal: everybody who opens a serial console sees the last of what was printed and what follows, and
//   neither a client that does not read nor a guest that never stops costs more than its limit.
// Method: a server of the test is the emulator's serial port and writes its log as QEMU would.
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type SerialConsole, serveConsole } from '../../../src/daemons/xenopsd/qemu/console.ts';
import { folderAt } from '../../../src/daemons/xenopsd/qemu/folder.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { silentLog } from '../../../src/std/log.ts';
import { consoleAt } from './guests.ts';

const limits = { replayBytesMax: 64, logBytesMax: 1024, clientsMax: 2, unreadBytesMax: 256 * 1024 };

let path: string;
let server: Server;
let guest: Promise<Socket>;
let serving: SerialConsole | undefined;
const folder = () => folderAt(path);
const start = async (): Promise<void> => {
  serving = await serveConsole({ disk: nodeDisk, network: nodeNetwork, log: silentLog }, folder(), limits);
};

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'con-'));
  server = createServer();
  guest = new Promise((resolve) => server.on('connection', resolve));
  await new Promise<void>((resolve) => server.listen(folder().file('serial'), resolve));
});
afterEach(async () => {
  await serving?.close();
  serving = undefined;
  (await guest).destroy();
  server.close();
  await rm(path, { recursive: true });
});

test('a client sees the end of the log of an earlier daemon, then what is printed; all clients do', async () => {
  await writeFile(folder().file('serialLog'), `${'lost '.repeat(20)}${'.'.repeat(60)}past`);
  await start();
  const [one, two] = [consoleAt(folder().file('console')), consoleAt(folder().file('console'))];
  expect(await one.until('past')).toBe(`${'.'.repeat(60)}past`);
  await two.until('past');
  (await guest).write('live');
  await one.until('pastlive');
  await two.until('pastlive');
  const received = new Promise<string>((resolve) => {
    void guest.then((socket) => socket.once('data', (bytes: Buffer) => resolve(bytes.toString())));
  });
  one.send('typed');
  expect(await received).toBe('typed');
});

test('one client too many is cut, and a place is free again once another left', async () => {
  await writeFile(folder().file('serialLog'), 'past');
  await start();
  const [one, two] = [consoleAt(folder().file('console')), consoleAt(folder().file('console'))];
  await one.until('past');
  await two.until('past');
  await expect(consoleAt(folder().file('console')).until('past')).rejects.toThrow();
  one.end();
  await expect
    .poll(() =>
      consoleAt(folder().file('console'))
        .until('past')
        .catch(() => 'cut'),
    )
    .toBe('past');
});

test('a client that does not read is cut off, and the others see everything', async () => {
  await start();
  const idle = connect(folder().file('console'));
  const ended = new Promise((resolve) => idle.once('close', resolve));
  idle.on('error', () => {});
  await new Promise((resolve) => idle.once('connect', resolve));
  const reader = consoleAt(folder().file('console'));
  const socket = await guest;
  socket.write('begin');
  await reader.until('begin');
  idle.pause();
  socket.write(Buffer.alloc(4 * 1024 * 1024, 0x2e));
  socket.write('end');
  await reader.until('end');
  idle.resume();
  await ended;
});

test('the log is emptied beyond its limit, and a guest that ended ends its clients', async () => {
  const log = folder().file('serialLog');
  await writeFile(log, '');
  await start();
  const client = consoleAt(folder().file('console'));
  const text = Buffer.alloc(2048, 0x2e);
  await appendFile(log, text);
  (await guest).write(text);
  await expect.poll(() => readFile(log, 'utf8')).toBe('');
  const ended = expect(client.until('never')).rejects.toThrow('the console ended');
  (await guest).end();
  await ended;
});
