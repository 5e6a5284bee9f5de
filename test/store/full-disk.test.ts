// Goal: a data disk without room refuses changes, tears nothing and serves reads.
// Method: LMDB on a small tmpfs of its own, filled by a file; skipped where mounting is not allowed.
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { silentLog } from '../../src/std/log.ts';
import type { Durable } from '../../src/store/durable.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { openStore } from '../../src/store/store.ts';
import { classes } from './classes.ts';

let folder: string;
let mounted = false;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-full-'));
  mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]).status === 0;
});
afterAll(async () => {
  if (mounted) spawnSync('umount', [folder]);
  await rm(folder, { recursive: true, force: true });
});

const durable = (): Durable =>
  lmdbDurable(join(folder, 'store'), async () => (await nodeDisk.space(folder)).freeBytes);

test('a full disk refuses changes clearly, keeps every acknowledged one and serves reads', async (context) => {
  context.skip(!mounted, 'mounting a tmpfs needs root');
  let { store, replica }: any = openStore({ classes, durable: durable(), log: silentLog });
  const acknowledged: string[] = [];
  const fill = async (count: number): Promise<unknown> => {
    for (let i = 0; i < count; i++) {
      const ref = `s${acknowledged.length}`;
      try {
        await store.commit((tx: any) =>
          tx.create('shelf', ref, { uuid: ref, name_label: 'x'.repeat(20_000) }),
        );
      } catch (error) {
        return error;
      }
      acknowledged.push(ref);
    }
    return undefined;
  };
  await fill(5);
  await writeFile(join(folder, 'ballast'), Buffer.alloc(4 << 20)).catch(() => undefined);
  expect(await fill(500)).toMatchObject({ code: 'OUT_OF_SPACE' });
  expect(acknowledged.map((ref) => store.committed.get('shelf', ref)?.uuid)).toEqual(acknowledged);
  await rm(join(folder, 'ballast'));
  expect(await fill(3)).toBeUndefined();
  await replica.close();
  ({ store, replica } = openStore({ classes, durable: durable(), log: silentLog }));
  expect([...store.committed.all('shelf')].map(([ref]: [string]) => ref).sort()).toEqual(
    [...acknowledged].sort(),
  );
  await replica.close();
});
