import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { figuresOf, looksAfter } from '../../src/rules/storage-rows.ts';

export interface MeasuringStorage {
  readonly invoker: Pick<Invoker, 'decide'>;
  readonly services: Pick<Services, 'host' | 'log' | 'storage' | 'store'>;
}

/**
 * Tells of each repository that this host looks after how much of it is in use: disks grow as guests write,
 * and others use the same storage. A repository that does not answer keeps its figures.
 */
export const measureStorage = async ({ invoker, services }: MeasuringStorage): Promise<void> => {
  const { host, log, storage, store } = services;
  for (const [sr, { uuid }] of [...store.latest.all('SR')]) {
    if (!looksAfter(store.latest, sr, host)) continue;
    try {
      const { physical_size, physical_utilisation } = figuresOf(
        await storage.statSr(uuid, { debugInfo: 'figures' }),
      );
      const row = store.latest.get('SR', sr);
      if (row === undefined) continue;
      if (row.physical_size === physical_size && row.physical_utilisation === physical_utilisation) continue;
      await invoker.decide('SR', sr, (tx) => {
        if (tx.get('SR', sr) !== undefined) tx.patch('SR', sr, { physical_size, physical_utilisation });
      });
    } catch (error) {
      log.debug({ error, sr }, 'A repository did not tell how much of it is in use');
    }
  }
};
