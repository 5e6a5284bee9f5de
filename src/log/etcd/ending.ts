import { compareResult, compareTarget, type Etcd } from '../../drivers/etcd.ts';
import type { Ref } from '../../model/types.ts';
import { Fault } from '../../std/fault.ts';
import { layoutOf } from './layout.ts';
import { unpackCoordinator, unpackNewest } from './records.ts';

// A pool's log leaves the cluster: from then on nobody can lead with it there, also a host that was away.

const endMs = 10_000;

/**
 * Ends the log at the generation that this host has, while it leads with it and decides nothing: no other
 * host may have more than the one that goes on from here.
 */
export const endLog = async (
  etcd: Etcd,
  pool: string,
  { host, generation }: { readonly host: Ref<'host'>; readonly generation: number },
): Promise<void> => {
  const layout = layoutOf(pool);
  const read = async (key: Uint8Array) => (await etcd.range({ key }, { timeoutMs: endMs })).kvs[0];
  const [held, newest] = [await read(layout.coordinator), await read(layout.newest)];
  const has = newest && unpackNewest(newest.value).generation;
  if (newest !== undefined && has !== generation)
    throw new Fault('OPERATION_NOT_ALLOWED', [
      `The log in the cluster goes up to ${has}, and this host has it up to ${generation}: repeat the ` +
        'command',
    ]);
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
        {
          key: layout.newest,
          result: compareResult.equal,
          target: compareTarget.mod,
          modRevision: newest?.modRevision ?? 0,
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
