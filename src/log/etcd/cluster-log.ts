import type { Etcd } from '../../drivers/etcd.ts';
import { nameOfHost, type PoolContext } from '../../pool/context.ts';
import type { Log } from '../../store/log.ts';
import { noting } from '../noting.ts';
import { etcdLog } from './etcd-log.ts';
import type { EtcdLogLimits } from './limits.ts';

/** What a host has noted of the cluster that the log of its pool is in. */
export interface ClusterNotes {
  /** UUID of the pool; empty: the rows say it. */
  readonly pool: string;
  /** Id of the cluster, once the log was seen there: no other is used in its place. */
  readonly id: string | undefined;
  /** This host may bring what it has to a cluster that has no log of the pool. */
  readonly begins: boolean;
  /** Resolves once it is on disk. `hasLog`: nobody needs to begin it any more. */
  found(cluster: { readonly id: string; readonly pool: string; readonly hasLog: boolean }): Promise<void>;
}

export interface ClusterLogParts {
  readonly etcd: Etcd;
  readonly notes: ClusterNotes;
  /** Leaves a message for people. */
  readonly alert: (name: string, text: string) => unknown;
  /** Why the cluster must not be used, beside being another one; undefined: it may. */
  readonly refused?: () => Promise<string | undefined>;
  readonly limits?: Partial<EtcdLogLimits>;
}

/** The log of a host's pool in a cluster, in line with what the host has noted of both. */
export const clusterLog = (
  context: PoolContext,
  { etcd, notes, alert, refused, limits }: ClusterLogParts,
): Log => {
  const { store, host, random, replica, clock, state, log } = context;
  const pool = notes.pool || store.latest.only('pool')[1].uuid;
  const made = etcdLog({
    ...{ etcd, host, replica, clock, pool, journal: log, incarnation: random.uuid() },
    nameOf: (one) => nameOfHost(context, one),
    differed: (generation) =>
      alert(
        'ROWS_DIFFERED',
        `The rows of ${nameOfHost(context, host)} were not those of its pool at generation ` +
          `${generation}, and were read anew. Look at its disk and memory, and keep its log.`,
      ),
    mayBegin: () => notes.begins,
    epoch: () => state.current?.epoch ?? 0,
    mayLead: () => state.current?.change === undefined,
    refused: async (found) => {
      const id = found.toString(16);
      return notes.id === undefined || notes.id === id ? refused?.() : otherCluster(notes.id, id);
    },
    onCluster: (found, hasLog) => notes.found({ id: found.toString(16), pool, hasLog }),
    ...(limits && { limits }),
  });
  return noting(made, { state, clock, journal: log });
};

const otherCluster = (known: string, found: string): string =>
  `The endpoints are of the etcd cluster ${found}, and the pool's log is in ${known}: give the endpoints ` +
  'of that one.';
