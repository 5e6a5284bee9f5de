// Goal: the program itself starts, says when it is ready, survives being killed with its guests, and ends
// cleanly when it is told to.
// Method: the built program, run as a process of its own.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { beforeEach, expect, test } from 'vitest';
import type { Hypervisor } from '../../../src/drivers/hypervisor/hypervisor.ts';
import {
  type Bench,
  connectClient,
  diskOf,
  type FakeStorage,
  metadataOf,
  promised,
  serveStorage,
  trigger,
  useBench,
  vmNamed,
  work,
} from './harness.ts';

const bench = useBench();
const root = fileURLToPath(new URL('../../../', import.meta.url));
const main = join(root, 'dist/src/daemons/xenopsd/main.js');
let storage: FakeStorage;
beforeEach(async () => {
  storage = await serveStorage(bench());
});

interface Program {
  readonly process: ChildProcess;
  /** Resolves with the first line of its log that has this message. */
  readonly says: (message: string) => Promise<void>;
  readonly ended: Promise<readonly unknown[]>;
}

const run = (bench: Bench, args: readonly string[]): Program => {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line);
    for (const look of [...waiting]) look();
  });
  bench.later(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  });
  const says = async (message: string): Promise<void> => {
    const { promise, resolve } = promised<void>();
    const look = (): void => {
      if (lines.some((line) => line.includes(message))) resolve();
    };
    waiting.add(look);
    look();
    await Promise.race([
      promise,
      ended.then(() => Promise.reject(new Error(`it ended: ${lines.join('\n')}`))),
    ]);
  };
  return { process: child, says, ended };
};

const simArguments = (bench: Bench): readonly string[] => [
  ...['--backend', 'sim', '--socket', bench.path('xenopsd'), '--state', bench.path('state')],
  ...['--storage-socket', bench.path('storage')],
];

test('it serves, is killed in the middle of a start, starts again and knows what it had', async () => {
  const first = run(bench(), simArguments(bench()));
  await first.says('"ready"');
  const client = connectClient(bench());
  for (const vm of ['a', 'b'])
    await client.importMetadata(metadataOf(vmNamed(vm), [diskOf(vm, 'hda')]), 'test');
  await client.start('a', false, work());
  await client.unpause('a', work());
  await trigger(bench(), 'set-delay', 'start', '60000');
  const building = promised<void>();
  const started = client.start(
    'b',
    false,
    work({ progress: (fraction) => fraction > 0 && building.resolve() }),
  );
  const failed = expect(started).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
  await building.promise;
  first.process.kill('SIGKILL');
  await failed;
  await first.ended;

  const second = run(bench(), simArguments(bench()));
  await second.says('"ready"');
  expect(await client.stat('a')).toMatchObject({ power_state: 'Running', domids: [1] });
  expect(await client.stat('b')).toMatchObject({ power_state: 'Halted' });
  await client.start('b', false, work());
  expect(await client.stat('b')).toMatchObject({ power_state: 'Paused', domids: [3] });
  expect(storage.calls).toContain('VDI.detach vbd/2/hda');

  second.process.kill('SIGTERM');
  expect(await second.ended).toEqual([0, null]);
  const third = run(bench(), simArguments(bench()));
  await third.says('"ready"');
  expect(await client.stat('a')).toMatchObject({ power_state: 'Running', domids: [1] });
  expect(await client.stat('b')).toMatchObject({ power_state: 'Paused', domids: [3] });
});

test('a guest whose daemon is killed in the middle of its migration runs on where it was, and can move afterwards', async () => {
  const sides = ['a', 'b'].map((name) => ({ name, path: (file: string) => bench().path(`${name}-${file}`) }));
  const argumentsOf = (name: string): readonly string[] => [
    ...[
      '--backend',
      'sim',
      '--socket',
      bench().path(`${name}-xenopsd`),
      '--state',
      bench().path(`${name}-state`),
    ],
    ...['--storage-socket', bench().path('storage')],
  ];
  const config = bench().path('sim.json');
  await writeFile(config, '{"delaysMs": {"send": 60000}}');
  const source = run(bench(), [...argumentsOf('a'), '--config', config]);
  const destination = run(bench(), argumentsOf('b'));
  await Promise.all([source.says('"ready"'), destination.says('"ready"')]);
  const [here, there] = sides.map(({ path }) => connectClient({ ...bench(), path })) as [
    Hypervisor,
    Hypervisor,
  ];
  const to = { url: `http+unix://${encodeURIComponent(bench().path('b-xenopsd'))}/` };
  await here.importMetadata(metadataOf(vmNamed('v'), [diskOf('v', 'hda')]), 'test');
  await here.start('v', false, work());
  await here.unpause('v', work());
  const moving = promised<void>();
  const moved = here.migrate('v', to, work({ progress: (fraction) => fraction > 0 && moving.resolve() }));
  const failed = expect(moved).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
  await moving.promise;
  source.process.kill('SIGKILL');
  await failed;
  await source.ended;

  await run(bench(), argumentsOf('a')).says('"ready"');
  expect(await here.stat('v')).toMatchObject({ power_state: 'Running' });
  expect(await there.stat('v')).toBeUndefined();
  await here.migrate('v', to, work());
  expect(await here.stat('v')).toBeUndefined();
  expect(await there.stat('v')).toMatchObject({ power_state: 'Running' });
});

const noQemu = spawnSync('qemu-system-x86_64', ['--version']).status !== 0;
test.skipIf(noQemu)('real guests outlive it and answer its successor (skipped without QEMU)', async () => {
  const qemuArguments = simArguments(bench()).map((each) => (each === 'sim' ? 'qemu' : each));
  const first = run(bench(), qemuArguments);
  await first.says('"ready"');
  const client = connectClient(bench());
  await client.importMetadata(metadataOf(vmNamed('a', { vcpus: 1, vcpu_max: 1 })), 'test');
  await client.start('a', false, work());
  await client.unpause('a', work());
  expect(await client.stat('a')).toMatchObject({ power_state: 'Running', domids: [1] });
  first.process.kill('SIGKILL');
  await first.ended;

  const second = run(bench(), qemuArguments);
  await second.says('"ready"');
  const state = await client.stat('a');
  expect(state).toMatchObject({ power_state: 'Running', domids: [1] });
  expect(state?.consoles.map(({ protocol }) => protocol)).toContain('Rfb');
  await client.pause('a', work());
  expect(await client.stat('a')).toMatchObject({ power_state: 'Paused' });
  await client.shutdown('a', undefined, work());
  expect(await client.stat('a')).toMatchObject({ power_state: 'Halted', domids: [] });
});

test('it says what is wrong with its arguments and its configuration', async () => {
  const nothing = run(bench(), []);
  await nothing.says('--storage-socket are needed');
  expect(await nothing.ended).toEqual([2, null]);
  await writeFile(bench().path('sim.json'), '{"delaysMs": {"strat": 1}}');
  const wrong = run(bench(), [...simArguments(bench()), '--config', bench().path('sim.json')]);
  await wrong.says('strat');
  expect(await wrong.ended).toEqual([2, null]);
});
