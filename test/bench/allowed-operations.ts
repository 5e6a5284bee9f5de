import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { deriveInPlace } from '../../src/objects/derive-all.ts';
import { silentLog } from '../../src/std/log.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { openStore } from '../../src/store/store.ts';
import { figure, secondsOf, verdict } from './figures.ts';
import { seedPool } from './seed.ts';
import { sized } from './sizes.ts';

const diskCount = sized(15_000, 40);
const rounds = sized(5, 1);

/** What a restart derives of many disks in drives, all of them in one repository. */
export const allowedOperations = async (print: (line: string) => void): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-disks-'));
  try {
    await seedPool(folder, diskCount / 2, diskCount);
    const reading: number[] = [];
    const deriving: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const catalog = catalogOf(classes, behaviours);
      const durable = lmdbDurable(join(folder, 'store'));
      let opened: ReturnType<typeof openStore> | undefined;
      reading.push(
        await secondsOf(async () => {
          opened = openStore({ classes, durable, log: silentLog });
        }),
      );
      const { store, replica } = opened as ReturnType<typeof openStore>;
      deriving.push(await secondsOf(async () => deriveInPlace({ catalog, store })));
      await replica.close();
    }
    print(`${diskCount} VDIs of one SR in as many VBDs, ${rounds} restarts`);
    print(figure('reading all rows', reading, 2, ' s'));
    print(verdict({ name: 'every allowed_operations', values: deriving, unit: ' s', atMost: 5 }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
