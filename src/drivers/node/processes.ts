import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { constants, readdirSync, readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { through } from '../../codec/through.ts';
import { type Finished, type Processes, ProcessFailure, type RunOptions } from '../processes.ts';

/** How long the output may stay open after a program's end or kill, held by something it left behind. */
const OUTPUT_OPEN_MS_MAX = 1_000;

/** What is kept of what a program says beside the bytes that it makes. */
const PIPE_WORDS_MAX = 4_096;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** The programs of this machine. */
export const nodeProcesses: Processes = {
  async run(file, args, options) {
    if (options.signal?.aborted) throw new ProcessFailure('aborted', `${file} was not started: aborted`);
    // A session of its own is also a process group of its own, which can be killed as a whole.
    const child = await started(file, options.cwd, () =>
      spawn(file, [...args], { ...place(options), detached: true, stdio: ['pipe', 'pipe', 'pipe'] }),
    );
    return finished(file, child, options);
  },

  async detach(file, args, options) {
    const log = await open(options.logFile, 'a', 0o600);
    const inherited: FileHandle[] = [];
    try {
      for (const { path, how } of options.inherited ?? []) inherited.push(await open(path, flagsOf[how]));
      const stdio = ['ignore', log.fd, log.fd, ...inherited.map(({ fd }) => fd)] as const;
      const child = await started(file, options.cwd, () =>
        spawn(file, [...args], { ...place(options), detached: true, stdio: [...stdio] }),
      );
      child.unref();
      return child.pid as number;
    } finally {
      for (const file of [log, ...inherited]) await file.close();
    }
  },

  async endStartedWith(marks) {
    const isMarked = (pid: number): boolean => environmentOf(pid).some((one) => marks.includes(one));
    const left = pidsNow().filter((pid) => pid !== process.pid && isMarked(pid));
    for (const pid of left) reaches(pid, 'SIGKILL');
    for (const pid of left) {
      for (let waits = 0; waits < KILL_WAITS_MAX && nodeProcesses.isAlive(pid); waits += 1) {
        await pause(KILL_WAIT_MS);
      }
    }
  },

  async *pipe(file, args, bytes, signal) {
    const child = await started(file, undefined, () =>
      spawn(file, [...args], { ...place({}), stdio: ['pipe', 'pipe', 'pipe'] }),
    );
    const said = gathered(child.stderr, PIPE_WORDS_MAX, () => {});
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const kill = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', kill, { once: true });
    if (signal.aborted) kill();
    try {
      yield* through(bytes, child.stdin, child.stdout);
      await closed;
      if (child.exitCode !== 0) throw new ProcessFailure('failed', `${file} failed: ${said().trim()}`);
    } finally {
      kill();
      signal.removeEventListener('abort', kill);
    }
  },

  isAlive(pid) {
    return isProcessId(pid) && reaches(pid, 0) && !isZombie(pid);
  },

  signal(pid, signal) {
    // 0, 1 and negative numbers mean this process's own group, init, and everything.
    if (!isProcessId(pid)) throw new RangeError(`${pid} is not the id of a process that can be signalled`);
    reaches(pid, signal);
  },
};

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_RDWR } = constants;
const flagsOf = {
  read: O_RDONLY | O_NOFOLLOW,
  write: O_RDWR | O_NOFOLLOW,
  folder: O_RDONLY | O_DIRECTORY,
} as const;

/** The environment is what is given, and PATH, without which few programs find others. */
const place = (
  options: Pick<RunOptions, 'env' | 'cwd' | 'user'>,
): { env: NodeJS.ProcessEnv; cwd?: string; uid?: number; gid?: number } => {
  const { PATH } = process.env;
  return {
    env: { ...(PATH === undefined ? {} : { PATH }), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...options.user,
  };
};

/** Node throws some failures of a start (too long a list of arguments) and reports others as events. */
const started = <C extends ChildProcess>(file: string, cwd: string | undefined, start: () => C): Promise<C> =>
  new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      const where = cwd === undefined ? '' : ` in ${cwd}`;
      const why = error instanceof Error ? error.message : String(error);
      reject(new ProcessFailure('not-started', `${file} could not be started${where}: ${why}`));
    };
    try {
      const child = start();
      child.once('spawn', () => resolve(child));
      child.on('error', fail);
    } catch (error) {
      fail(error);
    }
  });

const finished = (file: string, child: Child, options: RunOptions): Promise<Finished> =>
  new Promise((resolve, reject) => {
    let failure: ProcessFailure | undefined;
    let wait: NodeJS.Timeout | undefined;

    const kill = (reason: ProcessFailure['reason'], why: string): void => {
      if (failure) return;
      failure = new ProcessFailure(reason, `${file} was killed: ${why}`);
      reaches(-(child.pid as number), 'SIGKILL');
      waitForOutput();
    };
    // What a program leaves behind may hold its output open for ever; its own words are there by then.
    const waitForOutput = (): void => {
      wait ??= setTimeout(() => setImmediate(conclude), OUTPUT_OPEN_MS_MAX);
    };
    const conclude = (): void => {
      clearTimeout(deadline);
      clearTimeout(wait);
      options.signal?.removeEventListener('abort', abort);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      if (failure) reject(failure);
      else resolve({ code: child.exitCode, signal: child.signalCode, stdout: stdout(), stderr: stderr() });
    };

    const overflow = (): void => kill('output-limit', `its output is over ${options.outputMax} bytes`);
    const stdout = gathered(child.stdout, options.outputMax, overflow);
    const stderr = gathered(child.stderr, options.outputMax, overflow);
    const deadline = setTimeout(
      () => kill('timeout', `it did not end within ${options.timeoutMs} ms`),
      options.timeoutMs,
    );
    const abort = (): void => kill('aborted', 'its call was aborted');
    options.signal?.addEventListener('abort', abort, { once: true });
    child.once('exit', waitForOutput);
    child.once('close', conclude);

    // A program is free to end without reading what it was given (EPIPE).
    child.stdin.on('error', () => {});
    child.stdin.end(options.stdin ?? '');
    if (options.signal?.aborted) abort();
  });

/** Collects a stream up to a limit; the returned function gives its text. */
const gathered = (stream: Readable, bytesMax: number, overflow: () => void): (() => string) => {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > bytesMax) overflow();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
};

/** One that is stuck in the kernel does not end. */
const KILL_WAITS_MAX = 200;
const KILL_WAIT_MS = 5;

const pidsNow = (): readonly number[] => {
  try {
    return readdirSync('/proc').map(Number).filter(isProcessId);
  } catch {
    return [];
  }
};

/** As `NAME=value`. Empty for one that has ended, or that is somebody else's. */
const environmentOf = (pid: number): readonly string[] => {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
};

const isProcessId = (pid: number): boolean => Number.isSafeInteger(pid) && pid > 1;

/** Sends a signal and tells whether there was somebody to send it to. */
const reaches = (pid: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ESRCH') return false;
    // Of another user, but there.
    if (code === 'EPERM' && signal === 0) return true;
    throw error;
  }
};

/** A process that has ended and that its parent has not yet collected still takes signals. */
const isZombie = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    // No such file system, or gone in between: the signal's word stands.
    return false;
  }
};
