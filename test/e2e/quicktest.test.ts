// Goal: the scenarios that clients of any XenAPI server rely on pass against the product, and it is known which of them
// say nothing of it.
// Method: the built program of `npm run quicktest` as a process, against the built product with simulated guests, with
// real ones where that matters, and against a simulated pool whose guests act by themselves.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { clean, has, newDataFolder, password, program, start, type Xenact } from './xenact.ts';

// Each drives a whole server, which takes long on a machine that is busy with others.
vi.setConfig({ testTimeout: 240_000 });
const quicktest = join(process.cwd(), 'dist', 'test', 'quicktest', 'main.js');
const missing = ['qemu-system-x86_64', 'qemu-img'].filter((one) => !has(one));
const why = missing.length > 0 ? ` (${missing.join(', ')} not installed)` : '';

let xenact: Xenact | undefined;
let sim: ChildProcess | undefined;
afterEach(async () => {
  await xenact?.end('SIGKILL');
  if (xenact !== undefined) await clean(xenact.data);
  xenact = undefined;
  if (sim !== undefined && sim.exitCode === null) {
    const gone = once(sim, 'exit');
    sim.kill('SIGKILL');
    await gone;
  }
  sim = undefined;
});

interface Run {
  readonly code: number | null;
  readonly failed: readonly string[];
  /** Without their reasons. */
  readonly skipped: readonly string[];
  readonly passed: number;
}

const run = async (url: string, ...options: readonly string[]): Promise<Run> => {
  const env = { ...process.env, QUICKTEST_PASSWORD: password };
  const child = spawn(process.execPath, [quicktest, '--url', url, ...options], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close') as Promise<[number | null]>;
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) lines.push(line);
  const [code] = await ended;
  const of = (outcome: string): readonly string[] =>
    lines.filter((line) => line.startsWith(`${outcome.padEnd(8)}`)).map((line) => line.slice(8));
  return {
    code,
    failed: of('failed'),
    skipped: of('skipped').map((line) => line.split(':')[0] as string),
    passed: of('passed').length,
  };
};

const begun = async (hypervisor: 'sim' | 'qemu'): Promise<Xenact> => {
  const data = await newDataFolder();
  await mkdir(join(data, 'iso'), { recursive: true });
  await writeFile(join(data, 'iso', 'disc.iso'), Buffer.alloc(4096, 1));
  xenact = await start(data, ['--hypervisor', hypervisor]);
  return xenact;
};

/** What a simulated pool has nothing for: a library without discs, drivers without a feature, what is not built. */
const maySayNothing: readonly string[] = [
  'VM.revert with discs',
  'VDI.generate_config',
  'changed block tracking, its life',
  'changed block tracking and copies',
];

describe('the scenarios', () => {
  test('pass with simulated guests on real storage', async () => {
    const { http } = await begun('sim');
    const names = ['message', 'rate limits refuse', 'path', 'cookies', 'import to no', 'SR.probe'];
    const onHosts = ['disk in the host', 'life cycle', 'many VMs'];
    const { code, failed, skipped } = await run(http, '--only', [...names, ...onHosts].join());
    expect([failed, skipped, code]).toEqual([[], [], 0]);
  });

  test.skipIf(missing.length > 0)(`pass with real guests where those matter${why}`, async () => {
    const { http } = await begun('qemu');
    const { code, failed, skipped, passed } = await run(http, '--only', 'life cycle,VM.revert (');
    expect([failed, skipped, code]).toEqual([[], [], 0]);
    expect(passed).toBe(3);
  });

  test('pass in a simulated pool, and it is known which say nothing of it', async () => {
    const ports = ['--http-port', '0', '--https-port', '0', '--hosts', '2', '--vms', '4'];
    sim = spawn(process.execPath, [program, 'sim', ...ports, '--root-password', password], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let http = '';
    for await (const line of createInterface({ input: sim.stdout as NodeJS.ReadableStream })) {
      http = /^xenact ready: (\S+) /.exec(line)?.[1] ?? '';
      if (http !== '') break;
    }
    // One repository shows as much as all, and large disks and each pair of contents only take longer.
    const others = ['large', 'shared-2', 'Local storage', 'differences through'].join();
    const { code, failed, skipped, passed } = await run(http, '--guest-acts', '/sim/vms', '--except', others);
    expect([failed, code]).toEqual([[], 0]);
    const silent = skipped.map((name) => name.replace(/ \(.*/, ''));
    expect(silent.filter((name) => !maySayNothing.includes(name))).toEqual([]);
    expect(passed).toBeGreaterThan(45);
  });
});
