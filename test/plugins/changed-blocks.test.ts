// Goal: which blocks of a tracked disk have changed between two of its snapshots is told whatever was written,
// grown, destroyed or left without its data meanwhile: never a block too few, and none too many where images are
// in layers. Where it cannot be known it is refused.
// Method: the plugin in this process on real images, random histories against a model, all pairs compared.

import { execFileSync } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeFileLocks } from '../../src/drivers/node/file-locks.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { blocksOf, markRuns, runsOf } from '../../src/plugins/file/blocks.ts';
import { filePlugin } from '../../src/plugins/file/plugin.ts';
import { hasQemu } from '../qemu-img.ts';

vi.setConfig({ testTimeout: 120_000 });

const BLOCK = 64 * 1024;
const BLOCKS = 40;
const formats = hasQemu ? (['raw', 'qcow2'] as const) : (['raw'] as const);
const plugin = filePlugin({
  disk: nodeDisk,
  processes: nodeProcesses,
  random: nodeRandom,
  locks: nodeFileLocks,
  host: 'a0',
});

interface Described {
  readonly key: string;
  readonly virtual_size: number;
  readonly uri: readonly string[];
  readonly keys: Readonly<Record<string, string>>;
  readonly cbt_enabled: boolean;
}

let all: string;
let sr: string;
beforeEach(async () => {
  all = await mkdtemp(join(tmpdir(), 'changed-'));
});
afterEach(() => rm(all, { recursive: true, force: true }));

const ask = <T>(method: string, args: object): Promise<T> => plugin[method]!({ sr, ...args }) as Promise<T>;
const stat = (key: string): Promise<Described> => ask('Volume.stat', { key });
const create = async (format: string): Promise<string> => {
  sr = await mkdtemp(join(all, 'sr-'));
  const about = { uuid: '5d1c7a34-0000-4000-8000-00000000000a', name: '', description: '' };
  await ask('SR.create', { ...about, configuration: { location: sr, format } });
  const disk = { name: '', description: '', size: BLOCKS * BLOCK, sharable: false, type: 'user' };
  const { key } = await ask<Described>('Volume.create', disk);
  await ask('Volume.enable_cbt', { key });
  return key;
};

const write = async (key: string, block: number, byte: number): Promise<void> => {
  const [, format = '', url = ''] = /^(\w+)\+(.*)$/.exec((await stat(key)).uri[0] ?? '') ?? [];
  const path = fileURLToPath(url);
  if (format === 'qcow2') {
    execFileSync('qemu-io', ['-f', format, '-c', `write -P ${byte} ${block * BLOCK + 512} 1k`, path]);
    return;
  }
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(1024, byte), 0, 1024, block * BLOCK + 512).finally(() => file.close());
};

/** Numbers of the blocks that are told to have changed. */
const changed = async (key: string, key2: string): Promise<readonly number[]> => {
  const length = (await stat(key2)).virtual_size;
  const args = { key, key2, offset: 0, length };
  const { bitmap, granularity } = await ask<{ bitmap: string; granularity: number }>(
    'Volume.list_changed_blocks',
    args,
  );
  expect(granularity).toBe(BLOCK);
  const bits = Buffer.from(bitmap, 'base64');
  expect(bits.length).toBe(Math.ceil(length / BLOCK / 8));
  return [...Array(bits.length * 8).keys()].filter((n) => ((bits[n >> 3] ?? 0) & (0x80 >> (n & 7))) !== 0);
};

