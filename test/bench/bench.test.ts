// Goal: the benchmarks run, so that whoever wants figures gets them; the figures themselves are judged by people.
// Method: the program behind `npm run bench` with tiny numbers, one benchmark after the other.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { benchmarks } from './benchmarks.ts';

const program = join(process.cwd(), 'dist', 'test', 'bench', 'main.js');

test.each(Object.keys(benchmarks))(
  '%s runs to its end and finds nothing wrong',
  { timeout: 180_000 },
  (name) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', program, '--tiny', name], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout.trim().split('\n').length).toBeGreaterThan(2);
    expect(stdout).not.toMatch(/\bfailed\b/);
    for (const [, figures = ''] of stdout.matchAll(/^ *wrong\b.*?((?:\d+ \/ )*\d+)(?: of \d+)?$/gm))
      expect(figures).toMatch(/^(0 \/ )*0$/);
  },
);

test('a name that is none is refused with those there are', () => {
  const { status, stderr } = spawnSync(process.execPath, [program, 'nothing'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([2, expect.stringContaining('vm-start')]);
});
