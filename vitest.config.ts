import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// A short name: sockets are in there.
const folder = mkdtempSync(join(tmpdir(), 'x-'));

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    env: { TMPDIR: folder },
    globalSetup: 'test/left-behind.ts',
    // Tests start real processes; on two cores they need patience rather than parallelism.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // They wait a third of their time, which one more worker uses.
    maxWorkers: 3,
    minWorkers: 1,
  },
});
