import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { Bare } from './bare.ts';
import { startChild } from './child.ts';
import { figure, quantile, verdict } from './figures.ts';
import type { Load, Target } from './load.ts';
import { type Client, openPool } from './pool.ts';
import { seedPool } from './seed.ts';
import { sized } from './sizes.ts';
import { posting } from './wire.ts';

const rounds = sized(9, 2);

/** `VM.get_all_records` of a small and a large pool, beside a bare server that sends the same bytes. */
export const allRecords = async (print: (line: string) => void): Promise<void> => {
  print(`VM.get_all_records over XML-RPC, ${rounds} rounds, median [least..most]`);
  const small = await measured(print, sized(1_000, 20));
  const large = await measured(print, sized(10_000, 200));
  const growth = (ms: number, before: number): number => ms / before / 10;
  print('  10,000 VMs beside 1,000, for each VM:');
  print(
    verdict({
      name: '  time, nothing encoded yet',
      values: [growth(large.coldMs, small.coldMs)],
      atMost: 1.3,
    }),
  );
  print(verdict({ name: '  time, warm', values: [growth(large.warmMs, small.warmMs)], atMost: 1.3 }));
  print(verdict({ name: '  memory', values: [growth(large.grownBytes, small.grownBytes)], atMost: 1.3 }));
};

const measured = async (print: (line: string) => void, vmCount: number) => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-records-'));
  await seedPool(folder, vmCount);
  const pool = await openPool(folder);
  const load = startChild<Load>('load');
  const bare = startChild<Bare>('bare');
  try {
    const client = await pool.client();
    const [vm] = (await client.call('VM.get_all')) as string[];
    const to = (method: string, ...params: string[]): Target => ({
      port: pool.port,
      request: posting('/', xmlCall(method, [client.session, ...params])),
    });
    const list = to('VM.get_all_records');
    const meanwhile = to('VM.get_power_state', vm as string);
    await load.ask('slice', { target: meanwhile, connections: 4, ms: sized(1_000, 50) });
    const before = await pool.residentBytes();
    const cold = await load.ask('fetch', { target: list, meanwhile });
    const same: Target = { port: await bare.ask('mirror', list), request: list.request };
    const fetch = async (target: Target): Promise<number> => (await load.ask('fetch', { target })).ms;
    for (const target of [list, same]) for (let i = 0; i < 6; i++) await fetch(target);
    const [ours, theirs, changed, pauses]: number[][] = [[], [], [], []] as const;
    for (let round = 0; round < rounds; round++) {
      ours.push(await fetch(list));
      theirs.push(await fetch(same));
      await rename(client, vm as string, round);
      changed.push(await fetch(list));
      pauses.push((await load.ask('fetch', { target: list, meanwhile })).meanwhile.p99Ms);
    }
    const grownBytes = (await pool.residentBytes()) - before;
    const name = `${vmCount.toLocaleString('en')} VMs: `;
    const ratios = (of: readonly number[], to: readonly number[]): readonly number[] =>
      of.map((ms, i) => ms / (to[i] as number));
    print(figure(`${name}answer`, [cold.bodyBytes / 2 ** 20], 1, ' MiB'));
    print(figure(`${name}nothing encoded yet`, [cold.ms], 0, ' ms'));
    print(figure(`${name}warm`, ours, 1, ' ms'));
    print(figure(`${name}bare node:http, the same bytes`, theirs, 1, ' ms'));
    print(verdict({ name: `${name}warm beside bare`, values: ratios(ours, theirs), atMost: 1.5 }));
    print(
      verdict({
        name: `${name}after a change of one VM beside warm`,
        values: ratios(changed, ours),
        atMost: 1.3,
      }),
    );
    print(
      verdict({
        name: `${name}p99 of small calls, nothing encoded yet`,
        values: [cold.meanwhile.p99Ms],
        unit: ' ms',
        digits: 0,
        atMost: 50,
      }),
    );
    print(
      verdict({
        name: `${name}p99 of small calls, warm`,
        values: pauses,
        unit: ' ms',
        digits: 0,
        atMost: 50,
      }),
    );
    return { coldMs: cold.ms, warmMs: quantile(ours, 0.5), grownBytes };
  } finally {
    await load.close();
    await bare.close();
    await pool.close();
    await rm(folder, { recursive: true, force: true });
  }
};

const rename = (client: Client, vm: string, n: number): Promise<unknown> =>
  client.call('VM.set_name_label', vm, `renamed ${n}`);
