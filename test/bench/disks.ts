import { execFileSync } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { figure, secondsOf, verdict } from './figures.ts';
import { type Client, openPool, type Pool } from './pool.ts';
import { sized } from './sizes.ts';

const MIB = 1 << 20;
/** `XENACT_BENCH_MIB`: for machines with less room than three times as much. */
const mib = Number(process.env['XENACT_BENCH_MIB'] ?? sized(10_240, 8));
const sizeBytes = mib * MIB;
const watchMs = 100;

/** A disk uploaded and downloaded as raw bytes, beside `cp` of as much, and the memory that it takes. */
export const disks = async (print: (line: string) => void): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-disks-'));
  const pool = await openPool();
  try {
    const [source, copy] = [join(folder, 'source'), join(folder, 'copy')];
    await fill(source);
    const client = await pool.client();
    const vdi = await newDisk(client);
    const before = await pool.residentBytes();
    const peak = watched(pool);
    const copied = await secondsOf(async () => {
      execFileSync('cp', ['--reflink=never', source, copy]);
      execFileSync('sync', ['--data', copy]);
    });
    await rm(copy);
    const taken = await secondsOf(() => put(pool, client, vdi, source));
    const given = await secondsOf(async () => {
      await get(pool, client, vdi, copy);
      execFileSync('sync', ['--data', copy]);
    });
    const most = await peak();
    print(`A disk of ${mib} MiB as raw bytes, on a repository of qcow2 images where qemu-img is there`);
    print(figure('cp of as much, on disk at its end', [mib / copied], 0, ' MiB/s'));
    print(figure('upload', [mib / taken], 0, ' MiB/s'));
    print(figure('download', [mib / given], 0, ' MiB/s'));
    print(verdict({ name: 'upload beside cp', values: [copied / taken], atLeast: 0.5 }));
    print(verdict({ name: 'download beside cp', values: [copied / given], atLeast: 0.5 }));
    print(
      verdict({
        name: 'memory more than before',
        values: [(most - before) / MIB],
        unit: ' MiB',
        atMost: 256,
      }),
    );
    print(`  wrong bytes                             ${isSame(source, copy) ? 0 : 1} of 1`);
  } finally {
    await pool.close();
    await rm(folder, { recursive: true, force: true });
  }
};

/** Bytes that nothing makes smaller. */
const fill = async (path: string): Promise<void> => {
  const piece = Buffer.alloc(MIB);
  const file = await open(path, 'w');
  for (let done = 0; done < mib; done += 1) {
    for (let at = 0; at < MIB; at += 8) piece.writeDoubleLE(done + at / MIB + 1, at);
    await file.write(piece);
  }
  await file.sync().finally(() => file.close());
};

const isSame = (one: string, other: string): boolean => {
  try {
    execFileSync('cmp', ['--silent', one, other]);
    return true;
  } catch {
    return false;
  }
};

const newDisk = async (client: Client): Promise<string> => {
  const rows = (await client.call('SR.get_all_records')) as ReadonlyMap<string, ReadonlyMap<string, unknown>>;
  const [sr] = [...rows].find(([, row]) => row.get('type') === 'file') ?? [];
  if (sr === undefined) throw new Error('The pool has no repository of files');
  const disk = { name_label: 'disk', SR: sr, virtual_size: BigInt(sizeBytes), type: 'user' };
  const how = { sharable: false, read_only: false, other_config: new Map() };
  return (await client.call('VDI.create', new Map(Object.entries({ ...disk, ...how })))) as string;
};

const urlOf = ({ url }: Pool, { session }: Client, what: string, vdi: string): URL =>
  new URL(`/${what}_raw_vdi?session_id=${session}&vdi=${vdi}`, url);

const put = async (pool: Pool, client: Client, vdi: string, path: string): Promise<void> => {
  const headers = { 'content-length': (await stat(path)).size };
  const sent = request(urlOf(pool, client, 'import', vdi), { method: 'PUT', headers });
  const answered = new Promise<number>((resolve, reject) => {
    sent.once('error', reject);
    sent.once('response', (answer) => answer.resume().once('end', () => resolve(answer.statusCode ?? 0)));
  });
  await pipeline(createReadStream(path, { highWaterMark: MIB }), sent);
  if ((await answered) !== 200) throw new Error(`The upload failed: ${await answered}`);
};

const get = (pool: Pool, client: Client, vdi: string, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const asked = request(urlOf(pool, client, 'export', vdi), (answer) => {
      pipeline(answer, createWriteStream(path, { highWaterMark: MIB })).then(resolve, reject);
    });
    asked.once('error', reject);
    asked.end();
  });

/** Answers the most that the process has held, once it is asked. */
const watched = (pool: Pool): (() => Promise<number>) => {
  let most = 0;
  const look = async (): Promise<number> => {
    most = Math.max(most, await pool.residentBytes());
    return most;
  };
  const timer = setInterval(() => void look(), watchMs);
  return () => {
    clearInterval(timer);
    return look();
  };
};
