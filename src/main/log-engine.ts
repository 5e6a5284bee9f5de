import type { HostParts } from '../assembly/parts.ts';
import { changingEtcd } from '../drivers/changing-etcd.ts';
import { clusterNotes } from '../engine/cluster-notes.ts';
import type { EngineStore } from '../engine/settings.ts';
import { oneMember } from '../engine/status.ts';
import { clusterLog } from '../log/etcd/cluster-log.ts';
import { hostsOf } from '../pool/context.ts';

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
    // A member that is of another cluster is left, and tried again, from the first answer on.
    const known = () => {
      const id = store.current.cluster?.id;
      return id !== undefined && { clusterId: BigInt(`0x${id}`) };
    };
    const etcd = changingEtcd(() => connectEtcd({ endpoints: endpoints(), ...tls, ...known() }));
    store.onEndpoints(etcd.changed);
    return clusterLog(context, {
      ...{ etcd, alert },
      notes: clusterNotes(store, cluster, context.host),
      refused: () => refusedGiven(store, hostsOf(context).length),
    });
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
