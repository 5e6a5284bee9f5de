// Goal: the main job, end to end: clients that nobody here wrote log in, make a VM with a disk on a real
// storage plugin, and a real guest boots; what it prints, its states and its bytes are what they must be.
// Method: the built program, QEMU, Xen Orchestra's client (the npm package xen-api) and Python's xmlrpc.client.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Xapi } from 'xen-api';
import { readPng } from '../codec/png-reader.ts';
import { bootSector } from '../daemons/qemu/boot-sector.ts';
import { clean, has, newDataFolder, password, start, type Xenact } from './xenact.ts';

const line = 'Hello from a guest of Xenact';
const image = Buffer.from(bootSector({ line, ending: 'poweroff', waitForKey: 'serial' }));
const qemu = has('qemu-system-x86_64') && has('qemu-img');

let data: string;
let xenact: Xenact;
beforeAll(async () => {
  data = await newDataFolder();
  if (qemu) xenact = await start(data, ['--hypervisor', 'qemu']);
});
afterAll(async () => {
  await xenact?.end('SIGTERM');
  await clean(data);
});

/** Collects what a console says until it has said `text`. */
const until = (socket: WebSocket, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let seen = '';
    socket.on('message', (bytes: Buffer) => {
      seen += bytes.toString('latin1');
      if (seen.includes(text)) resolve(seen);
    });
    socket.on('close', () => reject(new Error(`The console ended after: ${seen}`)));
    socket.on('error', reject);
  });

/** The screen as a picture on which something is written; a terminal has none. */
const showsItself = async (vm: string, terminal: string, session: string): Promise<void> => {
  const shown = (query: string) => fetch(`${xenact.http}/vncsnapshot?${query}&session_id=${session}`);
  const answer = await shown(`ref=${vm}`);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'image/png']);
  const { width, height, rows } = readPng(Buffer.from(await answer.arrayBuffer()));
  expect(rows.length).toBe(height * (1 + 3 * width));
  expect(new Set(rows).size).toBeGreaterThan(1);
  expect((await shown(`uuid=${terminal}`)).status).toBe(404);
};

/** Resolves once an event has brought the VM into this state. */
const becomes = (xapi: any, vm: string, state: string): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (xapi.getObject(vm, undefined)?.power_state !== state) return;
      xapi.objects.removeListener('update', look);
      resolve();
    };
    xapi.objects.on('update', look);
    look();
  });

describe.skipIf(!qemu)('with QEMU installed, a guest', () => {
  test('is made, booted, talked to and read back by Xen Orchestra’s client', async () => {
    const xapi: any = new Xapi({
      url: xenact.https,
      allowUnauthorized: true,
      auth: { user: 'root', password },
    });
    await xapi.connect();
    await xapi.objectsFetched;

    const template = Object.values<any>(xapi.objects.all).find(
      ({ $type, name_label }) => $type === 'VM' && name_label === 'Other install media',
    );
    const vm: string = await xapi.callAsync('VM.clone', template.$ref, 'a guest');
    await xapi.call('VM.remove_from_other_config', vm, 'disks');
    await xapi.callAsync('VM.provision', vm);
    const vdi: string = await xapi.call('VDI.create', {
      name_label: 'its disk',
      name_description: '',
      SR: xapi.pool.default_SR,
      virtual_size: image.length,
      type: 'user',
      sharable: false,
      read_only: false,
      other_config: {},
    });
    await xapi.call('VBD.create', {
      VM: vm,
      VDI: vdi,
      userdevice: '0',
      bootable: true,
      mode: 'RW',
      type: 'Disk',
      empty: false,
      other_config: {},
      qos_algorithm_type: '',
      qos_algorithm_params: {},
    });
    await xapi.call('VM.set_HVM_boot_params', vm, { order: 'c' });
    const memory = 64 * 1024 * 1024;
    await xapi.call('VM.set_memory_limits', vm, memory, memory, memory, memory);

    await xapi.putResource(image, '/import_raw_vdi/', { query: { vdi, format: 'raw' }, task: true });
    await xapi.callAsync('VM.start', vm, false, false);
    await becomes(xapi, vm, 'Running');

    const consoles = await xapi.call('VM.get_consoles', vm);
    const records = await Promise.all(consoles.map((one: string) => xapi.call('console.get_record', one)));
    const serial = records.find(({ protocol }: { protocol: string }) => protocol === 'vt100');
    const socket = new WebSocket(serial.location.replace(/^https/, 'wss'), 'binary', {
      headers: { Cookie: `session_id=${xapi.sessionId}` },
      rejectUnauthorized: false,
    });
    expect(await until(socket, line)).toContain(line);
    await showsItself(vm, serial.uuid, xapi.sessionId);
    socket.send(Buffer.from('x'));
    await becomes(xapi, vm, 'Halted');
    socket.terminate();

    const { body } = await xapi.getResource('/export_raw_vdi/', { query: { vdi, format: 'raw' } });
    expect((await buffer(body)).equals(image)).toBe(true);
    await xapi.callAsync('VM.destroy', vm);
    await xapi.callAsync('VDI.destroy', vdi);
    await xapi.disconnect();
  });

  test.skipIf(!has('python3'))('is the same to Python’s xmlrpc.client', async () => {
    const file = join(data, 'guest.img');
    await writeFile(file, image);
    const python = spawn('python3', [join('test', 'e2e', 'guest.py'), xenact.http, password, file, line], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [python.stdout, python.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    const [code] = await once(python, 'exit');
    expect(said).toContain('events: Running, Halted');
    expect(said).toContain('disk unchanged');
    expect(code, said).toBe(0);
  });
});
