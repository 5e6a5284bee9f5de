import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { connectEtcd } from '../../../src/drivers/node/etcd/etcd.ts';
import { etcdLog } from '../../../src/log/etcd/etcd-log.ts';
import type { Ref } from '../../../src/model/types.ts';
import { silentLog } from '../../../src/std/log.ts';
import type { Durable } from '../../../src/store/durable.ts';
import { openStore } from '../../../src/store/store.ts';
import { classes } from '../../store/classes.ts';
import { disk } from '../../store/hosts.ts';
import { type PoolHost, playing, uuid } from './pool.ts';

// Hosts of a pool in one process, whose log is in real members of etcd.

export const realHost = (
  name: string,
  endpoints: readonly string[],
  options: { readonly mayBegin?: boolean; readonly durable?: Durable; readonly leaseSeconds?: number } = {},
): RealHost => {
  const { store, replica } = openStore({ classes, durable: options.durable ?? disk(), log: silentLog });
  const etcd = connectEtcd({ endpoints });
  const log = etcdLog({
    ...{ etcd, replica, pool: uuid, host: name as Ref<'host'>, incarnation: `${name} ${Date.now()}` },
    ...{ clock: nodeClock, journal: silentLog },
    mayBegin: () => options.mayBegin ?? false,
    mayLead: () => true,
    epoch: () => replica.epoch,
    onCluster: async () => {},
    limits: { leaseSeconds: options.leaseSeconds ?? 3 },
  });
  const life = { ...nodeClock, state: 'running' as const };
  const host = playing({ name, life, store, replica, log });
  const close = async (): Promise<void> => {
    await log.close();
    await replica.close();
  };
  return Object.assign(Object.create(host), { close }) as RealHost;
};

export interface RealHost extends PoolHost {
  close(): Promise<void>;
}

/** Resolves once it is so, looked at whenever anything of the hosts may have changed. */
export const until = (hosts: readonly PoolHost[], met: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const ends: (() => void)[] = [];
    const look = (): void => {
      if (!met()) return;
      for (const end of ends.splice(0)) end();
      resolve();
    };
    for (const { store, onRole } of hosts) ends.push(store.watch(look), onRole(look));
    look();
  });

/** Writes a book on the host that leads. */
export const write = (host: PoolHost, name: string): Promise<unknown> =>
  host.store.commit((tx) => tx.create('book' as never, name as never, { uuid: name } as never));
