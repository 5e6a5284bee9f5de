// Goal: the control connection gives every command its own answer, tells events apart from answers, and
//   ends with a clear reason instead of waiting, growing or guessing.
// Method: a server of the test speaks the emulator's side, rightly and wrongly.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectQmp, eventsIn, nextEvent, type QmpFailure } from '../../../src/daemons/xenopsd/qemu/qmp.ts';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { said } from '../../../src/std/allowed.ts';

const GREETING = { QMP: { version: {}, capabilities: [] } };

describe('the control connection of an emulator', () => {
  let folder: string;
  let server: Server;
  let emulator: Promise<Socket>;
  const asked: { execute: string; arguments: unknown; id: number }[] = [];
  let onCommand: (command: (typeof asked)[number], socket: Socket) => void;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'qmp-'));
    asked.length = 0;
    onCommand = ({ id }, socket) => say(socket, { return: {}, id });
    server = createServer();
    emulator = new Promise((resolve) => {
      server.on('connection', (socket) => {
        say(socket, GREETING);
        socket.on('data', (bytes) => {
          for (const line of bytes.toString().trim().split('\n')) {
            const command = JSON.parse(line);
            asked.push(command);
            onCommand(command, socket);
          }
        });
        resolve(socket);
      });
    });
    await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
  });
  afterEach(async () => {
    (await emulator).destroy();
    server.close();
    await rm(folder, { recursive: true });
  });

  const say = (socket: Socket, message: object): void => void socket.write(`${JSON.stringify(message)}\r\n`);
  const open = async (onClose: (error: QmpFailure) => void = () => {}) =>
    connectQmp({
      socketPath: join(folder, 's'),
      network: nodeNetwork,
      clock: nodeClock,
      onClose,
      limits: { lineBytesMax: 1000, waitingMax: 2, answerMsMax: 200 },
    });

  test('it negotiates first, and then every command gets its own answer in whatever order they come', async () => {
    const qmp = await open();
    expect(asked.map((one) => one.execute)).toEqual(['qmp_capabilities']);
    onCommand = ({ execute, id }, socket) => {
      if (execute !== 'second') return;
      say(socket, { return: 'two', id });
      say(socket, { return: 'one', id: id - 1 });
    };
    expect(await Promise.all([qmp.execute('first', said({ a: 1 })), qmp.execute('second')])).toEqual([
      'one',
      'two',
    ]);
    expect(asked[1]).toMatchObject({ execute: 'first', arguments: { a: 1 } });
    qmp.close();
  });

  test('a refusal carries the words of the emulator, and a missing device is told apart', async () => {
    const qmp = await open();
    onCommand = ({ execute, id }, socket) =>
      say(socket, { error: { class: execute, desc: `no ${execute}` }, id });
    await expect(qmp.execute('GenericError')).rejects.toMatchObject({
      reason: 'refused',
      message: 'no GenericError',
    });
    await expect(qmp.execute('DeviceNotFound')).rejects.toMatchObject({ reason: 'absent' });
    qmp.close();
  });

  test('an event between answers reaches whoever waits for it, in pieces or not', async () => {
    const qmp = await open();
    const socket = await emulator;
    const waited = nextEvent(qmp, nodeClock, ({ name }) => name === 'ÄB', 5_000);
    const bytes = Buffer.from(
      `${JSON.stringify({ event: 'other' })}\n${JSON.stringify({ event: 'ÄB', data: { x: 1 } })}\n`,
    );
    const inside = bytes.indexOf(0xc3) + 1;
    onCommand = ({ id }) => {
      socket.write(bytes.subarray(inside));
      say(socket, { return: {}, id });
    };
    socket.write(bytes.subarray(0, inside));
    await qmp.execute('anything');
    expect(await waited.arrived).toEqual({ name: 'ÄB', data: { x: 1 } });
    qmp.close();
  });

  test('a wait for an event that does not come ends at its time', async () => {
    const qmp = await open();
    expect(await nextEvent(qmp, nodeClock, () => true, 5).arrived).toBeUndefined();
    qmp.close();
  });

  test('a command without an answer ends at its time, and a late answer does no harm', async () => {
    const qmp = await open();
    onCommand = () => {};
    await expect(qmp.execute('slow', undefined, 5)).rejects.toMatchObject({ reason: 'timeout' });
    say(await emulator, { return: {}, id: asked.at(-1)?.id });
    onCommand = ({ id }, socket) => say(socket, { return: 'fine', id });
    expect(await qmp.execute('next')).toBe('fine');
    qmp.close();
  });

  test('more commands than may wait are refused at once', async () => {
    const qmp = await open();
    onCommand = () => {};
    const waiting = [qmp.execute('a'), qmp.execute('b')];
    await expect(qmp.execute('c')).rejects.toMatchObject({ reason: 'busy' });
    qmp.close();
    for (const one of waiting) await expect(one).rejects.toMatchObject({ reason: 'closed' });
    await expect(qmp.execute('d')).rejects.toMatchObject({ reason: 'closed' });
  });

  test.each([
    ['a line over the limit', 'x'.repeat(1001)],
    ['a line that is not JSON', 'hello\n'],
    ['a line that is not an object', '[1]\n'],
  ])('%s ends the connection, and everything that waits learns it', async (_, text) => {
    const closed = deferred<QmpFailure>();
    const qmp = await open(closed.resolve);
    onCommand = () => {};
    const waiting = expect(qmp.execute('waits')).rejects.toMatchObject({ reason: 'closed' });
    (await emulator).write(text);
    await waiting;
    expect((await closed.promise).reason).toBe('closed');
  });

  test('an emulator that goes away is told once', async () => {
    let told = 0;
    const closed = deferred<void>();
    const qmp = await open(() => {
      told += 1;
      closed.resolve();
    });
    (await emulator).end();
    await closed.promise;
    await expect(qmp.execute('more')).rejects.toMatchObject({ reason: 'closed' });
    expect(told).toBe(1);
  });
});

test('events are found in a log that begins and ends anywhere', () => {
  expect(eventsIn('t": 1}\n{"return": {}}\n{"event": "STOP"}\n{"event": "SHUT')).toEqual([
    { name: 'STOP', data: {} },
  ]);
});

const deferred = <T>(): { promise: Promise<T>; resolve: (value: T) => void } => {
  let resolve = (_: T): void => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
};
