// Goal: whatever is killed, guests go on, rows say what is true again, and nothing is left half done.
// Method: SIGKILL to xenact and to the hypervisor daemon while a real guest runs under QEMU.
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootSector } from '../daemons/qemu/boot-sector.ts';
import { logIn, type Session } from './client.ts';
import { daemonOf, emulatorsOf, looseEnds, newGuest, text, until, untilState } from './lab.ts';
import { openSerial, type Serial } from './serial.ts';
import { clean, has, newDataFolder, start, type Xenact } from './xenact.ts';

const missing = ['qemu-system-x86_64', 'qemu-img'].filter((program) => !has(program));
const why = missing.length > 0 ? ` (${missing.join(', ')} not installed)` : '';
const line = 'alive';
const image = bootSector({ line, ending: 'poweroff', waitForKey: 'serial', answers: 'letters' });

let data: string;
let xenact: Xenact;
let session: Session;
let vm: string;
let domid: string;
let guest: readonly number[];

const comeBack = async (): Promise<void> => {
  xenact = await start(data, ['--hypervisor', 'qemu']);
  session = await logIn(xenact.http);
};

/** Its letter tells that it is the guest that it was, not one that was begun anew. */
const answers = async (serial: Serial, letter: string): Promise<void> => {
  serial.send('x');
  await serial.until(letter);
};

/** On the emulator's own socket, which is free once the daemon is gone. */
const pressKey = async (folder: string, key: string): Promise<void> => {
  const files = await readdir(folder, { recursive: true });
  const path = files.find((file) => file.endsWith('serial.sock'));
  const socket = connect(join(folder, path as string));
  await once(socket, 'connect');
  await new Promise((resolve) => socket.end(key, () => resolve(undefined)));
};

describe.skipIf(missing.length > 0)(`with QEMU${why}, a guest outlives`, () => {
  beforeAll(async () => {
    data = await newDataFolder();
    await comeBack();
    ({ vm } = await newGuest(xenact, session, 'a guest', image));
    await session.call('VM.start', vm, false, false);
    domid = String(await session.call('VM.get_domid', vm));
    guest = emulatorsOf(data);
    const serial = await openSerial(session, vm);
    await serial.until(line);
    await answers(serial, 'A');
    serial.close();
  });
  afterAll(async () => {
    await xenact.end('SIGKILL');
    await clean(data);
  });

  test('xenact: the next one shows it as it is, and its serial line goes on', async () => {
    expect(guest).toHaveLength(1);
    await xenact.end('SIGKILL');
    expect(emulatorsOf(data)).toEqual(guest);
    await comeBack();
    const row = await until(session, 'VM', vm, () => true);
    expect([text(row, 'power_state'), text(row, 'domid')]).toEqual(['Running', domid]);
    const serial = await openSerial(session, vm);
    await answers(serial, 'B');
    serial.close();
    expect(emulatorsOf(data)).toEqual(guest);
    expect(await looseEnds(session)).toEqual([]);
  });

  test('its daemon: xenact starts another, which hears how the guest ends', async () => {
    const before = daemonOf(data);
    process.kill(before, 'SIGKILL');
    // The daemon answers this: once it passes there is one again.
    await expect
      .poll(() => session.call('VM.pause', vm).then(() => 'paused', String), patience)
      .toBe('paused');
    await session.call('VM.unpause', vm);
    expect(daemonOf(data)).not.toBe(before);
    expect(emulatorsOf(data)).toEqual(guest);
    expect(String(await session.call('VM.get_domid', vm))).toBe(domid);
    const serial = await openSerial(session, vm);
    await answers(serial, 'C');
    serial.send('q');
    await untilState(session, vm, 'Halted');
    expect(emulatorsOf(data)).toEqual([]);
    expect(await looseEnds(session)).toEqual([]);
  });

  test('not both when it powers off meanwhile: the next start says Halted and lets it boot again', async () => {
    await session.call('VM.start', vm, false, false);
    const serial = await openSerial(session, vm);
    await serial.until(line);
    await answers(serial, 'A');
    await xenact.end('SIGKILL');
    process.kill(daemonOf(data), 'SIGKILL');
    await pressKey(data, 'q');
    await comeBack();
    await untilState(session, vm, 'Halted');
    expect(emulatorsOf(data)).toEqual([]);
    expect(await looseEnds(session)).toEqual([]);
    await session.call('VM.start', vm, false, false);
    await session.call('VM.hard_shutdown', vm);
    expect(emulatorsOf(data)).toEqual([]);
  });
});

const patience = { timeout: 20_000, interval: 50 };
