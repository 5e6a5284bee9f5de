// Goal: whatever happens together, a log in etcd keeps its promises, and bugs in it do not go unnoticed.
// Method: seeds of a simulated pool under many troubles; the same with one part made wrong on purpose.
import { describe, expect, test } from 'vitest';
import { bugs } from './bugs.ts';
import { liveThrough, Violation } from './seeds.ts';

const seeds = Number(process.env['XENACT_LOG_SEEDS'] ?? 40);
const seedsOfBugMax = 100;
/** Where the search for a rare one begins; it goes on from there, as each change of the product leads seeds other ways. */
const seedOfBug: Readonly<Record<string, number>> = {
  'commits compare nothing': 56,
  'a watch goes on after a revision that it missed': 34,
};

describe('a pool under many troubles', () => {
  test(`keeps its promises in ${seeds} lives`, async () => {
    const broken: string[] = [];
    for (let seed = 1; seed <= seeds; seed += 1) {
      await liveThrough(seed).catch((error: unknown) => broken.push(String(error)));
    }
    expect(broken).toEqual([]);
  }, 300_000);
});

describe('a deliberate bug is noticed', () => {
  test.each(Object.keys(bugs))(
    '%s',
    async (name) => {
      const from = seedOfBug[name] ?? 1;
      for (let seed = from; seed < from + seedsOfBugMax; seed += 1) {
        const noticed = await liveThrough(seed, bugs[name]).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (noticed === undefined) continue;
        expect(noticed).toBeInstanceOf(Violation);
        return;
      }
      expect.fail(`None of ${seedsOfBugMax} seeds from ${from} on notices it`);
    },
    120_000,
  );
});
