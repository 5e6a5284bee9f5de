import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { classes } from '../../actors/index.ts';
import type { Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { openStore } from '../../src/store/store.ts';
import { inParallel, quantile, secondsOf, spread } from './figures.ts';
import { libvirtStarts } from './libvirt.ts';
import { type Client, openPool } from './pool.ts';
import { sized } from './sizes.ts';
import { assertAll, createVms } from './vms.ts';

const vmCount = sized(1_000, 20);
const clientCount = sized(100, 4);
const rounds = sized(3, 2);
const aloneCount = sized(300, 5);
const libvirtCount = sized(3_000, 20);

/** 1,000 VMs started by 100 clients on the simulator, beside the bare cost of as many commits. */
export const vmStart = async (print: (line: string) => void): Promise<void> => {
  const pool = await openPool();
  try {
    const clients = await Promise.all(Array.from({ length: clientCount }, () => pool.client()));
    const [first] = clients as [Client];
    const vms = await createVms(clients, vmCount);
    const rates: number[] = [];
    const latencies: number[] = [];
    const commits: number[] = [];
    const processor: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const before = await generationOf(first);
      const usedMs = await pool.processorMs();
      const seconds = await secondsOf(() =>
        inParallel(vmCount, clientCount, async (i, worker) => {
          const taken = await secondsOf(() =>
            (clients[worker] as Client).call('VM.start', vms[i] as string, false, false),
          );
          latencies.push(taken * 1000);
        }),
      );
      commits.push(((await generationOf(first)) - before) / vmCount);
      processor.push(((await pool.processorMs()) - usedMs) / vmCount);
      rates.push(vmCount / seconds);
      await assertAll(first, vms, 'Running');
      await inParallel(vmCount, clientCount, (i, worker) =>
        (clients[worker] as Client).call('VM.hard_shutdown', vms[i] as string),
      );
      await assertAll(first, vms, 'Halted');
    }
    const alone = await oneCaller(first, vms.slice(0, aloneCount));
    const libvirt = await libvirtStarts(libvirtCount);
    const bare = await bareCommits(Math.round(quantile(commits, 0.5)));
    print(
      `VM.start, ${vmCount} VMs by ${clientCount} clients on the simulator, ${rounds} rounds, median [least..most]`,
    );
    print(`  VM.start/s                              ${spread(rates)}`);
    print(
      `  latency p50 / p99                       ${quantile(latencies, 0.5).toFixed(0)} ms / ${quantile(latencies, 0.99).toFixed(0)} ms`,
    );
    print(`  generations for each start              ${spread(commits, 1)}`);
    print(`  processor time of xenact for each       ${spread(processor, 1)} ms`);
    print(`  bare store, as many commits, starts/s   ${spread(bare)}`);
    print(
      `  ratio VM.start to bare commits          ${(quantile(rates, 0.5) / quantile(bare, 0.5)).toFixed(2)}`,
    );
    print(`  VM.start/s for one caller               ${alone.toFixed(0)}`);
    print(
      `  libvirt's test driver, for one caller   ${libvirt === undefined ? 'not installed' : libvirt.toFixed(0)}`,
    );
    print(`  wrong states                            0 of ${vmCount * rounds * 2}`);
  } finally {
    await pool.close();
  }
};

/** Starts a second, one after another. */
const oneCaller = async (client: Client, vms: readonly string[]): Promise<number> => {
  const seconds = await secondsOf(async () => {
    for (const vm of vms) await client.call('VM.start', vm, false, false);
  });
  await assertAll(client, vms, 'Running');
  return vms.length / seconds;
};

const generationOf = async (client: Client): Promise<number> => {
  const [pool] = (await client.call('pool.get_all')) as string[];
  const token = (await client.call('event.inject', 'pool', pool as string)) as string;
  return Number(token.split(',')[0]);
};

/** What the commits of a start cost alone: the same store, as many writers, one changed field each. */
const bareCommits = async (commitsEach: number): Promise<readonly number[]> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-store-'));
  const { store, replica } = openStore({ classes, durable: lmdbDurable(folder), log: silentLog });
  const vm = (i: number): Ref<'VM'> => `OpaqueRef:${i}` as Ref<'VM'>;
  await inParallel(vmCount, clientCount, (i) =>
    store.commit((tx) => tx.create('VM', vm(i), { uuid: String(i) })),
  );
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const seconds = await secondsOf(() =>
      inParallel(vmCount, clientCount, async (i) => {
        for (let n = 0; n < commitsEach; n++) {
          await store.commit((tx) => tx.patch('VM', vm(i), { name_description: `${round} ${n}` }));
        }
      }),
    );
    rates.push(vmCount / seconds);
  }
  await replica.close();
  await rm(folder, { recursive: true, force: true });
  return rates;
};
