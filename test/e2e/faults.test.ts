// Goal: a part of the product that lies, hangs or dies costs its own call and no more: the answer says
//   what is wrong, nothing stays open, and the same call works once the part is well again.
// Method: the built program with the simulated hypervisor, its daemon killed, a storage plugin that
//   misbehaves on command, and requests that are wrong in every layer.
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { open } from 'lmdb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Failure, logIn, type Session } from './client.ts';
import {
  daemonOf,
  diskRecord,
  diskUrl,
  looseEnds,
  newDisk,
  newDrive,
  newVm,
  rowsOf,
  text,
  until,
  untilEnded,
} from './lab.ts';
import { clean, has, newDataFolder, processesOf, start, type Xenact } from './xenact.ts';

const patience = { timeout: 30_000, interval: 50 };

let data: string;
let xenact: Xenact;
let session: Session;
const up = async (): Promise<void> => {
  xenact = await start(data, ['--hypervisor', 'sim', '--sim-config', join(data, 'sim.json')]);
  session = await logIn(xenact.http);
};
const startsTake = (delayMs: number): Promise<void> =>
  writeFile(join(data, 'sim.json'), JSON.stringify({ delaysMs: { start: delayMs } }));

/** Scripts that do what the shipped plugin does, or what `mode` says. */
const addPlugin = async (): Promise<void> => {
  const shipped = join(data, 'plugins-shipped', 'volume', 'org.xen.xapi.storage.file');
  const folder = join(data, 'plugins', 'volume', 'org.xen.xapi.storage.odd');
  await mkdir(folder, { recursive: true });
  for (const method of await readdir(shipped)) {
    const lines = [
      '#!/bin/sh',
      `case "${method}:$(cat '${join(data, 'mode')}')" in`,
      `  Volume.create:rubbish) echo '}{ rubbish';;`,
      '  Volume.create:hang) exec sleep 86399;;',
      '  Volume.create:fail) echo broken >&2; exit 1;;',
      `  *) exec '${join(shipped, method)}' "$@";;`,
      'esac',
    ];
    await writeFile(join(folder, method), `${lines.join('\n')}\n`);
    await chmod(join(folder, method), 0o755);
  }
};
const pluginDoes = (mode: string): Promise<void> => writeFile(join(data, 'mode'), mode);

beforeAll(async () => {
  data = await newDataFolder();
  await startsTake(0);
  await pluginDoes('work');
  await up();
  await addPlugin();
  await xenact.end('SIGTERM');
  await up();
});
afterAll(async () => {
  await xenact.end('SIGKILL');
  await clean(data);
});

