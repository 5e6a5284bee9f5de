// Goal: a disk without room, be it the data folder's or a repository's, costs nothing that was there, and
//   is well again once there is room.
// Method: the built program with the simulated hypervisor, folders on small file systems of their own;
//   skipped where mounting is not allowed.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Value } from '../../src/std/value.ts';
import { Failure, logIn, type Session } from './client.ts';
import { eventually, hostRefs, type Lab, lab, logInHere, patience } from './hosts.ts';
import { defaultSr, diskUrl, looseEnds, newDisk, newVm, rowsOf, text, untilEnded } from './lab.ts';
import { type SmallDisk, smallDisk } from './small-disk.ts';
import { clean, newDataFolder, password, processesOf, start, type Xenact } from './xenact.ts';

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'done',
    (error: unknown) => (error instanceof Failure ? error.code : String(error)),
  );

describe('with its data folder on a full disk, xenact', () => {
  let disk: SmallDisk | undefined;
  let xenact: Xenact;
  let session: Session;
  beforeAll(async () => {
    disk = await smallDisk(24);
    if (disk === undefined) return;
    xenact = await start(disk.folder, ['--hypervisor', 'sim']);
    session = await logIn(xenact.http);
  });
  afterAll(async () => {
    if (disk === undefined) return;
    await xenact.end('SIGKILL');
    for (const pid of processesOf(disk.folder)) process.kill(pid, 'SIGKILL');
    await disk.remove();
  });

  test('begins nothing new while little is left, but ends and destroys what there is', async (context) => {
    if (disk === undefined) return context.skip('mounting a tmpfs needs root');
    const [running, doomed] = [await newVm(session, 'running'), await newVm(session, 'doomed')];
    await session.call('VM.start', running, false, false);
    await disk.fill(1_500_000);
    const begin = (): Promise<string> => codeOf(session.call('VM.clone', doomed, 'a clone'));
    await expect.poll(begin, patience).toBe('OUT_OF_SPACE');
    const tasks = (await rowsOf(session, 'task')).size;
    expect(await codeOf(session.call('Async.VM.clone', doomed, 'a clone'))).toBe('OUT_OF_SPACE');
    expect((await rowsOf(session, 'task')).size).toBe(tasks);
    const again = await logIn(xenact.http);
    await again.call('VM.hard_shutdown', running);
    await again.call('VM.destroy', running);
    await again.call('session.logout');
    const told = [...(await rowsOf(session, 'message')).values()].map((row) => text(row, 'name'));
    expect(told).toContain('HOST_DATA_FOLDER_NEARLY_FULL');
    await disk.free();
    // Nobody has to wait until the disk is looked at again.
    await session.call('VM.clone', doomed, 'a clone with room');
    await session.call('VM.destroy', doomed);
  });

  test('answers reads, refuses changes clearly, and loses nothing that it acknowledged', async (context) => {
    if (disk === undefined) return context.skip('mounting a tmpfs needs root');
    const vm = await newVm(session, 'a VM');
    const [named, doomed] = [await newVm(session, 'to be named'), await newVm(session, 'to be destroyed')];
    const kept: string[] = [];
    const change = async (): Promise<string> => {
      const key = `key-${kept.length}`;
      const code = await codeOf(session.call('VM.add_to_other_config', vm, key, 'x'.repeat(4_000)));
      if (code === 'done') kept.push(key);
      return code;
    };
    expect(await change()).toBe('done');
    await disk.fill();
    let refused = 'done';
    // What the database has left over from before still takes a few.
    for (let tries = 0; refused === 'done' && tries < 2_000; tries += 1) refused = await change();
    expect(refused).toBe('OUT_OF_SPACE');
    // What needs less may find room in pages that the database gave up: either answer is right if it is true.
    const answers = await Promise.all(
      [
        session.call('VM.set_name_label', named, 'named'),
        session.call('VM.clone', vm, 'a large clone'),
        session.call('VM.destroy', doomed),
      ].map(codeOf),
    );
    for (const answer of answers) expect(['done', 'OUT_OF_SPACE']).toContain(answer);
    const [renames, clones, destroys] = answers.map((answer) => answer === 'done');
    const expectTruth = async (): Promise<void> => {
      const rows = await rowsOf(session, 'VM');
      const names = [...rows.values()].map((row) => text(row, 'name_label'));
      expect(names.includes('named')).toBe(renames);
      expect(names.includes('to be named')).toBe(!renames);
      expect(names.includes('a large clone')).toBe(clones);
      expect(names.includes('to be destroyed')).toBe(!destroys);
      const config = rows.get(vm)?.get('other_config') as ReadonlyMap<string, Value>;
      expect([...config.keys()].filter((key) => key.startsWith('key-'))).toEqual(kept);
      expect(await looseEnds(session)).toEqual([]);
    };
    await expectTruth();
    expect((await fetch(`${xenact.http}/healthz`)).status).toBe(200);

    await disk.free();
    expect(await change()).toBe('done');
    await session.call('VM.clone', vm, 'a clone with room');
    await xenact.end('SIGKILL');
    xenact = await start(disk.folder, ['--hypervisor', 'sim']);
    session = await logIn(xenact.http);
    await expectTruth();
    const names = [...(await rowsOf(session, 'VM')).values()].map((row) => text(row, 'name_label'));
    expect(names).toContain('a clone with room');
  });
});

