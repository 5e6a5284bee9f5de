import { isDeepStrictEqual } from 'node:util';
import type { Ref } from '../model/types.ts';
import type { ClusterAccess, EngineStore } from './settings.ts';

/** What the log in a cluster needs to know of it, as it is kept in a host's settings. */
export const clusterNotes = (store: EngineStore, first: ClusterAccess, host: Ref<'host'>) => ({
  pool: first.pool,
  get id(): string | undefined {
    return store.current.cluster?.id;
  },
  get begins(): boolean {
    const { move, cluster } = store.current;
    // Whoever moves the log brings what it has; nobody else begins it.
    return (move?.by === host && move.to === 'etcd') || cluster?.begins === true;
  },
  found: async ({
    id,
    pool,
    hasLog,
  }: {
    readonly id: string;
    readonly pool: string;
    readonly hasLog: boolean;
  }) => {
    const noted = (known: ClusterAccess = first): ClusterAccess => {
      const { begins, ...rest } = known;
      return { ...rest, pool, id, ...(begins && !hasLog && { begins }) };
    };
    const { cluster } = store.current;
    if (!isDeepStrictEqual(noted(cluster), cluster))
      await store.change((now) => ({ ...now, cluster: noted(now.cluster) }));
  },
});
