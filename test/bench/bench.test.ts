// Goal: the benchmarks run, so that whoever wants figures gets them; the figures themselves are judged by people.
// Method: the program behind `npm run bench` with tiny numbers, one benchmark after the other.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';

const program = join(process.cwd(), 'dist', 'test', 'bench', 'main.js');

/** Asked of the program itself: its parts are programs too, which talk to whoever started them. */
const refused = spawnSync(process.execPath, [program, 'nothing'], { encoding: 'utf8' });
const names = /there are (.*)/.exec(refused.stderr)?.[1]?.split(', ') ?? [];

test.each(names)('%s runs to its end and finds nothing wrong', { timeout: 180_000 }, async (name) => {
  const child = spawn(process.execPath, ['--expose-gc', program, '--tiny', name], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(stderr).toBe('');
  expect(await ended).toEqual([0, null]);
  expect(stdout.trim().split('\n').length).toBeGreaterThan(2);
  expect(stdout).not.toMatch(/\bfailed\b/);
  for (const [, figures = ''] of stdout.matchAll(/^ *wrong\b.*?((?:\d+ \/ )*\d+)(?: of \d+)?$/gm))
    expect(figures).toMatch(/^(0 \/ )*0$/);
});

test('a name that is none is refused with those there are', () => {
  expect(refused.status).toBe(2);
  expect(names).toContain('vm-start');
});
