import { execFileSync } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { figure, secondsOf, verdict } from './figures.ts';
import { openPool } from './pool.ts';
import { sized } from './sizes.ts';
import { download, isSame, MIB, newDisk, upload, watched } from './transfers.ts';

/** `XENACT_BENCH_MIB`: for machines with less room than three times as much. */
const mib = Number(process.env['XENACT_BENCH_MIB'] ?? sized(10_240, 8));

/** A disk uploaded and downloaded as raw bytes, beside `cp` of as much, and the memory that it takes. */
export const disks = async (print: (line: string) => void): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-disks-'));
  const pool = await openPool();
  try {
    const [source, copy] = [join(folder, 'source'), join(folder, 'copy')];
    await fill(source);
    const client = await pool.client();
    const vdi = await newDisk(client, mib * MIB);
    const before = await pool.residentBytes();
    const peak = watched(pool);
    const copied = await secondsOf(async () => {
      execFileSync('cp', ['--reflink=never', source, copy]);
      execFileSync('sync', ['--data', copy]);
    });
    await rm(copy);
    const taken = await secondsOf(() => upload(pool, client, `/import_raw_vdi?vdi=${vdi}`, source));
    const given = await secondsOf(async () => {
      await download(pool, client, `/export_raw_vdi?vdi=${vdi}`, copy);
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
