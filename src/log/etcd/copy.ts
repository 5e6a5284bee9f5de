import { EtcdFailure, type KeyValue, type RangeAnswer } from '../../drivers/etcd.ts';
import type { CopyPiece } from '../../store/batch.ts';
import type { EtcdContext } from './context.ts';
import { type Newest, unpackNewest, unpackRow } from './records.ts';

/** A page of a whole copy may be large. */
const pageMs = 30_000;

/** The log of the pool has not begun in this cluster. */
export class NoLog extends Error {
  constructor() {
    super('The etcd cluster has no log of this pool');
    this.name = 'NoLog';
  }
}

/** The cluster is as it was before, without what was acknowledged since. */
export class LogWentBack extends Error {
  constructor(has: number, had: number) {
    super(
      `The etcd cluster has the log of the pool up to generation ${has}, and had it up to ${had}: it ` +
        'was put back to an older state. Restore the newest one, or begin anew with what this host has.',
    );
    this.name = 'LogWentBack';
  }
}

/** The newest group, as the cluster has it now. */
export const readNewest = async (
  { etcd, layout, limits }: EtcdContext,
  signal?: AbortSignal,
): Promise<
  { readonly value: Newest; readonly modRevision: number; readonly revision: number } | undefined
> => {
  const options = { timeoutMs: limits.callMs, ...(signal && { signal }) };
  const { kvs, header } = await etcd.range({ key: layout.newest }, options);
  const [kv] = kvs;
  return kv && { value: unpackNewest(kv.value), modRevision: kv.modRevision, revision: header.revision };
};

/** Reads the whole log at one revision and makes the replica the same. */
export const readAnew = async (context: EtcdContext, signal: AbortSignal): Promise<void> => {
  const { replica, place } = context;
  place.at = undefined;
  const newest = await readNewest(context, signal);
  if (newest === undefined) throw new NoLog();
  const { cold, generation: has } = replica.position;
  // A host that just started counts on from all that it may have handed out.
  if (cold !== true && newest.value.generation < has) throw new LogWentBack(newest.value.generation, has);
  const { generation } = await replica.replace(piecesOf(context, newest.value, newest.revision, signal));
  place.at = { revision: newest.revision, generation };
};

async function* piecesOf(
  context: EtcdContext,
  { after: _after, written: _written, deleted: _deleted, ...mark }: Newest,
  revision: number,
  signal: AbortSignal,
): AsyncGenerator<CopyPiece> {
  const { layout } = context;
  let index = 0;
  for (let key = layout.rows.key; ; index += 1) {
    const page = await readPage(context, key, revision, signal);
    const rows = page.kvs.map((kv) => unpackRow(kv.value, layout.rowOf(kv.key) ?? ''));
    yield { ...mark, acknowledged: mark.generation, index, last: !page.more, rows };
    if (!page.more) return;
    key = Buffer.concat([(page.kvs.at(-1) as KeyValue).key, new Uint8Array(1)]);
  }
}

/** As many rows as an answer holds. */
const readPage = async (
  { etcd, layout, limits }: EtcdContext,
  key: Uint8Array,
  revision: number,
  signal: AbortSignal,
): Promise<RangeAnswer> => {
  for (let limit = limits.pageRowsMax; ; limit = Math.ceil(limit / 4)) {
    try {
      const request = { ...layout.rows, key, revision, limit };
      return await etcd.range(request, { timeoutMs: pageMs, signal });
    } catch (error) {
      if (!(error instanceof EtcdFailure) || error.reason !== 'too-large' || limit === 1) throw error;
    }
  }
};
