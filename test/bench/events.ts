import { jsonString } from '../../src/codec/jsonrpc-writer.ts';
import type { Bare } from './bare.ts';
import { type Child, startChild } from './child.ts';
import { figure, verdict } from './figures.ts';
import type { Load, Target } from './load.ts';
import type { Pool } from './pool.ts';
import { type Client, openPool } from './pool.ts';
import { sized } from './sizes.ts';
import { posting } from './wire.ts';

const waiterCount = sized(1_000, 20);
const idleCount = sized(10_000, 50);
const stormChanges = sized(10_000, 200);
const stormClients = sized(100, 5);
const rounds = sized(7, 2);
const MiB = 2 ** 20;

interface Scene {
  readonly print: (line: string) => void;
  readonly pool: Pool;
  readonly load: Child<Load>;
  readonly client: Client;
  readonly vms: readonly string[];
  to(method: string, ...params: readonly (string | number | readonly string[])[]): Target;
}

/** Who waits for changes: how soon many hear of one, what idle ones cost, and that no change of a storm is lost. */
export const events = async (print: (line: string) => void): Promise<void> => {
  const pool = await openPool();
  const load = startChild<Load>('load');
  try {
    const client = await pool.client();
    const vms = (await client.call('VM.get_all')) as string[];
    const to: Scene['to'] = (method, ...params) => ({
      port: pool.port,
      request: posting('/jsonrpc', jsonCall(method, [client.session, ...params])),
    });
    const scene: Scene = { print, pool, load, client, vms, to };
    await waiters(scene);
    await idleConnections(scene);
    await storm(scene);
  } finally {
    await load.close();
    await pool.close();
  }
};

const jsonCall = (method: string, params: readonly (string | number | readonly string[])[]): string =>
  `{"jsonrpc":"2.0","method":${jsonString(method)},"params":${JSON.stringify(params)},"id":1}`;

const tokenOf = async ({ load, to }: Scene): Promise<string> =>
  JSON.parse(await load.ask('text', { target: to('event.from', ['pool'], '', 0.01) })).result.token;

const waiters = async (scene: Scene): Promise<void> => {
  const { print, load, to, vms } = scene;
  const change = (n: number): Target => to('VM.set_name_description', vms[0] as string, `seen ${n}`);
  const settled = to('VM.get_power_state', vms[0] as string);
  const p99: number[] = [];
  const p50: number[] = [];
  const fewest: number[] = [];
  const bareP99: number[] = [];
  const bare = startChild<Bare>('bare');
  let held: Awaited<ReturnType<typeof bareScene>> | undefined;
  for (let round = -2; round < rounds; round++) {
    const target = to('event.from', ['vm'], await tokenOf(scene), 60);
    const seen = await load.ask('waiters', { target, count: waiterCount, change: change(round), settled });
    held ??= await bareScene(bare, seen.leastBytes);
    const same = await load.ask('waiters', { ...held, count: waiterCount });
    if (round < 0) continue;
    bareP99.push(same.p99Ms);
    p50.push(seen.p50Ms);
    p99.push(seen.p99Ms);
    fewest.push(seen.leastBytes);
  }
  print(`event.from, ${waiterCount} clients wait for one change, ${rounds} rounds, median [least..most]`);
  print(figure('from the change until a client has it, p50', p50, 0, ' ms'));
  print(
    verdict({
      name: 'from the change until a client has it, p99',
      values: p99,
      digits: 0,
      unit: ' ms',
      atMost: 50,
    }),
  );
  print(figure('bare node:http that answers as many, as many bytes, p99', bareP99, 0, ' ms'));
  const ratios = p99.map((ms, i) => ms / (bareP99[i] as number));
  print(figure('p99 beside bare', ratios, 2));
  print(figure('bytes of the shortest answer', fewest));
  await bare.close();
};

/** The same clients with a server that does nothing but answer: what is left is what they and the system cost. */
const bareScene = async (bare: Child<Bare>, bytes: number) => {
  const port = await bare.ask('hold', { bytes });
  const to = (path: string): Target => ({ port, request: posting(path, 'x'.repeat(200)) });
  return { target: to('/'), change: to('/change'), settled: to('/settled') };
};

const idleConnections = async ({ print, pool, load, to, vms }: Scene): Promise<void> => {
  const target = to('VM.get_power_state', vms[0] as string);
  await load.ask('hangUp', null);
  await load.ask('slice', { target, connections: 32, ms: sized(500, 50) });
  const before = await pool.residentBytes();
  await load.ask('idle', { target, count: idleCount });
  const grown = (await pool.residentBytes()) - before;
  await load.ask('hangUp', null);
  print(`${idleCount} connections that are kept alive after a call each`);
  print(
    verdict({ name: 'memory that they add', values: [grown / MiB], digits: 0, unit: ' MiB', atMost: 300 }),
  );
};

const storm = async (scene: Scene): Promise<void> => {
  const { print, pool, load, to, vms } = scene;
  let token = await tokenOf(scene);
  const last = new Map<string, string>();
  const requests = Array.from({ length: stormChanges }, (_, n) => {
    const vm = vms[n % vms.length] as string;
    return to('VM.set_name_description', vm, `storm ${n}`).request;
  });
  const before = await pool.residentBytes();
  let over = false;
  // The client has a process of its own to follow with, so that reading is not what limits it.
  const follower = startChild<Load>('load');
  const sent = load.ask('all', { port: pool.port, requests, connections: stormClients }).finally(() => {
    over = true;
  });
  let answers = 0;
  let most = before;
  for (let quiet = false; !quiet; ) {
    const wasOver = over;
    const text = await follower.ask('text', { target: to('event.from', ['vm'], token, 1) });
    const { events: told, token: next } = JSON.parse(text).result;
    token = next;
    for (const { ref, snapshot } of told) last.set(ref, snapshot.name_description);
    answers += 1;
    most = Math.max(most, await pool.residentBytes());
    quiet = wasOver && told.length === 0;
  }
  const seconds = await sent;
  await follower.close();
  const lost = await lostOf(scene, last);
  print(`${stormChanges} changes by ${stormClients} clients, one client follows`);
  print(figure('changes/s', [stormChanges / seconds]));
  print(
    verdict({ name: 'changes for each answer', values: [stormChanges / answers], digits: 0, atLeast: 10 }),
  );
  print(verdict({ name: 'VMs whose last change was not told', values: [lost], digits: 0, atMost: 0 }));
  print(
    verdict({
      name: 'memory at its most, over what it was',
      values: [(most - before) / MiB],
      digits: 0,
      unit: ' MiB',
      atMost: 200,
    }),
  );
};

/** VMs of which the follower does not know what the pool knows. */
const lostOf = async ({ client, vms }: Scene, last: ReadonlyMap<string, string>): Promise<number> => {
  const wrong = await Promise.all(
    vms.map(async (vm) => last.get(vm) !== (await client.call('VM.get_name_description', vm))),
  );
  return wrong.filter(Boolean).length;
};
