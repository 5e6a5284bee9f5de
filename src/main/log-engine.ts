import { isDeepStrictEqual } from 'node:util';
import { changingEtcd } from '../drivers/changing-etcd.ts';
import type { EngineStore } from '../engine/settings.ts';
import { etcdLog } from '../log/etcd/etcd-log.ts';
import { noting } from '../log/noting.ts';
import { nameOfHost, type PoolContext } from '../pool/context.ts';
import type { Log } from '../store/log.ts';

/**
 * The pool's log in a cluster, where it is there; undefined: the coordinator's disk is the log. The client of
 * etcd is loaded by hosts that use it alone.
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
    // Members that were given may be spoken with in the clear.
    const tls = ca !== '' && { tls: { ca, ...(cert !== '' && { cert, key }) } };
    const etcd = changingEtcd(() => connectEtcd({ endpoints: endpoints(), ...tls }));
    const pool = cluster.pool || context.store.latest.only('pool')[1].uuid;
    store.onEndpoints(etcd.changed);
    const { host, random, replica, clock, state, log } = context;
    const made = etcdLog({
      ...{ etcd, host, replica, clock, pool, journal: log, incarnation: random.uuid() },
      nameOf: (one) => nameOfHost(context, one),
      // Whoever moves the log brings what it has; nobody else begins it.
      mayBegin: () =>
        (store.current.move?.by === host && store.current.move.to === 'etcd') ||
        store.current.cluster?.begins === true,
      epoch: () => state.current?.epoch ?? 0,
      mayLead: () => state.current?.change === undefined,
      refused: async (id) => {
        const known = store.current.cluster?.id;
        return known === undefined || known === id.toString(16)
          ? undefined
          : otherCluster(known, id.toString(16));
      },
      onCluster: async (id, hasLog) => {
        const { begins, ...rest } = store.current.cluster ?? cluster;
        const next = { ...rest, pool, id: id.toString(16), ...(begins && !hasLog && { begins }) };
        if (!isDeepStrictEqual(next, store.current.cluster))
          await store.save({ ...store.current, cluster: next });
      },
    });
    return noting(made, { state, clock, journal: log });
  };
};

const otherCluster = (known: string, found: string): string =>
  `The endpoints are of the etcd cluster ${found}, and the pool's log is in ${known}: give the endpoints ` +
  `of that one.`;
