import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NextDatabase } from '../objects/replacing.ts';
import { openStateFile } from '../pool/state.ts';
import { firstEpochs } from '../store/epochs.ts';
import { lmdbDurable } from '../store/lmdb.ts';
import type { Machine } from './machine.ts';
import type { Paths } from './paths.ts';

// A database that the next start of this host begins with. It is written whole beside the one in use, and
// takes its place by renames, so that a kill at any moment leaves one of the two.

type Uses = Pick<Machine, 'disk' | 'clock'>;

const within = ({ next }: Paths) => ({ store: join(next, 'store'), pool: join(next, 'pool.json') });

/** Resolves once it is on disk. `epoch` is above any that this host has heard of. */
export const keepNext = async (
  { disk }: Uses,
  paths: Paths,
  { host, rows, generation }: NextDatabase,
  epoch: number,
): Promise<void> => {
  const { store, pool } = within(paths);
  await rm(paths.next, { recursive: true, force: true });
  await disk.makeFolder(paths.next, 0o700);
  await disk.makeFolder(store, 0o700);
  const durable = lmdbDurable(store, async () => (await disk.space(paths.data)).freeBytes);
  try {
    const position = { generation, generationMax: generation, horizon: generation, epochs: firstEpochs };
    await durable.write([{ puts: rows, deletes: [], tombstones: [], follows: false, ...position }]);
  } finally {
    await durable.close();
  }
  // It is there from here on.
  await (await openStateFile(disk, pool)).save({ host, role: 'coordinator', epoch, led: 0 });
};

/** Puts it in its place, if there is one. What was there before stays beside it. */
export const takeNext = async (
  { disk, clock }: Uses,
  paths: Paths,
  print: (line: string) => void,
): Promise<void> => {
  const { store, pool } = within(paths);
  if (await disk.exists(pool)) {
    await rm(paths.storeSeal, { force: true });
    if (await disk.exists(store)) {
      if (await disk.exists(join(paths.store, 'data.mdb'))) {
        const before = `${paths.store}.before-${clock.now()}`;
        await rename(paths.store, before);
        print(`The pool begins with another database; the one before is ${before}`);
      } else await rm(paths.store, { recursive: true, force: true });
      await rename(store, paths.store);
    }
    await rename(pool, paths.pool);
  }
  await rm(paths.next, { recursive: true, force: true });
};
