import { compareResult, compareTarget, type EtcdOperation, type Txn } from '../../drivers/etcd.ts';
import type { Batch, CopyPiece } from '../../store/batch.ts';
import type { EtcdContext } from './context.ts';
import { operationBytes, operationsMax, ownOperationsMax, requestBytesMax } from './limits.ts';
import { formatNumber, type LogFormat, type Newest, pack } from './records.ts';
import { type Tenure, TenureOver, under } from './tenure.ts';

const beginMs = 30_000;

/**
 * Puts what this host has into the cluster, as the beginning of the pool's log there. What is there without
 * its beginning is of an attempt that ended early, and is removed first. All under this host's token.
 */
export const begin = async (
  context: EtcdContext,
  tenure: Tenure,
  format: Omit<LogFormat, 'format'>,
): Promise<void> => {
  const { replica, layout, etcd, place } = context;
  const send = async (success: readonly EtcdOperation[], absent = false): Promise<number> => {
    tenure.assert();
    const isBegun = { key: layout.format, target: compareTarget.create, createRevision: 0 } as const;
    const txn: Txn = {
      compare: [
        under(layout.coordinator, tenure.token),
        ...(absent ? [{ ...isBegun, result: compareResult.equal }] : []),
      ],
      success,
      failure: [],
    };
    const { succeeded, header } = await etcd.txn(txn, { timeoutMs: beginMs });
    if (!succeeded) throw new TenureOver('another host took over while the log began');
    return header.revision;
  };
  await send([{ deleteRange: layout.rows }], true);
  let mark: CopyPiece | undefined;
  for (const piece of replica.copy()) {
    mark ??= piece;
    for (const part of parts(context, piece)) await send(part, true);
  }
  const newest = newestOf(mark as CopyPiece);
  const revision = await send(
    [
      { put: { key: layout.newest, value: pack(newest) } },
      { put: { key: layout.format, value: pack({ format: formatNumber, ...format }) } },
    ],
    true,
  );
  tenure.newest = { revision, generation: newest.generation };
  place.at = { revision, generation: newest.generation };
};

const newestOf = ({
  acknowledged: _,
  index: _index,
  last: _last,
  rows: _rows,
  ...mark
}: CopyPiece): Newest => ({
  ...(mark satisfies Omit<Batch, 'acknowledged' | 'after' | 'changes' | 'warms'>),
  after: mark.generation,
  written: 0,
  deleted: [],
});

/** A piece in as many transactions as it takes. */
function* parts({ layout }: EtcdContext, { rows }: CopyPiece): Generator<readonly EtcdOperation[]> {
  let part: EtcdOperation[] = [];
  let bytes = 0;
  for (const row of rows) {
    const put = { key: layout.row(row.cls, row.ref), value: pack(row) };
    const size = put.key.length + put.value.length + operationBytes;
    if (
      part.length > 0 &&
      (bytes + size > requestBytesMax || part.length + ownOperationsMax >= operationsMax)
    ) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push({ put });
    bytes += size;
  }
  if (part.length > 0) yield part;
}
