import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

// The product as a user has it: the built program in a process of its own, on loopback and free ports.

export interface Xenact {
  readonly http: string;
  readonly https: string;
  readonly data: string;
  readonly pid: number;
  /** What it printed up to and with the line that says ready. */
  readonly printed: readonly string[];
  /** Ends it with a signal and resolves once it is gone. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

export const password = 'correct horse';

export const program = join(process.cwd(), 'dist', 'src', 'main.js');

/** True when a program is on PATH; tests that need it say so and are skipped where it is not. */
export const has = (name: string): boolean => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;

export const newDataFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'xenact-e2e-'));

/**
 * Starts `xenact up` and resolves with its `ready` line; rejects with what it wrote to stderr when it ends before.
 * `via`: a command that becomes the program that it is given, such as one that enters a namespace.
 */
export const start = async (
  data: string,
  flags: readonly string[] = [],
  via: readonly string[] = [],
): Promise<Xenact> => {
  const [command = '', ...rest] = [...via, process.execPath];
  const child = spawn(
    command,
    [
      ...rest,
      program,
      'up',
      '--data',
      data,
      '--http-port',
      '0',
      '--https-port',
      '0',
      '--mesh-port',
      '0',
      '--root-password',
      password,
      ...flags,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const errors: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text));
  const printed: string[] = [];
  const lines = createInterface({ input: child.stdout });
  const ready = new Promise<readonly [string, string]>((resolve, reject) => {
    lines.on('line', (line) => {
      printed.push(line);
      const found = /^xenact ready: (\S+) (\S+) pool /.exec(line);
      if (found !== null) resolve([found[1] as string, found[2] as string]);
    });
    child.once('exit', (code) => reject(new Error(`xenact ended with ${code}: ${errors.join('')}`)));
  });
  const [http, https] = await ready;
  return { http, https, data, pid: child.pid as number, printed, end: (signal) => end(child, signal) };
};

const end = async (child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> => {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
  return child.exitCode;
};

/** Pids of live processes whose command line or folder mentions `text`: daemons and guests of one data folder. */
export const processesOf = (text: string): readonly number[] => {
  const named = spawnSync('pgrep', ['-f', '--', text], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter(Boolean)
    .map(Number);
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  const there = pids.filter((pid) => folderOf(pid)?.includes(text) === true);
  return [...new Set([...named, ...there])].filter((pid) => pid !== process.pid);
};

/** Where a process is; guests are in a folder of their own, which no argument of theirs names. */
const folderOf = (pid: number): string | undefined => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
};

/** Ends whatever still runs on the data folder, by pid, and removes it. */
export const clean = async (data: string): Promise<void> => {
  for (const pid of processesOf(data)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
};
