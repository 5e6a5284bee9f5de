import { type Etcd, EtcdFailure } from '../../drivers/etcd.ts';
import { type MemoryEtcd, type MemoryEtcdOptions, memoryEtcd } from '../etcd/memory-etcd.ts';
import type { Life } from '../life.ts';

/** The cluster that a pool's log is in, and somebody else's that hosts may come upon in its place. */
export interface Clusters {
  readonly own: MemoryEtcd;
  /** A client of the members, as one process has it. `id`: of the cluster that it takes them for. */
  client(life: Life, id?: string): Etcd;
  /** Whether the members' addresses are the other cluster's, as one machine sees it. */
  mislead(machine: string, isMisled: boolean): void;
}

export const clustersOf = (options: Omit<MemoryEtcdOptions, 'clusterId'>): Clusters => {
  const own = memoryEtcd({ ...options, clusterId: 1n });
  const other = memoryEtcd({ ...options, clusterId: 2n, random: options.random.split('other') });
  const misled = new Set<string>();
  return {
    own,
    mislead: (machine, isMisled) => {
      if (isMisled) misled.add(machine);
      else misled.delete(machine);
      own.breakWatches(machine);
    },
    client: (life, id) => {
      const clients = [own.client(life), other.client(life)] as const;
      /** A client knows its cluster by the first answer, and takes none of another. */
      let known: boolean | undefined = id === undefined ? undefined : id !== own.clusterId.toString(16);
      const asked = async (): Promise<Etcd> => {
        const isOther = misled.has(life.name);
        known ??= isOther;
        if (known === isOther) return clients[isOther ? 1 : 0];
        throw new EtcdFailure('wrong-cluster', 'The member is of another cluster');
      };
      return {
        endpoints: ['memory:1'],
        range: async (...args) => (await asked()).range(...args),
        txn: async (...args) => (await asked()).txn(...args),
        leaseGrant: async (...args) => (await asked()).leaseGrant(...args),
        leaseKeepAlive: async (...args) => (await asked()).leaseKeepAlive(...args),
        leaseRevoke: async (...args) => (await asked()).leaseRevoke(...args),
        compact: async (...args) => (await asked()).compact(...args),
        status: async (...args) => (await asked()).status(...args),
        // One that was begun is with the cluster that the client knows, and ends with the way there.
        watch: (request, events) => clients[known === true ? 1 : 0].watch(request, events),
        close: () => {
          for (const client of clients) client.close();
        },
      };
    },
  };
};