const failureOf = async (call: Promise<unknown>): Promise<Failure> => {
  try {
    await call;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('It did not fail');
};

describe('a daemon that dies in the middle of VM.start', () => {
  let vm: string;
  let vdi: string;
  beforeAll(async () => {
    vm = await newVm(session, 'started twice');
    vdi = await newDisk(session, 1 << 20);
    await newDrive(session, vm, vdi);
  });
  const daemonDies = async (when: () => Promise<unknown>): Promise<void> => {
    // The daemon reads it when it starts: the next one is slow, the one after it is not.
    await startsTake(600_000);
    const before = await daemonsSoFar();
    process.kill(daemonOf(data), 'SIGKILL');
    await expect.poll(daemonsSoFar, patience).toBe(before + 1);
    await startsTake(0);
    const task = (await session.call('Async.VM.start', vm, false, false)) as string;
    await when();
    process.kill(daemonOf(data), 'SIGKILL');
    const ended = await untilEnded(session, task);
    expect(text(ended, 'status')).toBe('failure');
    expect(ended.get('error_info')).toEqual([
      'INTERNAL_ERROR',
      expect.stringContaining('went away during VM.start'),
    ]);
  };
  const daemonsSoFar = async (): Promise<number> =>
    (await readFile(join(data, 'xenopsd.log'), 'utf8')).split('"ready"').length - 1;
  const nothingIsLeft = async (): Promise<void> => {
    expect(await session.call('VM.get_power_state', vm)).toBe('Halted');
    const drives = [...(await rowsOf(session, 'VBD')).values()];
    expect(drives.filter((drive) => drive.get('currently_attached') === true)).toEqual([]);
    expect(await looseEnds(session)).toEqual([]);
  };
  /** The mark that the image is in use by a datapath. */
  const held = async (): Promise<boolean> =>
    (await readdir(join(data, 'sr'))).some((name) => name.endsWith('.held'));

  test.each([
    [
      'as it begins',
      () =>
        until(
          session,
          'VM',
          vm,
          (row) => (row.get('current_operations') as ReadonlyMap<string, string>).size > 0,
        ),
    ],
    ['with its disk attached', () => expect.poll(held, patience).toBe(true)],
  ] as const)('%s: the start fails, leaves nothing, and the next one works', async (_, when) => {
    await daemonDies(when);
    await nothingIsLeft();
    await expect
      .poll(() => session.call('VM.start', vm, false, false).then(() => 'started', String), patience)
      .toBe('started');
    await session.call('VM.hard_shutdown', vm);
    await expect.poll(held, patience).toBe(false);
    await nothingIsLeft();
  });
});

describe('a storage plugin of the user’s', () => {
  let sr: string;
  let odd: string;
  const create = () => newDisk(session, 1 << 20, { SR: sr });
  beforeAll(async () => {
    odd = await newDataFolder();
    const [host] = (await session.call('host.get_all')) as string[];
    const place = new Map([['location', odd]]);
    const named = ['odd', '', 'odd', 'user', false, new Map<string, string>()] as const;
    sr = (await session.call('SR.create', host as string, place, 0n, ...named)) as string;
  });
  afterAll(() => clean(odd));
  const isWellAgain = async (): Promise<void> => {
    await pluginDoes('work');
    expect(await looseEnds(session)).toEqual([]);
    const before = (await rowsOf(session, 'VDI')).size;
    await session.call('VDI.destroy', await create());
    await session.call('SR.scan', sr);
    expect((await rowsOf(session, 'VDI')).size).toBe(before);
  };

  test('that prints rubbish is quoted', async () => {
    await pluginDoes('rubbish');
    expect(String(await failureOf(create()))).toMatch(/SCRIPT_FAILED.*Volume\.create.*rubbish/);
    await isWellAgain();
  });

  test('that exits with 1 is quoted with what it wrote', async () => {
    await pluginDoes('fail');
    expect(String(await failureOf(create()))).toMatch(/SCRIPT_FAILED.*Volume\.create.*exit code 1.*broken/);
    await isWellAgain();
  });

  test('that is killed while a task waits for it ends the task, and what is asked next is done', async () => {
    await pluginDoes('hang');
    const record = await diskRecord(session, 1 << 20, { SR: sr });
    const task = (await session.call('Async.VDI.create', record)) as string;
    await expect.poll(() => sleepers().length, patience).toBe(1);
    for (const pid of sleepers()) process.kill(pid, 'SIGKILL');
    const ended = await untilEnded(session, task);
    expect(text(ended, 'status')).toBe('failure');
    expect(String(ended.get('error_info'))).toMatch(/Volume\.create.*SIGKILL/);
    await isWellAgain();
  });

  test('that hangs is ended by task.cancel, with all its processes', async () => {
    await pluginDoes('hang');
    const record = await diskRecord(session, 1 << 20, { SR: sr });
    const task = (await session.call('Async.VDI.create', record)) as string;
    const hangs = () => sleepers().length;
    await expect.poll(hangs, patience).toBe(1);
    await session.call('task.cancel', task);
    expect(text(await untilEnded(session, task), 'status')).toBe('cancelled');
    await expect.poll(hangs, patience).toBe(0);
    await isWellAgain();
  });
  const sleepers = () => processesOf('sleep 86399');
});

describe('the program that has a disk open for a client', () => {
  test.skipIf(!has('qemu-nbd'))(
    'ends the upload with it when it is killed, and the next one is taken',
    async () => {
      const vdi = await newDisk(session, 4 << 20);
      const bytes = new Uint8Array(4 << 20).fill(7);
      let goOn = (): void => {};
      const half = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      const body = new ReadableStream({
        start: async (stream) => {
          stream.enqueue(bytes.subarray(0, 2 << 20));
          await half;
          stream.enqueue(bytes.subarray(2 << 20));
          stream.close();
        },
      });
      const put = (what: ReadableStream | Uint8Array) =>
        fetch(diskUrl(xenact, session, 'import', vdi), {
          ...{ method: 'PUT', body: what, duplex: 'half' },
          headers: { 'content-length': `${bytes.length}` },
        } as RequestInit);
      const cutOff = put(body).then(
        ({ status }) => status,
        () => 0,
      );
      const servers = () => processesOf('qemu-nbd').filter((pid) => processesOf(data).includes(pid));
      await expect.poll(() => servers().length, patience).toBe(1);
      for (const pid of servers()) process.kill(pid, 'SIGKILL');
      goOn();
      expect(await cutOff).not.toBe(200);
      await expect.poll(() => looseEnds(session), patience).toEqual([]);
      expect((await put(bytes)).status).toBe(200);
      await session.call('VDI.destroy', vdi);
    },
  );
});

describe('a request that is wrong', () => {
  const post = async (path: string, body: string, type = 'text/xml') => {
    const answer = await fetch(`${xenact.http}${path}`, {
      method: 'POST',
      body,
      headers: { 'Content-Type': type },
    });
    return { status: answer.status, body: await answer.text() };
  };

  test('as XML is told so, and the next one is served', async () => {
    for (const body of [
      '',
      '<methodCall>',
      '<methodCall><methodName>VM.get_all</methodName>',
      '\u0001',
      '<a/>'.repeat(9),
    ]) {
      expect((await post('/', body)).body, body).not.toContain('Success');
    }
    expect(await session.call('VM.get_all')).not.toHaveLength(0);
  });

  test('as JSON is told so, and __proto__ is a key like any other', async () => {
    for (const body of [
      '{',
      '[]',
      'null',
      '{"method": 1}',
      `{"jsonrpc":"2.0","id":1,"method":"VM.get_all"}`,
    ]) {
      expect((await post('/jsonrpc', body, 'application/json')).body, body).toMatch(/error|not a call/i);
    }
    const vm = await newVm(session, 'odd keys');
    const params = JSON.stringify([session.ref, vm, '__proto__', 'polluted']);
    await post('/jsonrpc', `{"jsonrpc":"2.0","id":1,"method":"VM.add_to_other_config","params":${params}}`);
    const config = (await session.call('VM.get_other_config', vm)) as ReadonlyMap<string, string>;
    expect(config.get('__proto__')).toBe('polluted');
  });

  test('by its counts, types, references or characters gets the code for it', async () => {
    const codeOf = async (...call: Parameters<Session['call']>) =>
      (await failureOf(session.call(...call))).code;
    expect(await codeOf('VM.start')).toBe('MESSAGE_PARAMETER_COUNT_MISMATCH');
    expect(await codeOf('VM.dance')).toBe('MESSAGE_METHOD_UNKNOWN');
    expect(await codeOf('VM.start', 'OpaqueRef:none', false, false)).toBe('HANDLE_INVALID');
    const mistyped = session.call('VM.start', 'OpaqueRef:none', 'maybe', false);
    expect(String(await failureOf(mistyped))).toMatch(/Expected bool, got .*maybe/);
    const control = `<methodCall><methodName>VM.get_by_name_label</methodName><params><param><value>${session.ref}</value></param><param><value>a\u0000b</value></param></params></methodCall>`;
    expect((await post('/', control)).body).not.toContain('<name>Success');
  });
});

test('a data folder of a newer format is left as it is, and said to be newer', async () => {
  const own = await newDataFolder();
  await (await start(own, ['--hypervisor', 'sim'])).end('SIGTERM');
  const root = open({ path: join(own, 'store'), maxDbs: 4, encoder: { int64AsType: 'bigint' } as never });
  const meta = root.openDB<{ format: number }, string>({ name: 'meta' });
  const found = meta.get('meta') as { format: number };
  await meta.put('meta', { ...found, format: found.format + 1 });
  await root.close();
  const before = await readFile(join(own, 'store', 'data.mdb')).catch(() => undefined);
  await expect(start(own, ['--hypervisor', 'sim'])).rejects.toThrow(/format \d+.*newer xenact/s);
  const after = await readFile(join(own, 'store', 'data.mdb')).catch(() => undefined);
  expect(after).toEqual(before);
  expect(processesOf(own)).toEqual([]);
  await rm(own, { recursive: true });
});