describe('a coordinator on a full disk', () => {
  let disk: SmallDisk | undefined;
  let pool: Lab;
  beforeAll(async () => {
    disk = await smallDisk(24);
    pool = await lab();
    if (disk === undefined) return;
    const first = await pool.add('--data', disk.folder);
    await first.up();
    const second = await pool.add();
    await second.up('--join', first.https, '--join-password', password);
  });
  afterAll(async () => {
    await pool.close();
    for (const pid of disk === undefined ? [] : processesOf(disk.folder)) process.kill(pid, 'SIGKILL');
    await disk?.remove();
  });

  test('hands the pool over, stays up, and follows once there is room', async (context) => {
    if (disk === undefined) return context.skip('mounting a tmpfs needs root');
    const [first, second] = [pool.host(0), pool.host(1)];
    const session = await logIn(first.http);
    const [, other] = await hostRefs(session, pool.hosts);
    await disk.fill();
    // Its answer is a change of the pool too, and may have to wait for room.
    const handed = codeOf(session.call('pool.designate_new_master', other as string));
    const elsewhere = await eventually(() => logIn(second.http));
    const vm = await eventually(() => newVm(elsewhere, 'made meanwhile'));
    await disk.free();
    await handed;
    expect(isAlive(first.xenact.pid)).toBe(true);
    await expect
      .poll(async () => {
        const here = await logInHere(first).catch(() => undefined);
        return here === undefined ? '' : codeOf(here.call('VM.get_name_label', vm));
      }, patience)
      .toBe('HOST_IS_SLAVE');
  });
});

describe('a repository on a full disk', () => {
  let disk: SmallDisk | undefined;
  let data: string;
  let xenact: Xenact;
  let session: Session;
  beforeAll(async () => {
    disk = await smallDisk(8);
    data = await newDataFolder();
    xenact = await start(data, ['--hypervisor', 'sim']);
    session = await logIn(xenact.http);
  });
  afterAll(async () => {
    await xenact.end('SIGKILL');
    await clean(data);
    await disk?.remove();
  });

  test('refuses an image that has no room, frees the disk and leaves no half of one', async (context) => {
    if (disk === undefined) return context.skip('mounting a tmpfs needs root');
    const [host] = (await session.call('host.get_all')) as string[];
    const place = new Map([['location', join(disk.folder, 'sr')]]);
    const none = new Map<string, Value>();
    const create = ['small', '', 'file', 'user', false, none] as const;
    const sr = (await session.call('SR.create', host as string, place, 0n, ...create)) as string;
    const before = await newDisk(session, 1 << 20, { SR: sr });
    const bytes = 32 << 20;
    const vdi = await newDisk(session, bytes, { SR: sr });
    const task = (await session.call('task.create', 'upload', '')) as string;
    const image = Buffer.alloc(bytes, 'x');
    const put = await fetch(diskUrl(xenact, session, 'import', vdi, `&task_id=${task}`), {
      method: 'PUT',
      body: image,
    });
    expect(put.status).toBe(500);
    const ended = await untilEnded(session, task);
    expect(text(ended, 'status')).toBe('failure');
    expect(String(ended.get('error_info'))).toMatch(/space|ENOSPC|full/i);
    expect(await looseEnds(session)).toEqual([]);

    await disk.fill();
    const disks = (await rowsOf(session, 'VDI')).size;
    expect(await codeOf(newDisk(session, 1 << 20, { SR: sr }))).toMatch(/^SR_BACKEND_FAILURE|SR_FULL|SPACE/);
    expect(await codeOf(session.call('VDI.snapshot', before))).toMatch(/^SR_BACKEND_FAILURE|SR_FULL|SPACE/);
    expect((await rowsOf(session, 'VDI')).size).toBe(disks);
    await session.call('VDI.destroy', vdi);
    await disk.free();
    await session.call('SR.scan', sr);
    expect((await rowsOf(session, 'VDI')).size).toBe(disks - 1);
    const again = await newDisk(session, 1 << 20, { SR: sr });
    const small = { method: 'PUT', body: Buffer.alloc(1 << 20, 'y') };
    expect((await fetch(diskUrl(xenact, session, 'import', again), small)).status).toBe(200);
    // Others never noticed.
    await session.call('VDI.destroy', await newDisk(session, 1 << 20, { SR: await defaultSr(session) }));
    expect(await looseEnds(session)).toEqual([]);
  });
});
