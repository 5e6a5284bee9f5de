import { compareResult, compareTarget, type Etcd } from '../../drivers/etcd.ts';
import type { Ref } from '../../model/types.ts';
import { Fault } from '../../std/fault.ts';
import { layoutOf } from './layout.ts';
import { unpackCoordinator } from './records.ts';

// A pool's log leaves the cluster: from then on nobody can lead with it there, also a host that was away.

const endMs = 10_000;

/** Ends the log, while this host leads with it; everything acknowledged is on the disk of this host. */
export const endLog = async (etcd: Etcd, pool: string, host: Ref<'host'>): Promise<void> => {
  const layout = layoutOf(pool);
  const { kvs } = await etcd.range({ key: layout.coordinator }, { timeoutMs: endMs });
  const [held] = kvs;
  if (held === undefined || unpackCoordinator(held.value).host !== host)
    throw new Fault('OPERATION_NOT_ALLOWED', ['This host does not lead with the log in the cluster']);
  const { succeeded } = await etcd.txn(
    {
      compare: [
        {
          key: layout.coordinator,
          result: compareResult.equal,
          target: compareTarget.create,
          createRevision: held.createRevision,
        },
      ],
      success: [
        { deleteRange: { key: layout.newest } },
        { deleteRange: { key: layout.format } },
        { deleteRange: layout.rows },
      ],
      failure: [],
    },
    { timeoutMs: endMs },
  );
  if (!succeeded)
    throw new Fault('OPERATION_NOT_ALLOWED', ['Another host has taken over the lead meanwhile']);
};

/** There is no log of the pool in the cluster. */
export const isLogEnded = async (etcd: Etcd, pool: string): Promise<boolean> => {
  const { kvs } = await etcd.range({ key: layoutOf(pool).newest }, { timeoutMs: endMs });
  return kvs.length === 0;
};
