import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { TestProject } from 'vitest/node';

// Runs around all test files, whose temporary folders are in one of this run: whatever still runs there when they are
// over was left behind by one of them, and the run fails.

/** Programs end when their folders are gone or their parents are, which takes a while on a busy machine. */
const patienceMs = 30_000;

export default ({ config }: TestProject): (() => Promise<void>) => {
  const folder = config.env['TMPDIR'] as string;
  return async () => {
    const untilMs = Date.now() + patienceMs;
    while (processesIn(folder).length > 0 && Date.now() < untilMs) await pause(100);
    const left = processesIn(folder);
    for (const { pid } of left) process.kill(pid, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    if (left.length === 0) return;
    const named = left.map(({ pid, command }) => `  ${pid} ${command}`);
    throw new Error(`Tests left processes behind:\n${named.join('\n')}`);
  };
};

interface Left {
  readonly pid: number;
  readonly command: string;
}

/** Those whose arguments or working folder are in it. */
const processesIn = (folder: string): readonly Left[] =>
  readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
      const isThere = command.includes(folder) || readlinkSync(`/proc/${name}/cwd`).includes(folder);
      return isThere ? [{ pid: Number(name), command }] : [];
    } catch {
      // It ended meanwhile.
      return [];
    }
  });
