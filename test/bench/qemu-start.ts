import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { sleep } from '../../src/std/clock.ts';
import { figure, secondsOf, verdict } from './figures.ts';
import { type Client, openPool, type Pool } from './pool.ts';
import { sized } from './sizes.ts';
import { createVms } from './vms.ts';

const rounds = sized(9, 1);
const emulator = 'qemu-system-x86_64';
const memoryBytes = 64n << 20n;
const pollMs = 5;

/** Starts of a guest by the toolstack, beside the same command of the emulator by hand, in turns. */
export const qemuStart = async (print: (line: string) => void): Promise<void> => {
  print(`VM.start under QEMU beside the same command by hand, ${rounds} rounds`);
  if (spawnSync(emulator, ['--version']).status !== 0) {
    print(`  ${emulator} is not installed`);
    print('  nothing was measured');
    return;
  }
  const pool = await openPool(undefined, ['--hypervisor', 'qemu']);
  try {
    const client = await pool.client();
    const [vm] = (await createVms([client], 1)) as [string];
    const range = Array.from({ length: 4 }, () => memoryBytes);
    await client.call('VM.set_memory_limits', vm, ...range);
    const [started, byHand] = [[] as number[], [] as number[]];
    for (let round = 0; round < rounds; round++) {
      const { seconds, command } = await startOnce(pool, client, vm);
      started.push(1_000 * seconds);
      byHand.push(1_000 * (await handSeconds(command)));
    }
    print(figure('VM.start until it is answered', started, 0, ' ms'));
    print(figure('the same command until the guest runs', byHand, 0, ' ms'));
    const added = started.map((ms, round) => ms - (byHand[round] as number));
    print(verdict({ name: 'what the toolstack adds', values: added, digits: 0, unit: ' ms', atMost: 150 }));
  } finally {
    await pool.close();
  }
};

const startOnce = async (
  { data }: Pool,
  client: Client,
  vm: string,
): Promise<{ readonly seconds: number; readonly command: readonly string[] }> => {
  const seconds = await secondsOf(() => client.call('VM.start', vm, false, false));
  const command = await commandIn(data);
  await client.call('VM.hard_shutdown', vm);
  return { seconds, command };
};

/** Of the emulator that runs in a folder below this one. */
const commandIn = async (folder: string): Promise<readonly string[]> => {
  for (const pid of await readdir('/proc')) {
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (!cwd.startsWith(`${folder}/`)) continue;
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0').slice(0, -1);
    if (words[0]?.endsWith(emulator) === true) return words;
  }
  throw new Error(`No ${emulator} runs in ${folder}`);
};

/** Until the emulator has answered that the guest runs. Its sockets are in the folder that it starts in. */
const handSeconds = async ([program, ...args]: readonly string[]): Promise<number> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-qemu-'));
  const startMs = performance.now();
  const child = spawn(program as string, args, { cwd: folder, stdio: 'ignore' });
  const ended = once(child, 'exit');
  try {
    await letRun(join(folder, 'qmp.sock'), () => child.exitCode === null);
    return (performance.now() - startMs) / 1_000;
  } finally {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
};

const letRun = async (path: string, alive: () => boolean): Promise<void> => {
  const socket = await connected(path, alive);
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  try {
    await lines.next();
    for (const execute of ['qmp_capabilities', 'cont']) {
      socket.write(`${JSON.stringify({ execute })}\n`);
      for (let line = await lines.next(); !String(line.value).includes('"return"'); line = await lines.next())
        if (line.done === true) throw new Error(`${emulator} ended before ${execute}`);
    }
  } finally {
    socket.destroy();
  }
};

const connected = async (path: string, alive: () => boolean) => {
  for (;;) {
    const socket = createConnection(path);
    const came = await once(socket, 'connect').catch(() => undefined);
    if (came !== undefined) return socket;
    socket.destroy();
    if (!alive()) throw new Error(`${emulator} does not start by hand`);
    await sleep(nodeClock, pollMs);
  }
};
