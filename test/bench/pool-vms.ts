import type { Struct } from '../../src/std/value.ts';
import { figure, inParallel, secondsOf } from './figures.ts';
import type { Client } from './pool.ts';
import { residentBytes } from './process-facts.ts';
import { sized } from './sizes.ts';
import type { Host, ThreeHosts } from './three-hosts.ts';

const vmsWanted = sized(3_000, 30);
const clientCount = sized(64, 4);
/** A slow machine does less: each stage takes up nothing more after its time. */
const stageSecondsMax = { make: 25, start: 45, move: 35, settle: 20, again: 20 } as const;

type Stage = keyof typeof stageSecondsMax;
type Rows = ReadonlyMap<string, Struct>;

/** A pool full of guests: all started, half of them moved, a host lost and its guests started elsewhere. */
export const poolVms = async (
  print: (line: string) => void,
  pool: ThreeHosts,
  newVm: (name: string) => Promise<string>,
): Promise<void> => {
  const { hosts } = pool;
  const [coordinator] = hosts;
  const clients = await Promise.all(Array.from({ length: clientCount }, () => coordinator.client()));
  print(`${vmsWanted} VMs on ${hosts.length} simulated hosts, ${clientCount} clients of the coordinator`);
  const stage = stagesOf(print, hosts, clients);
  const model = await newVm('model');
  const vms: string[] = [];
  await stage('make', 'cloned', Array.from({ length: vmsWanted }), async (client, _, i) => {
    vms.push((await client.call('VM.clone', model, `guest ${i}`)) as string);
  });
  await stage('start', 'started', vms, (client, vm) => client.call('VM.start', vm, false, false));
  await checked(print, hosts, vms, 'after the starts');
  await moved(stage, hosts, vms);
  await checked(print, hosts, vms, 'after the moves');
  await memory(print, hosts);
  await lost(print, pool, stage, vms);
};

/** Does something with each, as many at the same time as there are clients; prints what it took and cost. */
type Run = <T>(
  stage: Stage,
  done: string,
  items: readonly T[],
  one: (client: Client, item: T, i: number) => Promise<unknown>,
  hosts?: readonly Host[],
) => Promise<void>;

const stagesOf =
  (print: (line: string) => void, all: readonly Host[], clients: readonly Client[]): Run =>
  async (stage, done, items, one, hosts = all) => {
    const before = await traffic(hosts);
    const endMs = performance.now() + stageSecondsMax[stage] * 1_000;
    const failures: string[] = [];
    let count = 0;
    const seconds = await secondsOf(() =>
      inParallel(items.length, clients.length, async (i, worker) => {
        if (performance.now() > endMs) return;
        try {
          await one(clients[worker] as Client, items[i] as never, i);
          count += 1;
        } catch (error) {
          failures.push(String(error));
        }
      }),
    );
    const after = await traffic(hosts);
    const commits = after.generation - before.generation;
    const each = (sum: number): string => (sum / Math.max(1, count)).toFixed(1);
    const few = count + failures.length < items.length ? ` of ${items.length}, for its time was over,` : '';
    print(
      `  ${`${count}${few} ${done} in ${seconds.toFixed(1)} s`.padEnd(58)}${(count / seconds).toFixed(0)}/s`,
    );
    print(
      `    for each: ${each(commits)} commits, ${each(after.frames - before.frames)} frames, ` +
        `${(Number(each(after.bytes - before.bytes)) / 1024).toFixed(1)} KiB between hosts`,
    );
    if (failures.length > 0) print(`    ${failures.length} failed, such as: ${failures[0]?.slice(0, 300)}`);
  };

/** What hosts have sent each other, and how far the log is. */
const traffic = async (hosts: readonly Host[]) => {
  const seen = await Promise.all(hosts.map((host) => host.inspect()));
  const links = seen.flatMap((one) => one.links);
  return {
    frames: links.reduce((sum, { framesOut }) => sum + framesOut, 0),
    bytes: links.reduce((sum, { bytesOut }) => sum + bytesOut, 0),
    generation: seen[0]?.store.generation ?? 0,
  };
};

