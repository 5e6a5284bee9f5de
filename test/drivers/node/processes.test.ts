// Goal: programs are run to their end within limits, killed with their children, or started to outlive us.
// Method: real programs of every Unix (sh, cat, sleep), with their process ids read back from their output.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';

const ordinary = { timeoutMs: 10_000, outputMax: 1_000_000 };
const sh = (script: string, options: Partial<Parameters<typeof nodeProcesses.run>[2]> = {}) =>
  nodeProcesses.run('sh', ['-c', script], { ...ordinary, ...options });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-processes-'));
});
afterAll(() => rm(folder, { recursive: true }));

const gone = (pid: number): Promise<void> =>
  vi.waitFor(() => {
    if (nodeProcesses.isAlive(pid)) throw new Error(`${pid} is alive`);
  });

test('the code and both outputs of a program are answered', async () => {
  expect(await sh('echo out; echo é >&2; exit 3')).toEqual({
    code: 3,
    signal: null,
    stdout: 'out\n',
    stderr: 'é\n',
  });
});

test('a program that dies of a signal is answered with the signal', async () => {
  expect(await sh('kill -TERM $$')).toMatchObject({ code: null, signal: 'SIGTERM' });
});

test('arguments never pass a shell', async () => {
  const args = ['$HOME', 'a b', '; echo pwned', '*'];
  expect((await nodeProcesses.run('printf', ['%s|', ...args], ordinary)).stdout).toBe(`${args.join('|')}|`);
});

test('an input larger than a pipe is written whole', async () => {
  const stdin = 'é'.repeat(300_000);
  const { stdout } = await nodeProcesses.run('cat', [], { ...ordinary, stdin });
  expect(stdout === stdin).toBe(true);
});

test('a program that ends without reading its input has not failed', async () => {
  const answer = await sh('exec 0<&-; exit 0', { stdin: 'x'.repeat(1_000_000) });
  expect(answer.code).toBe(0);
});

test('the environment is what was given and PATH', async () => {
  const { PATH } = process.env;
  const { stdout } = await nodeProcesses.run('env', [], { ...ordinary, env: { COLOUR: 'red' } });
  expect(stdout.trim().split('\n').sort()).toEqual(['COLOUR=red', `PATH=${PATH}`]);
  const own = await nodeProcesses.run('/usr/bin/env', [], { ...ordinary, env: { PATH: '/nowhere' } });
  expect(own.stdout).toBe('PATH=/nowhere\n');
});

test('the working folder is the one given', async () => {
  expect((await sh('pwd -P', { cwd: '/' })).stdout).toBe('/\n');
});

test('a program that is not there is not started, and so is one in a folder that is not there', async () => {
  const missing = nodeProcesses.run('/nowhere/at/all', [], ordinary);
  await expect(missing).rejects.toMatchObject({ reason: 'not-started', message: /\/nowhere\/at\/all/ });
  await expect(sh('true', { cwd: '/nowhere' })).rejects.toMatchObject({
    reason: 'not-started',
    message: expect.stringContaining('in /nowhere'),
  });
});

test('arguments too long for the system are a failure to start', async () => {
  const huge = nodeProcesses.run('true', ['x'.repeat(4_000_000)], ordinary);
  await expect(huge).rejects.toMatchObject({ reason: 'not-started' });
});

test('the time limit kills the program and its children', async () => {
  const pidFile = join(folder, 'children');
  const slow = sh(`sleep 60 & echo $! $$ > '${pidFile}'; wait`, { timeoutMs: 300 });
  await expect(slow).rejects.toMatchObject({ reason: 'timeout', message: expect.stringContaining('300 ms') });
  const pids = (await readFile(pidFile, 'utf8')).trim().split(' ').map(Number);
  expect(pids).toHaveLength(2);
  for (const pid of pids) await gone(pid);
});

test('endless output kills the program', async () => {
  await expect(sh('yes', { outputMax: 10_000 })).rejects.toMatchObject({ reason: 'output-limit' });
  await expect(sh('yes >&2', { outputMax: 10_000 })).rejects.toMatchObject({ reason: 'output-limit' });
});

