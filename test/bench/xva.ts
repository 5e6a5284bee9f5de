import { execFileSync } from 'node:child_process';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { startChild } from './child.ts';
import { figure, secondsOf, verdict } from './figures.ts';
import type { Load } from './load.ts';
import { type Client, openPool, type Pool } from './pool.ts';
import { sized } from './sizes.ts';
import { download, isSame, MIB, newDisk, upload, uploadPieces, watched } from './transfers.ts';
import { createVms } from './vms.ts';
import { posting } from './wire.ts';

const mib = Number(process.env['XENACT_BENCH_MIB'] ?? sized(10_240, 20));
/** One of ten such stretches has something. */
const filledMib = sized(16, 1);

/** A VM with a disk that is one tenth full as a file, out and in, beside what a shell would do with the disk. */
export const xva = async (print: (line: string) => void): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-xva-'));
  const pool = await openPool();
  const load = startChild<Load>('load');
  try {
    await measured(print, folder, { pool, load, client: await pool.client() });
  } finally {
    await load.close();
    await pool.close();
    await rm(folder, { recursive: true, force: true });
  }
};

interface Measuring {
  readonly pool: Pool;
  readonly load: ReturnType<typeof startChild<Load>>;
  readonly client: Client;
}

const measured = async (print: (line: string) => void, folder: string, { pool, load, client }: Measuring) => {
  const [source, copy, file, packed] = ['source', 'copy', 'file.xva', 'file.zst'].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  await fill(source);
  const [vm] = (await createVms([client], 1)) as [string];
  const disk = await newDisk(client, mib * MIB);
  await attach(client, vm, disk);
  await uploadPieces(pool, client, `/import_raw_vdi?vdi=${disk}`, pieces());
  const before = await pool.residentBytes();
  const peak = watched(pool);
  const request = posting('/', xmlCall('VM.get_power_state', [client.session, vm]));
  await load.ask('probe', { target: { port: pool.port, request }, restMs: 10 });
  const out = await secondsOf(() => download(pool, client, `/export?ref=${vm}`, file));
  const into = await secondsOf(() => upload(pool, client, '/import?restore=false', file));
  const zstd = await secondsOf(() =>
    download(pool, client, `/export?ref=${vm}&use_compression=zstd`, packed),
  );
  const calls = await load.ask('probed', null);
  const most = await peak();
  const shell = await secondsOf(async () => {
    execFileSync('cp', ['--sparse=always', source, copy]);
    execFileSync('sha1sum', [copy]);
  });
  const packing = await secondsOf(async () => {
    execFileSync('zstd', ['-q', '-1', '-T2', '-f', file, '-o', copy]);
  });
  // What was asked meanwhile stood still, and connections may have ended.
  const again = await pool.client();
  const [made] = await disksNamed(again, 'disk', disk);
  await rm(copy, { force: true });
  await download(pool, again, `/export_raw_vdi?vdi=${made}`, copy);
  const size = (await stat(file)).size / MIB;
  print(`A VM whose disk of ${mib} MiB is one tenth full, as a file of ${size.toFixed(0)} MiB`);
  print(figure('cp --sparse=always and sha1sum of the disk', [shell], 2, ' s'));
  print(figure('zstd -1 -T2 of the file', [packing], 2, ' s'));
  print(figure('export', [out], 2, ' s'));
  print(figure('import', [into], 2, ' s'));
  print(figure('export with zstd', [zstd], 2, ' s'));
  print(verdict({ name: 'export beside cp and sha1sum', values: [shell / out], atLeast: 0.6 }));
  print(verdict({ name: 'import beside cp and sha1sum', values: [shell / into], atLeast: 0.6 }));
  print(verdict({ name: 'export with zstd beside zstd', values: [packing / zstd], atLeast: 0.8 }));
  const more = { values: [(most - before) / MIB], unit: ' MiB', atMost: 100 };
  print(verdict({ name: 'memory more than before', ...more }));
  print(verdict({ name: 'small calls meanwhile, p99', values: [calls.p99Ms], unit: ' ms', atMost: 50 }));
  print(`  wrong disks                             ${isSame(source, copy) ? 0 : 1} of 1`);
};

/** Stretches of a program, with nine times as much of nothing between them. */
async function* pieces(): AsyncGenerator<readonly [position: number, bytes: Buffer]> {
  const program = await open(process.execPath);
  const { size } = await program.stat();
  for (let mebibyte = 0; mebibyte < mib; mebibyte += 1) {
    if (mebibyte % (10 * filledMib) >= filledMib) continue;
    const piece = Buffer.alloc(MIB);
    await program.read(piece, 0, MIB, (mebibyte * MIB) % (size - MIB));
    yield [mebibyte * MIB, piece];
  }
  await program.close();
}

const fill = async (path: string): Promise<void> => {
  const file = await open(path, 'w');
  for await (const [position, piece] of pieces()) await file.write(piece, 0, piece.length, position);
  await file.truncate(mib * MIB);
  await file.sync().finally(() => file.close());
};

const attach = async (client: Client, VM: string, VDI: string): Promise<void> => {
  const drive = { VM, VDI, userdevice: '0', bootable: false, mode: 'RW', type: 'Disk', empty: false };
  const none = new Map<string, string>();
  const how = { unpluggable: true, other_config: none, qos_algorithm_type: '', qos_algorithm_params: none };
  await client.call('VBD.create', new Map<string, any>(Object.entries({ ...drive, ...how })));
};

/** But for the one that is given. */
const disksNamed = async (client: Client, name: string, but: string): Promise<readonly string[]> =>
  ((await client.call('VDI.get_by_name_label', name)) as string[]).filter((one) => one !== but);
