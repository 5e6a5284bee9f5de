import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// A short name: sockets are in there.
const folder = mkdtempSync(join(tmpdir(), 'x-'));

/** Those that take longest, as `npm test` says at its end. Begun late, one of them would keep all others waiting. */
const longest = [
  ...['bench/bench', 'e2e/linux-guest', 'engine/cluster', 'simulation/pool', 'conformance/conformance'],
  ...['e2e/live-disks', 'e2e/pool-kill', 'e2e/damaged-folder', 'e2e/pool-partition', 'extending'],
].map((name) => `/test/${name}.test.ts`);

/** Without figures of an earlier run others go by size, which says nothing of those. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = longest.findIndex((name) => moduleId.endsWith(name));
      return at < 0 ? longest.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

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
    sequence: { sequencer: LongestFirst },
    minWorkers: 1,
  },
});