describe.each(formats)('changed blocks of %s images', (format) => {
  const step = fc.record({
    do: fc.constantFrom(
      ...['write', 'write', 'write', 'snapshot', 'snapshot', 'drop', 'destroy', 'grow', 'collapse'],
    ),
    which: fc.nat(),
    block: fc.nat(BLOCKS - 1),
    byte: fc.integer({ min: 1, max: 255 }),
  });

  it('are all there between every two snapshots, in whatever order they were made and lost', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 16 }), async (steps) => {
        const disk = await create(format);
        let now: readonly number[] = Array(BLOCKS).fill(0);
        const snapshots: { key: string; blocks: readonly number[]; hasData: boolean }[] = [];
        for (const { do: what, which, block, byte } of [
          ...steps,
          { do: 'snapshot', which: 0, block: 0, byte: 1 },
        ]) {
          const one = snapshots[which % Math.max(1, snapshots.length)];
          if (what === 'write') {
            await write(disk, block, byte);
            now = now.with(block, byte);
          } else if (what === 'collapse') {
            await ask('SR.collapse', {});
          } else if (what === 'grow') {
            now = [...now, 0];
            await ask('Volume.resize', { key: disk, new_size: now.length * BLOCK });
          } else if (what === 'snapshot') {
            const { key, cbt_enabled } = await ask<Described>('Volume.snapshot', { key: disk });
            expect(cbt_enabled).toBe(true);
            snapshots.push({ key, blocks: now, hasData: true });
          } else if (what === 'drop' && one !== undefined) {
            await ask('Volume.data_destroy', { key: one.key });
            one.hasData = false;
          } else if (what === 'destroy' && one !== undefined) {
            await ask('Volume.destroy', { key: one.key });
            snapshots.splice(snapshots.indexOf(one), 1);
          }
        }
        for (const from of snapshots) {
          for (const to of snapshots) {
            const really = to.blocks.map((_, n) => n).filter((n) => from.blocks[n] !== to.blocks[n]);
            const told = await changed(from.key, to.key);
            expect(told).toEqual(expect.arrayContaining(really));
            // Without its data a raw image has nothing that it could be compared by.
            if (from === to) expect(told).toEqual([]);
            if (format === 'raw' && from.hasData && to.hasData) expect(told).toEqual(really);
          }
        }
        for (const { key } of [...snapshots, { key: disk }]) await ask('Volume.destroy', { key });
        await ask('SR.destroy', {});
      }),
      { numRuns: 5, interruptAfterTimeLimit: 30_000 },
    );
  });

  it('stay known of a snapshot whose data are gone, which takes no room any more', async () => {
    const disk = await create(format);
    await write(disk, 3, 1);
    const { key: first } = await ask<Described>('Volume.snapshot', { key: disk });
    await write(disk, 7, 2);
    await write(disk, 8, 2);
    const { key: second } = await ask<Described>('Volume.snapshot', { key: disk });
    expect(await changed(first, second)).toEqual([7, 8]);
    await ask('Volume.data_destroy', { key: first });
    await ask('Volume.data_destroy', { key: first });
    expect(await stat(first)).toMatchObject({
      ...{ virtual_size: BLOCKS * BLOCK, physical_utilisation: 0, cbt_enabled: true },
      keys: { 'vdi-type': 'cbt_metadata' },
    });
    const told = await changed(first, second);
    expect(told).toEqual(format === 'qcow2' ? [7, 8] : [...Array(BLOCKS).keys()]);
    await ask('Volume.data_destroy', { key: second });
    expect(await changed(first, second)).toEqual(expect.arrayContaining([7, 8]));
  });

  it('are not told of disks that are not tracked, nor of a copy of one that is', async () => {
    const disk = await create(format);
    const { key: tracked } = await ask<Described>('Volume.snapshot', { key: disk });
    const { key: clone, cbt_enabled } = await ask<Described>('Volume.clone', { key: disk });
    expect(cbt_enabled).toBe(false);
    await expect(changed(tracked, clone)).rejects.toThrow(/not tracked/);
    await ask('Volume.disable_cbt', { key: disk });
    await expect(changed(tracked, disk)).rejects.toThrow(/not tracked/);
  });
});

describe.skipIf(!hasQemu)('layers (skipped where qemu-img is not installed)', () => {
  it('that went with the disk leave an error, not an answer', async () => {
    const disk = await create('qcow2');
    await write(disk, 1, 1);
    const { key: first } = await ask<Described>('Volume.snapshot', { key: disk });
    const { key: other } = await ask<Described>('Volume.create', {
      ...{ name: '', description: '', size: BLOCK, sharable: false },
    });
    await ask('Volume.enable_cbt', { key: other });
    await ask('Volume.data_destroy', { key: first });
    await ask('Volume.destroy', { key: disk });
    await expect(changed(first, other)).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE_460' });
  });
});

it('more pieces than a note may have are kept coarsely, and every one is in there still', () => {
  const blocks = blocksOf(40_000 * BLOCK);
  for (let n = 0; n < 9_000; n += 1) blocks.mark(n * 3 * BLOCK, n * 3 * BLOCK + 1);
  const runs = runsOf(blocks);
  expect(runs.length).toBeLessThanOrEqual(8_192);
  const again = blocksOf(40_000 * BLOCK);
  markRuns(again, runs);
  for (let n = 0; n < 9_000; n += 1) expect(again.has(n * 3)).toBe(true);
  expect(again.has(39_000)).toBe(false);
});
