// Goal: a data folder that is damaged, in whatever way, is recognised before it is opened, in one sentence that says
//   what is wrong, what is lost and what to do; and what the sentence advises works.
// Method: a folder that the built program left in order is copied, harmed and started again; a member's too.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logIn } from './client.ts';
import { type Lab, patience, poolOf } from './hosts.ts';
import { newDisk, newVm, rowsOf, text } from './lab.ts';
import { clean, newDataFolder, processesOf, program, start, type Xenact } from './xenact.ts';

const flags = ['--hypervisor', 'sim'];
let good: string;
let disk: string;

beforeAll(async () => {
  good = await newDataFolder();
  const xenact = await start(good, flags);
  const session = await logIn(xenact.http);
  const vm = await newVm(session, 'kept');
  for (let key = 0; key < 60; key += 1)
    await session.call('VM.add_to_other_config', vm, `key-${key}`, 'x'.repeat(500));
  const vdi = await newDisk(session, 1 << 20);
  disk = text(new Map([...(await rowsOf(session, 'VDI'))].filter(([ref]) => ref === vdi)).get(vdi)!, 'uuid');
  await xenact.end('SIGTERM');
});
afterAll(() => clean(good));

const database = 'store/data.mdb';

/** A copy that was harmed: what a start on it says, and whether it ended by itself without a trace of the program. */
const harmed = async (harm: (folder: string) => Promise<unknown>): Promise<string> => {
  const folder = await newDataFolder();
  try {
    await cp(good, folder, { recursive: true, preserveTimestamps: true });
    await rm(join(folder, 'run'), { recursive: true, force: true });
    await harm(folder);
    const ports = ['--http-port', '0', '--https-port', '0', '--mesh-port', '0'];
    const { status, stderr } = spawnSync(
      process.execPath,
      [program, 'up', '--data', folder, ...ports, ...flags],
      {
        encoding: 'utf8',
        timeout: 60_000,
      },
    );
    expect(stderr).toMatch(/^xenact: /);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(status).toBe(1);
    // A daemon that is told to end answers first.
    await expect.poll(() => processesOf(folder), patience).toEqual([]);
    return stderr.replaceAll(folder, 'FOLDER');
  } finally {
    await clean(folder);
  }
};

const flip = async (path: string, at: number, count: number): Promise<void> => {
  const file = await open(path, 'r+');
  const bytes = Buffer.alloc(count);
  const { bytesRead } = await file.read(bytes, 0, count, at);
  await file.write(
    bytes.subarray(0, bytesRead).map((byte) => byte ^ 0xff),
    0,
    bytesRead,
    at,
  );
  await file.close();
};
/** Every page of the database's data but its first two, where a tree of pages would lead astray. */
const flipAll = async (path: string): Promise<void> => {
  const { size } = await stat(path);
  for (let at = 2 * 4096; at < size; at += 4096) await flip(path, at + 16, 200);
};

describe('a database', () => {
  test.each<[string, (path: string) => Promise<unknown>, RegExp]>([
    ['that is empty', (path) => writeFile(path, ''), /database in FOLDER\/store is missing/],
    ['that is missing', (path) => rm(path), /database in FOLDER\/store is missing/],
    [
      'cut to half',
      async (path) => truncate(path, (await stat(path)).size >> 1),
      /cut short: \d+ of \d+ bytes/,
    ],
    ['cut to a page', (path) => truncate(path, 4096), /first pages are not those of a database/],
    ['with one header flipped', (path) => flip(path, 0, 64), /first pages are not those of a database/],
    ['with flipped pages', flipAll, /database in FOLDER\/store cannot be read/],
    [
      'that is something else',
      (path) => writeFile(path, Buffer.alloc(1 << 18, 'x')),
      /not those of a database/,
    ],
  ])('%s is recognised', async (_, harm, said) => {
    const sentence = await harmed((folder) => harm(join(folder, database)));
    expect(sentence).toMatch(said);
    expect(sentence).toMatch(/is lost unless .* backup.*--rebuild.*Disks in FOLDER\/sr are left alone/);
  });
});

/** Both headers say that there are more pages, as they do of those that a commit set aside and did not write. */
const setPageAside = async (path: string): Promise<void> => {
  const lastPage = 144;
  const file = await open(path, 'r+');
  for (const header of [0, 4096]) {
    const bytes = Buffer.alloc(8);
    await file.read(bytes, 0, bytes.length, header + lastPage);
    bytes.writeBigUInt64LE(bytes.readBigUInt64LE() + 8n);
    await file.write(bytes, 0, bytes.length, header + lastPage);
  }
  await file.close();
};

test('a database that lacks pages at its end which nothing uses is served', async () => {
  const folder = await newDataFolder();
  await cp(good, folder, { recursive: true });
  await rm(join(folder, 'run'), { recursive: true, force: true });
  await setPageAside(join(folder, database));
  const xenact = await start(folder, flags);
  try {
    const session = await logIn(xenact.http);
    const vm = text(
      [...(await rowsOf(session, 'VM')).values()].find((row) => row.get('name_label') === 'kept')!,
      'uuid',
    );
    expect(vm).toMatch(/-/);
    await newVm(session, 'made after');
  } finally {
    await xenact.end('SIGTERM');
    await clean(folder);
  }
});

