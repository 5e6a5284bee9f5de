import { isDeepStrictEqual } from 'node:util';
import type { HostParts } from '../assembly/parts.ts';
import { changingEtcd } from '../drivers/changing-etcd.ts';
import type { EngineStore } from '../engine/settings.ts';
import { oneMember } from '../engine/status.ts';
import { etcdLog } from '../log/etcd/etcd-log.ts';
import { noting } from '../log/noting.ts';
import { hostsOf, nameOfHost } from '../pool/context.ts';

/**
 * The pool's log in a cluster, where it is there; undefined: the coordinator's disk is the log. The client of
 * etcd is loaded by hosts that use it alone.
 */
export const ownClusterLog = async (store: EngineStore): Promise<HostParts['pool']['engine']> => {
  const { use, cluster } = store.current;
  if (use !== 'etcd' || cluster === undefined) return undefined;
  const { connectEtcd } = await import('../drivers/node/etcd/etcd.ts');
  const { authority: ca, certificate: cert, key } = await store.credentials();
  const endpoints = (): readonly string[] => store.current.cluster?.endpoints ?? cluster.endpoints;
  return (context, alert) => {
    // Members that were given may be spoken with in the clear.
    const tls = ca !== '' && { tls: { ca, ...(cert !== '' && { cert, key }) } };
    const etcd = changingEtcd(() => connectEtcd({ endpoints: endpoints(), ...tls }));
    const pool = cluster.pool || context.store.latest.only('pool')[1].uuid;
    store.onEndpoints(etcd.changed);
    const { host, random, replica, clock, state, log } = context;
    const made = etcdLog({
      ...{ etcd, host, replica, clock, pool, journal: log, incarnation: random.uuid() },
      nameOf: (one) => nameOfHost(context, one),
      differed: (generation) =>
        alert(
          'ROWS_DIFFERED',
          `The rows of ${nameOfHost(context, host)} were not those of its pool at generation ` +
            `${generation}, and were read anew. Look at its disk and memory, and keep its log.`,
        ),
      // Whoever moves the log brings what it has; nobody else begins it.
      mayBegin: () =>
        (store.current.move?.by === host && store.current.move.to === 'etcd') ||
        store.current.cluster?.begins === true,
      epoch: () => state.current?.epoch ?? 0,
      mayLead: () => state.current?.change === undefined,
      refused: async (id) => {
        const known = store.current.cluster?.id;
        if (known !== undefined && known !== id.toString(16)) return otherCluster(known, id.toString(16));
        return refusedGiven(store, hostsOf(context).length);
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

/** A member of a cluster of the pool's own has a certificate that the cluster goes on to take. */
export const mustStay =
  (store: EngineStore) =>
  (address: string): string | undefined => {
    const { cluster } = store.current;
    const own = cluster !== undefined && !cluster.given ? cluster.endpoints : [];
    if (!own.some((endpoint) => endpoint.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1') === address))
      return undefined;
    return (
      `The host at ${address} is a member of the pool's cluster of etcd: take it out of that first, with ` +
      `xenact engine leave ${address}`
    );
  };

/** One member of its own kind is enough for a pool of one host, and for no other. */
const refusedGiven = async (store: EngineStore, hosts: number): Promise<string | undefined> => {
  const { cluster } = store.current;
  if (cluster?.given !== true || hosts < 2) return undefined;
  const { connectEtcdCluster } = await import('../drivers/node/etcd/cluster.ts');
  const { authority: ca, certificate: cert, key } = await store.credentials();
  const tls = ca !== '' && { tls: { ca, ...(cert !== '' && { cert, key }) } };
  const given = connectEtcdCluster({ endpoints: cluster.endpoints, ...tls });
  const { members } = await given.members().finally(given.close);
  return members.length === 1 ? oneMember(hosts) : undefined;
};

const otherCluster = (known: string, found: string): string =>
  `The endpoints are of the etcd cluster ${found}, and the pool's log is in ${known}: give the endpoints ` +
  `of that one.`;
