import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { classes } from '../../actors/index.ts';
import { compareResult, compareTarget, type Etcd } from '../../src/drivers/etcd.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { connectEtcd } from '../../src/drivers/node/etcd/etcd.ts';
import { etcdLog } from '../../src/log/etcd/etcd-log.ts';
import type { Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { noEtcd, openEtcd } from '../etcd-members.ts';
import { figure, inParallel, quantile, secondsOf, verdict } from './figures.ts';
import { sized } from './sizes.ts';

const rounds = sized(7, 2);
const oneByOne = sized(1_000, 20);
const offeredPerSecond = sized(500, 50);
const offeredSeconds = sized(20, 1);
const writers = sized(100, 10);
const commitsOfRound = sized(10_000, 100);

const pool = '11111111-2222-3333-4444-555555555555';
const flags = ['--max-txn-ops', '16384', '--max-request-bytes', '10485760'];

/** Commits whose log is in three members of etcd on this machine, beside bare transactions of the same size. */
export const etcd = async (print: (line: string) => void): Promise<void> => {
  if (noEtcd !== undefined) {
    print(`etcd: ${noEtcd}`);
    print('  nothing was measured');
    return;
  }
  const { members, close } = await openEtcd(3, flags);
  const endpoints = members.map(({ endpoint }) => endpoint);
  const client = connectEtcd({ endpoints });
  const host = await leadingHost(endpoints);
  try {
    await inParallel(writers, writers, (i) =>
      host.store.commit((tx) => tx.create('VM', vm(i), { uuid: String(i) })),
    );
    await alone(print, host.store, await bareOf(client));
    await offered(print, host.store);
  } finally {
    await host.close();
    client.close();
    await close();
  }
};

const vm = (i: number): Ref<'VM'> => `OpaqueRef:${i}` as Ref<'VM'>;

let changes = 0;
const change = (store: Store, i: number): Promise<void> => {
  changes += 1;
  const name_description = `change ${changes}`;
  return store.commit((tx) => tx.patch('VM', vm(i), { name_description }));
};

/** One after the other, so that a group is one commit; and as many as there are writers, which share groups. */
const alone = async (
  print: (line: string) => void,
  store: Store,
  bare: () => Promise<void>,
): Promise<void> => {
  const floor: number[] = [];
  const single: number[] = [];
  const shared: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const bareRate = oneByOne / (await secondsOf(() => inParallel(oneByOne, 1, bare)));
    const rate = oneByOne / (await secondsOf(() => inParallel(oneByOne, 1, () => change(store, 0))));
    const together = commitsOfRound / (await secondsOf(() => ofAllWriters(store)));
    // The first round is for the compiler.
    if (round < 0) continue;
    floor.push(bareRate);
    single.push(rate);
    shared.push(together);
  }
  print(`Commits through three members of etcd on this machine, ${rounds} rounds, median [least..most]`);
  print(figure('bare transactions of the same size, one after the other, /s', floor));
  print(figure('commits one after the other, /s', single));
  print(figure(`commits of ${writers} writers, /s`, shared));
  const ratios = single.map((rate, i) => rate / (floor[i] as number));
  print(verdict({ name: 'commits beside bare transactions', values: ratios, atLeast: 0.7 }));
};

const ofAllWriters = (store: Store): Promise<void> =>
  inParallel(commitsOfRound, writers, (_, worker) => change(store, worker));

/** At a steady rate, whatever the answers take. */
const offered = async (print: (line: string) => void, store: Store): Promise<void> => {
  const tookMs: number[] = [];
  const count = offeredPerSecond * offeredSeconds;
  const beganMs = performance.now();
  const asked: Promise<void>[] = [];
  for (let i = 0; i < count; i++) {
    const waitMs = beganMs + (i * 1_000) / offeredPerSecond - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const askedMs = performance.now();
    asked.push(change(store, i % writers).then(() => void tookMs.push(performance.now() - askedMs)));
  }
  await Promise.all(asked);
  print(`Offered ${offeredPerSecond} commits/s for ${offeredSeconds} s`);
  print(figure('median, ms', [quantile(tookMs, 0.5)], 1));
  print(verdict({ name: 'p99', values: [quantile(tookMs, 0.99)], digits: 1, unit: ' ms', atMost: 50 }));
};

/** What the log asks of the cluster for one commit, without anything around it. */
const bareOf = async (client: Etcd): Promise<() => Promise<void>> => {
  const bytes = (text: string): Uint8Array => Buffer.from(text);
  const prefix = `/xenact/${pool}/o/VM/`;
  const rows = await client.range({ key: bytes(prefix), rangeEnd: bytes(`/xenact/${pool}/o/VM0`), limit: 1 });
  const newest = await client.range({ key: bytes(`/xenact/${pool}/gen`) });
  const row = Buffer.alloc(rows.kvs[0]?.value.length ?? 0, 1);
  const mark = Buffer.alloc(newest.kvs[0]?.value.length ?? 0, 1);
  if (row.length === 0 || mark.length === 0) throw new Error('The log has no row to be compared with');
  const [token, generation, key] = [bytes('/bare/token'), bytes('/bare/generation'), bytes('/bare/row')];
  const begun = await client.txn({
    compare: [],
    success: [{ put: { key: token, value: mark } }, { put: { key: generation, value: mark } }],
    failure: [],
  });
  let revision = begun.header.revision;
  const createRevision = (await client.range({ key: token })).kvs[0]?.createRevision ?? 0;
  return async () => {
    const answer = await client.txn({
      compare: [
        { key: token, result: compareResult.equal, target: compareTarget.create, createRevision },
        {
          key: generation,
          result: compareResult.equal,
          target: compareTarget.mod,
          modRevision: revision,
        },
      ],
      success: [{ put: { key, value: row } }, { put: { key: generation, value: mark } }],
      failure: [],
    });
    if (!answer.succeeded) throw new Error('A bare transaction was refused');
    revision = answer.header.revision;
  };
};

/** A host that leads a pool whose log is there, with its database on this disk. */
const leadingHost = async (endpoints: readonly string[]) => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-etcd-'));
  const { store, replica } = openStore({ classes, durable: lmdbDurable(folder), log: silentLog });
  const log = etcdLog({
    ...{ etcd: connectEtcd({ endpoints }), replica, pool, host: 'first' as Ref<'host'> },
    ...{ incarnation: 'first', clock: nodeClock, journal: silentLog },
    mayBegin: () => true,
    mayLead: () => true,
    epoch: () => replica.epoch,
    onCluster: async () => {},
    limits: { leaseSeconds: 5 },
  });
  await new Promise<void>((resolve, reject) => {
    log.leadership((now) => {
      if (now.kind === 'here') replica.lead(now.epoch, log).then(() => resolve(), reject);
    });
  });
  return {
    store,
    close: async () => {
      await log.close();
      await replica.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