describe('a file of the folder', () => {
  test.each<[string, string, string, RegExp]>([
    ['pool.json', 'that is empty', '', /pool\.json cannot be read.*backup.*--rebuild/],
    ['pool.json', 'that is cut', '{"host": "Opaq', /pool\.json cannot be read.*backup.*--rebuild/],
    ['pool.json', 'that says null', 'null', /pool\.json cannot be read.*backup.*--rebuild/],
    ['credentials.json', 'that is empty', '', /credentials\.json is not JSON.*backup/],
    ['certificate.json', 'that is cut', '{"key":', /certificate\.json holds no certificate.*remove it/],
    [
      'certificate.json',
      'of another shape',
      '{"key":"k","cert":"c"}',
      /certificate\.json holds no certificate/,
    ],
    ['mesh-certificate.json', 'that is empty', '', /mesh-certificate\.json holds no certificate.*backup/],
    ['xenopsd/epoch', 'that is empty', '', /does not start.*epoch/],
  ])('%s %s is recognised', async (file, _, content, said) => {
    expect(await harmed((folder) => writeFile(join(folder, file), content))).toMatch(said);
  });
});

test('too few files that may be open are said before anything else', () => {
  const command = `ulimit -n 64; exec "${process.execPath}" "${program}" version`;
  const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([1, expect.stringMatching(/^xenact: .*64 files.*ulimit -n 4096/)]);
});

describe('--rebuild', () => {
  let xenact: Xenact | undefined;
  const folders: string[] = [];
  const copied = async (): Promise<string> => {
    const folder = await newDataFolder();
    folders.push(folder);
    await cp(good, folder, { recursive: true });
    await rm(join(folder, 'run'), { recursive: true, force: true });
    return folder;
  };
  afterAll(async () => {
    await xenact?.end('SIGKILL');
    for (const folder of folders) await clean(folder);
  });

  test('starts a new pool that has the disks of before, and sets the damaged database aside', async () => {
    const folder = await copied();
    await truncate(join(folder, database), 8192);
    // The disks of the copy are where they were made.
    xenact = await start(folder, [...flags, '--rebuild']);
    const session = await logIn(xenact.http);
    expect([...(await rowsOf(session, 'VM')).values()].map((row) => text(row, 'name_label'))).not.toContain(
      'kept',
    );
    const names = await readdir(folder);
    expect(names.filter((name) => name.startsWith('store.damaged-')).length).toBe(1);
    const disks = [...(await rowsOf(session, 'VDI')).values()].map((row) => text(row, 'uuid'));
    expect(disks).toContain(disk);
    await xenact.end('SIGKILL');
  });

  test('does nothing to a folder that is whole', async () => {
    const folder = await copied();
    xenact = await start(folder, [...flags, '--rebuild']);
    const session = await logIn(xenact.http);
    expect([...(await rowsOf(session, 'VM')).values()].map((row) => text(row, 'name_label'))).toContain(
      'kept',
    );
    await xenact.end('SIGKILL');
  });
});

describe('a member whose database is damaged', () => {
  let pool: Lab;
  beforeAll(async () => {
    pool = await poolOf(2);
  });
  afterAll(() => pool?.close());

  test('loses nothing: with --rebuild it takes a copy from its coordinator', async () => {
    const [session, member] = [await logIn(pool.host(0).http), pool.host(1)];
    await newVm(session, 'of the pool');
    await member.down('SIGKILL');
    await truncate(join(member.data, database), 8192);
    await expect(member.up()).rejects.toThrow(/Nothing of the pool is lost.*--rebuild/);
    await member.up('--rebuild');
    // It answers what is its own, so it has rows again; what it follows is seen by a host that is live.
    const hosts = await rowsOf(session, 'host');
    expect(hosts.size).toBe(2);
    await expect
      .poll(
        async () => [...(await rowsOf(session, 'host_metrics')).values()].map((row) => row.get('live')),
        patience,
      )
      .toEqual([true, true]);
  });
});

test('a daemon that is killed while it starts is started again', async () => {
  const folder = await newDataFolder();
  const child = spawn(
    process.execPath,
    [program, 'up', '--data', folder, '--http-port', '0', '--https-port', '0', '--mesh-port', '0', ...flags],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const printed: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (more: string) => printed.push(more));
  try {
    let killed = 0;
    await expect
      .poll(
        () => {
          for (const pid of killed < 2 ? processesOf(`--state ${folder}/xenopsd`) : []) {
            process.kill(pid, 'SIGKILL');
            killed += 1;
          }
          return killed >= 2 || child.exitCode !== null;
        },
        { ...patience, interval: 5 },
      )
      .toBe(true);
    await expect.poll(() => printed.join(''), patience).toMatch(/^xenact ready/m);
  } finally {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    await clean(folder);
  }
});
