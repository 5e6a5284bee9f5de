import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { classes } from '../../actors/index.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { startChild } from './child.ts';
import { figure, inParallel, secondsOf, verdict } from './figures.ts';
import type { Load } from './load.ts';
import { openPool } from './pool.ts';
import { sized } from './sizes.ts';
import { posting } from './wire.ts';

const writers = sized(100, 10);
const rounds = sized(7, 2);
const sliceMs = sized(1_000, 60);
const commitsOfRound = sized(10_000, 200);

/** Changes that are on disk before they are answered: by the store alone, and through the API. */
export const durable = async (print: (line: string) => void): Promise<void> => {
  await storeAlone(print);
  await throughApi(print);
};

const storeAlone = async (print: (line: string) => void): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-durable-'));
  const { store, replica } = openStore({ classes, durable: lmdbDurable(folder), log: silentLog });
  try {
    const vm = (i: number): Ref<'VM'> => `OpaqueRef:${i}` as Ref<'VM'>;
    for (let i = 0; i < writers; i++) {
      await store.commit((tx) => tx.create('VM', vm(i), { uuid: String(i) }));
    }
    await changes(store, vm, -1);
    const floor: number[] = [];
    const rates: number[] = [];
    for (let round = 0; round < rounds; round++) {
      floor.push(syncRate(join(folder, 'floor')));
      rates.push(commitsOfRound / (await secondsOf(() => changes(store, vm, round))));
    }
    print(`Durable changes of a field, ${writers} writers, ${rounds} rounds, median [least..most]`);
    print(figure('fdatasync of 4 KiB in place, one after the other, /s', floor));
    print(figure('commits/s of the store alone', rates));
    const ratios = rates.map((rate, i) => rate / (floor[i] as number));
    print(verdict({ name: 'store beside fdatasync', values: ratios, digits: 1, atLeast: 4 }));
  } finally {
    await replica.close();
    await rm(folder, { recursive: true, force: true });
  }
};

const changes = (store: Store, vm: (i: number) => Ref<'VM'>, round: number): Promise<void> =>
  inParallel(commitsOfRound, writers, (i, worker) =>
    store.commit((tx) => tx.patch('VM', vm(worker), { name_description: `${round} ${i}` })),
  );

/** What the disk does at most when every write waits for it. */
const syncRate = (file: string): number => {
  const block = Buffer.alloc(4_096, 1);
  const fd = openSync(file, 'w+');
  try {
    writeSync(fd, block, 0, block.length, 0);
    fdatasyncSync(fd);
    const began = performance.now();
    let count = 0;
    while (performance.now() - began < sliceMs) {
      writeSync(fd, block, 0, block.length, 0);
      fdatasyncSync(fd);
      count += 1;
    }
    return (count * 1_000) / (performance.now() - began);
  } finally {
    closeSync(fd);
  }
};

const throughApi = async (print: (line: string) => void): Promise<void> => {
  const pool = await openPool();
  const load = startChild<Load>('load');
  try {
    const client = await pool.client();
    const vms = (await client.call('VM.get_all')) as string[];
    const call = (method: string, ...params: string[]): Buffer =>
      posting('/', xmlCall(method, [client.session, ...params]));
    const read = vms.map((vm) => call('VM.get_power_state', vm));
    const slice = (requests: readonly Uint8Array[]): Promise<number> => {
      const target = { port: pool.port, request: requests[0] as Uint8Array };
      return load.ask('slice', { target, connections: writers, ms: sliceMs, requests });
    };
    const write = (round: number): readonly Uint8Array[] =>
      // More than a slice needs, so that no call repeats what the field holds already.
      Array.from({ length: 20_011 }, (_, n) =>
        call('VM.set_name_description', vms[n % vms.length] as string, `${round} ${n}`),
      );
    for (let n = 0; n < 2; n++) await slice(n === 0 ? read : write(-1));
    const reads: number[] = [];
    const writes: number[] = [];
    for (let round = 0; round < rounds; round++) {
      reads.push(await slice(read));
      writes.push(await slice(write(round)));
    }
    print(`The same through the API, ${writers} clients`);
    print(figure('small reads/s', reads));
    print(figure('durable changes/s', writes));
    const ratios = writes.map((rate, i) => rate / (reads[i] as number));
    print(verdict({ name: 'durable changes beside small reads', values: ratios, atLeast: 0.5 }));
  } finally {
    await load.close();
    await pool.close();
  }
};