/** Of the guests of each host every second goes to the next one. */
const moved = async (stage: Run, hosts: readonly Host[], vms: readonly string[]): Promise<void> => {
  const [first] = hosts;
  const rows = await rowsOf(first as Host);
  const running = vms.filter((vm) => rows.get(vm)?.get('power_state') === 'Running');
  const placed = hosts.map(({ ref }) => running.filter((vm) => rows.get(vm)?.get('resident_on') === ref));
  const half = placed.flatMap((there) => there.filter((_, i) => i % 2 === 0));
  const options = new Map([['live', 'true']]);
  await stage('move', 'moved while they ran', half, (client, vm) => {
    const at = hosts.findIndex(({ ref }) => ref === rows.get(vm)?.get('resident_on'));
    const next = hosts[(at + 1) % hosts.length] as Host;
    return client.call('VM.pool_migrate', vm, next.ref, options);
  });
};

const lost = async (
  print: (line: string) => void,
  { hosts }: ThreeHosts,
  stage: Run,
  vms: readonly string[],
): Promise<void> => {
  const [coordinator, , last] = hosts;
  const left = hosts.filter((host) => host !== last);
  const before = await rowsOf(coordinator);
  const there = vms.filter((vm) => before.get(vm)?.get('resident_on') === last.ref);
  await last.kill();
  const client = await coordinator.client();
  const noticed = await secondsOf(() => untilDead(client, last.ref));
  print(figure(`${last.name} was killed with ${there.length} guests; noticed after`, [noticed], 1, ' s'));
  await stage(
    'settle',
    'host declared dead',
    [last],
    (one, { ref }) => one.call('host.declare_dead', ref),
    left,
  );
  await stage('again', 'started again', there, (one, vm) => one.call('VM.start', vm, false, false), left);
  await checked(print, left, vms, 'after the loss');
};

/** A host of which nothing is heard is said not to be live. */
const untilDead = async (client: Client, host: string): Promise<void> => {
  const metrics = (await client.call('host.get_metrics', host)) as string;
  let token = '';
  while (await client.call('host_metrics.get_live', metrics)) {
    const batch = (await client.call('event.from', [`host_metrics/${metrics}`], token, 10)) as Struct;
    token = batch.get('token') as string;
  }
};

const rowsOf = async (host: Host): Promise<Rows> =>
  (await (await host.client()).call('VM.get_all_records')) as Rows;

/** Every host must say the same of every guest: that it runs, on a host that is there. */
const checked = async (
  print: (line: string) => void,
  hosts: readonly Host[],
  vms: readonly string[],
  when: string,
): Promise<void> => {
  const seen = await Promise.all(hosts.map(rowsOf));
  const there = new Set<unknown>(hosts.map(({ ref }) => ref));
  const [first] = seen as [Rows];
  const at = (vm: string): unknown => first.get(vm)?.get('resident_on');
  const running = vms.filter((vm) => first.get(vm)?.get('power_state') === 'Running');
  const lost = running.filter((vm) => !there.has(at(vm)));
  const differing = vms.filter((vm) =>
    seen.some((rows) =>
      ['power_state', 'resident_on'].some((field) => rows.get(vm)?.get(field) !== first.get(vm)?.get(field)),
    ),
  );
  const busy = vms.filter((vm) => {
    const operations = first.get(vm)?.get('current_operations');
    return operations instanceof Map && operations.size > 0;
  });
  const places = hosts.map(({ ref }) => running.filter((vm) => at(vm) === ref).length);
  print(`  ${`${running.length} run ${when}, on each host`.padEnd(58)}${places.join(' / ')}`);
  print(
    `  ${'  wrong: on no host / not the same everywhere / left busy'.padEnd(58)}` +
      [lost, differing, busy].map(({ length }) => length).join(' / '),
  );
};

const memory = async (print: (line: string) => void, hosts: readonly Host[]): Promise<void> => {
  const mib = async (pid: number): Promise<string> => ((await residentBytes(pid)) / 2 ** 20).toFixed(0);
  for (const { name, pid, daemonPid } of hosts) {
    print(
      `  ${`memory of ${name} / of its xenopsd`.padEnd(58)}${await mib(pid)} / ${await mib(daemonPid)} MiB`,
    );
  }
};
