import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { type Child, startChild } from './child.ts';
import { figure, verdict } from './figures.ts';
import type { Load, Target } from './load.ts';
import { openPool, type Pool } from './pool.ts';
import { rowsOfOneVm, seedPool } from './seed.ts';
import { sized } from './sizes.ts';
import { posting } from './wire.ts';

const objectCount = sized(100_000, 700);
const starts = sized(3, 1);
const rounds = sized(9, 2);
const sliceMs = sized(700, 60);
const connections = sized(32, 4);
const listed = ['VM', 'VBD', 'VDI', 'VIF', 'console', 'SR', 'network', 'host', 'pool'] as const;

/** A pool of a hundred thousand objects: how fast it is back, what it holds, and what small calls cost in it. */
export const restart = async (print: (line: string) => void): Promise<void> => {
  const [large, small] = (await Promise.all(
    ['large', 'small'].map((name) => mkdtemp(join(tmpdir(), `xenact-bench-${name}-`))),
  )) as [string, string];
  const load = startChild<Load>('load');
  try {
    await seedPool(large, Math.ceil(objectCount / rowsOfOneVm));
    await seedPool(small, Math.ceil(sized(1_000, 100) / rowsOfOneVm));
    print(`${objectCount} objects (1 VM : 2 VBD : 2 VDI : 1 VIF : 1 console)`);
    const startMs: number[] = [];
    for (let n = 1; n < starts; n++) {
      const pool = await openPool(large);
      startMs.push(pool.startMs);
      await pool.close();
    }
    const [many, few] = [await openPool(large), await openPool(small)];
    try {
      startMs.push(many.startMs);
      print(
        verdict({
          name: 'start until ready',
          values: startMs.map((ms) => ms / 1_000),
          unit: ' s',
          atMost: 3,
        }),
      );
      print(figure('start of 1,000 objects', [few.startMs / 1_000], 2, ' s'));
      await costs(print, load, many, few);
      await memory(print, load, many, few);
    } finally {
      await many.close();
      await few.close();
    }
  } finally {
    await load.close();
    await rm(large, { recursive: true, force: true });
    await rm(small, { recursive: true, force: true });
  }
};

const costs = async (
  print: (line: string) => void,
  load: Child<Load>,
  many: Pool,
  few: Pool,
): Promise<void> => {
  const targets: readonly Target[] = await Promise.all([many, few].map(smallCall));
  const slice = (target: Target): Promise<number> => load.ask('slice', { target, connections, ms: sliceMs });
  for (const target of targets) for (let i = 0; i < 3; i++) await slice(target);
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [among, alone] = [await slice(targets[0] as Target), await slice(targets[1] as Target)];
    ratios.push(alone / among);
  }
  print(verdict({ name: 'cost of a small call beside 1,000 objects', values: ratios, atMost: 1.3 }));
};

const smallCall = async (pool: Pool): Promise<Target> => {
  const client = await pool.client();
  const vms = (await client.call('VM.get_all')) as string[];
  const vm = vms[vms.length >> 1] as string;
  return { port: pool.port, request: posting('/', xmlCall('VM.get_power_state', [client.session, vm])) };
};

/** Every record has been asked for once, so that what is kept of it counts too. */
const memory = async (
  print: (line: string) => void,
  load: Child<Load>,
  many: Pool,
  few: Pool,
): Promise<void> => {
  for (const pool of [many, few]) {
    const { session } = await pool.client();
    for (const cls of listed) {
      const request = posting('/', xmlCall(`${cls}.get_all_records`, [session]));
      await load.ask('fetch', { target: { port: pool.port, request } });
    }
  }
  const bytes = (await many.residentBytes()) - (await few.residentBytes());
  print(
    verdict({
      name: 'resident memory for each object',
      values: [bytes / objectCount / 1024],
      digits: 1,
      unit: ' KiB',
      atMost: 12,
    }),
  );
};
