import type { Ref } from '../../src/model/types.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { figuresOf, looksAfter } from '../../src/rules/storage-rows.ts';
import { chainCollapser } from './collapse.ts';

export interface WatchingStorage {
  readonly invoker: Pick<Invoker, 'call' | 'decide'>;
  readonly services: Services;
}

/** In `other_config` of a repository, `true`: what others put into it is looked for from time to time. */
export const autoScanKey = 'auto-scan';

export interface RepositoryWatch {
  /** Resolves once all that it began with have answered. One that hangs is left alone until then. */
  look(): Promise<void>;
}

/**
 * Looks at the repositories that this host looks after, each by itself: how much of it is in use, as disks
 * grow while guests write and others use the same storage, or all that is in it where it is to be scanned.
 * One that does not answer keeps its figures. Then chains of images are made shorter in it.
 */
export const repositoryWatch = ({ invoker, services }: WatchingStorage): RepositoryWatch => {
  const { host, log, storage, store } = services;
  const chains = chainCollapser(services);
  const underway = new Set<Ref<'SR'>>();

  const measure = async (sr: Ref<'SR'>, uuid: string): Promise<void> => {
    const { physical_size, physical_utilisation } = figuresOf(
      await storage.statSr(uuid, { debugInfo: 'figures' }),
    );
    const row = store.latest.get('SR', sr);
    if (row === undefined) return;
    if (row.physical_size === physical_size && row.physical_utilisation === physical_utilisation) return;
    await invoker.decide('SR', sr, (tx) => {
      if (tx.get('SR', sr) !== undefined) tx.patch('SR', sr, { physical_size, physical_utilisation });
    });
  };
  const lookAt = async (sr: Ref<'SR'>): Promise<void> => {
    const { uuid, other_config } = store.latest.require('SR', sr);
    underway.add(sr);
    try {
      if (other_config.get(autoScanKey) === 'true') await invoker.call('SR.scan', sr, {});
      else await measure(sr, uuid);
    } catch (error) {
      log.debug({ error, sr }, 'A repository did not tell how much of it is in use');
    } finally {
      underway.delete(sr);
    }
  };

  return {
    look: async () => {
      const due = [...store.latest.all('SR')]
        .map(([sr]) => sr)
        .filter((sr) => !underway.has(sr) && looksAfter(store.latest, sr, host));
      await Promise.all(due.map((sr) => lookAt(sr).then(() => chains.collapse(sr))));
    },
  };
};
