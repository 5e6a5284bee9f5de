import { changingEtcd } from '../drivers/changing-etcd.ts';
import type { EngineStore } from '../engine/settings.ts';
import { etcdLog } from '../log/etcd/etcd-log.ts';
import { noting } from '../log/noting.ts';
import type { PoolContext } from '../pool/context.ts';
import type { Log } from '../store/log.ts';

/**
 * The pool's log in its own cluster, where the log has moved there; undefined: the coordinator's disk is the
 * log. The
 * client of etcd is loaded by hosts that use it alone.
 */
export const ownClusterLog = async (
  store: EngineStore,
): Promise<((context: PoolContext) => Log) | undefined> => {
  const { use, cluster } = store.current;
  if (use !== 'etcd' || cluster === undefined) return undefined;
  const { connectEtcd } = await import('../drivers/node/etcd/etcd.ts');
  const { authority: ca, certificate: cert, key } = await store.credentials();
  const endpoints = (): readonly string[] => store.current.cluster?.endpoints ?? cluster.endpoints;
  return (context) => {
    const etcd = changingEtcd(() => connectEtcd({ endpoints: endpoints(), tls: { ca, cert, key } }));
    store.onEndpoints(etcd.changed);
    const { host, random, replica, clock, state, log } = context;
    const made = etcdLog({
      ...{ etcd, host, replica, clock, pool: cluster.pool, journal: log, incarnation: random.uuid() },
      // Whoever moves the log brings what it has; nobody else begins it.
      mayBegin: () => store.current.move?.by === host && store.current.move.to === 'etcd',
      epoch: () => state.current?.epoch ?? 0,
      mayLead: () => state.current?.change === undefined,
      // Members of another cluster have certificates that this host does not trust.
      onCluster: async () => {},
    });
    return noting(made, { state, clock, journal: log });
  };
};