test('output of exactly the limit is allowed', async () => {
  expect((await sh('printf 12345', { outputMax: 5 })).stdout).toBe('12345');
  await expect(sh('printf 123456', { outputMax: 5 })).rejects.toMatchObject({ reason: 'output-limit' });
});

test('an abort kills the program, also one that came before the start', async () => {
  const abort = new AbortController();
  const pidFile = join(folder, 'aborted');
  const running = sh(`echo $$ > '${pidFile}'; exec sleep 60`, { signal: abort.signal });
  const pid = await vi.waitFor(async () => {
    const text = await readFile(pidFile, 'utf8');
    if (text === '') throw new Error('not yet written');
    return Number(text);
  });
  abort.abort();
  await expect(running).rejects.toMatchObject({ reason: 'aborted' });
  await gone(pid);
  await expect(sh('true', { signal: abort.signal })).rejects.toMatchObject({ reason: 'aborted' });
});

test('a program that leaves a child with its output open has ended all the same', async () => {
  const { code, stdout } = await sh('sleep 60 & echo $!');
  expect(code).toBe(0);
  const left = Number(stdout);
  expect(nodeProcesses.isAlive(left)).toBe(true);
  nodeProcesses.signal(left, 'SIGKILL');
  await gone(left);
});

test('a detached program runs in a session of its own and appends to its log', async () => {
  const logFile = join(folder, 'daemon.log');
  const script = 'echo started; echo problem >&2; exec sleep 60';
  const first = await nodeProcesses.detach('sh', ['-c', script], { logFile, env: {} });
  try {
    await vi.waitFor(async () => expect(await readFile(logFile, 'utf8')).toBe('started\nproblem\n'));
    const { stdout } = await sh(`ps -o sid= -p ${first}`);
    expect(Number(stdout)).toBe(first);
    expect(nodeProcesses.isAlive(first)).toBe(true);
  } finally {
    nodeProcesses.signal(first, 'SIGTERM');
  }
  await gone(first);
  await nodeProcesses.detach('echo', ['again'], { logFile });
  await vi.waitFor(async () => expect(await readFile(logFile, 'utf8')).toBe('started\nproblem\nagain\n'));
});

test('a detached program that cannot be started is a failure', async () => {
  const missing = nodeProcesses.detach('/nowhere/at/all', [], { logFile: join(folder, 'none.log') });
  await expect(missing).rejects.toMatchObject({ reason: 'not-started' });
});

test('ids that mean more than one process are neither alive nor signalled', () => {
  for (const pid of [0, -1, 1, Number.NaN, 1.5]) {
    expect(nodeProcesses.isAlive(pid)).toBe(false);
    expect(() => nodeProcesses.signal(pid, 'SIGTERM')).toThrow(RangeError);
  }
});

test('a signal to a process that is gone does nothing', async () => {
  const { stdout } = await sh('echo $$');
  expect(nodeProcesses.isAlive(Number(stdout))).toBe(false);
  nodeProcesses.signal(Number(stdout), 'SIGTERM');
});

test('what has a mark in its environment is killed with what it became, and nothing else is', async () => {
  const mark = { MARK: folder };
  const [marked, other] = [join(folder, 'marked'), join(folder, 'other')];
  const waits = (file: string): string =>
    `echo $$ > '${file}.new' && mv '${file}.new' '${file}' && exec sleep 86398`;
  const killed = sh(waits(marked), { env: mark });
  const stopped = new AbortController();
  const lives = sh(waits(other), { env: { MARK: `${folder}/more` }, signal: stopped.signal });
  const pidIn = (file: string): Promise<number> =>
    vi.waitFor(async () => Number(await readFile(file, 'utf8')));
  const pids = [await pidIn(marked), await pidIn(other)] as const;
  await nodeProcesses.endStartedWith([`MARK=${folder}`]);
  expect(pids.map(nodeProcesses.isAlive)).toEqual([false, true]);
  expect(await killed).toMatchObject({ signal: 'SIGKILL' });
  stopped.abort();
  await expect(lives).rejects.toThrow('aborted');
});
