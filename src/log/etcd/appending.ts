import {
  type Compare,
  compareResult,
  compareTarget,
  EtcdFailure,
  type EtcdOperation,
  type KeyValue,
  OutcomeUnknown,
  type Txn,
} from '../../drivers/etcd.ts';
import { Fault } from '../../std/fault.ts';
import {
  type Appended,
  type Appending,
  GroupTooLarge,
  LogFenced,
  type LogGroup,
} from '../../store/appending.ts';
import { isPrefix } from '../../store/epochs.ts';
import { askCheck, tellCheck } from './checking.ts';
import type { EtcdContext } from './context.ts';
import { operationBytes, operationsMax, ownOperationsMax, requestBytesMax } from './limits.ts';
import { type Newest, pack, unpackNewest } from './records.ts';
import { type Tenure, TenureOver, under, wait } from './tenure.ts';

/**
 * Groups of commits as transactions that hold only under this host's token, and only on top of the group
 * before. A group is written to this host's disk once the log has it, beside the next.
 */
export const appendingOf = (context: EtcdContext, tenure: () => Tenure | undefined): Appending => ({
  append: (group): Appended => {
    const done = add(context, tenure(), group);
    return { written: done, acknowledged: done };
  },
});

const notLeading = (why: string): Fault =>
  new Fault('INTERNAL_ERROR', [
    `The change was not made, as this host no longer coordinates the pool (${why}): repeat the call`,
  ]);

const add = async (context: EtcdContext, tenure: Tenure | undefined, group: LogGroup): Promise<void> => {
  if (tenure === undefined || tenure.epoch !== group.epoch) throw notLeading('another one may');
  if (tenure.newest.generation !== group.after) {
    await tenure.end(`its commits go on from ${group.after}, its log from ${tenure.newest.generation}`);
    throw notLeading('its log is another');
  }
  const asks = context.checks.due;
  const revision = await carryOut(context, tenure, txnOf(context, tenure, group), group);
  assertInTime(tenure);
  tenure.newest = { revision, generation: group.generation };
  context.place.at = { revision, generation: group.generation };
  // The log has it: a host that crashes before its disk does reads it from there.
  group.keep().catch((error: unknown) => {
    void tenure.end(`its disk does not take what the log has: ${String(error)}`);
  });
  // Nothing waits for it, and the next one is asked for in time.
  if (asks) void tellCheck(context, tenure, group.generation).catch(() => undefined);
};

/**
 * A host that stood still hears late that the log has its group, when another may have gone on from there.
 * It learns so from the log then, as all others do.
 */
const assertInTime = (tenure: Tenure): void => {
  try {
    tenure.assert();
  } catch (error) {
    throw new LogFenced((error as Error).message);
  }
};

const txnOf = (context: EtcdContext, tenure: Tenure, group: LogGroup): Txn => {
  const { layout } = context;
  const { acknowledged: _, ...mark } = group.mark();
  const puts: EtcdOperation[] = [];
  const deletes: EtcdOperation[] = [];
  const deleted = [];
  let bytes = 0;
  for (const row of group.whole()) {
    const key = layout.row(row.cls, row.ref);
    if (row.row === undefined) {
      deletes.push({ deleteRange: { key } });
      deleted.push(row);
    } else {
      const value = pack(row);
      puts.push({ put: { key, value } });
      bytes += value.length;
    }
    bytes += key.length + operationBytes;
  }
  const newest: Newest = { ...mark, after: group.after, written: puts.length, deleted };
  const value = pack(newest);
  const operations = puts.length + deletes.length + ownOperationsMax;
  if (operations > operationsMax || bytes + value.length > requestBytesMax) {
    throw new GroupTooLarge(puts.length + deletes.length, bytes);
  }
  return {
    compare: [under(layout.coordinator, tenure.token), written(layout.newest, tenure.newest.revision)],
    success: [
      ...puts,
      ...deletes,
      { put: { key: layout.newest, value } },
      ...askCheck(context, group.generation),
    ],
    failure: [{ range: { key: layout.coordinator } }, { range: { key: layout.newest } }],
  };
};

const written = (key: Uint8Array, modRevision: number): Compare => ({
  key,
  result: compareResult.equal,
  target: compareTarget.mod,
  modRevision,
});

/**
 * Sends a transaction until it is known whether it was done; answers the revision that did it. It may be sent
 * again and again: it holds only on top of the group before, so it is done once at most, however late one
 * arrives.
 */
const carryOut = async (context: EtcdContext, tenure: Tenure, txn: Txn, group: LogGroup): Promise<number> => {
  const { etcd, clock, limits } = context;
  let unknown = false;
  for (;;) {
    try {
      tenure.assert();
      const leftMs = tenure.untilMs - clock.monotonicMs();
      const answer = await etcd.txn(txn, { timeoutMs: Math.min(limits.callMs, leftMs) });
      if (answer.succeeded) return answer.header.revision;
      const [held, newest] = answer.answers.map((one) => ('range' in one ? one.range.kvs[0] : undefined));
      return await refused(tenure, group, held, newest);
    } catch (error) {
      if (error instanceof TenureOver)
        throw unknown ? new LogFenced(error.message) : notLeading(error.message);
      if (!(error instanceof EtcdFailure)) throw error;
      if (error instanceof OutcomeUnknown) unknown = true;
      else if (error.reason !== 'unavailable') await failed(tenure, error, unknown);
      await wait(clock, limits.retryMs, tenure.over);
    }
  }
};

/** The comparison did not hold: an attempt whose answer was lost did it, or this host's time is over. */
const refused = async (
  tenure: Tenure,
  { epoch, generation }: LogGroup,
  held: KeyValue | undefined,
  newest: KeyValue | undefined,
): Promise<number> => {
  const mark = newest && unpackNewest(newest.value);
  if (mark?.epoch === epoch && mark.generation === generation) return (newest as KeyValue).modRevision;
  const why =
    held?.createRevision === tenure.token ? 'somebody else wrote into its log' : 'another host took over';
  await tenure.end(why);
  // Whoever leads now may have gone on from the group, or without it: then it is in the log never.
  if (mark !== undefined && mark.generation >= generation && isPrefix(mark.epochs, { epoch, generation }))
    throw new LogFenced(why);
  throw notLeading(why);
};

/**
 * A refusal by the cluster: the group is not in the log, unless an earlier attempt was of unknown outcome.
 */
const failed = async (tenure: Tenure, error: EtcdFailure, unknown: boolean): Promise<never> => {
  if (unknown || error.reason === 'wrong-cluster' || error.reason === 'denied') {
    await tenure.end(error.message);
    throw unknown ? new LogFenced(error.message) : notLeading(error.message);
  }
  if (error.reason === 'too-large') throw new GroupTooLarge(0, 0);
  if (error.reason === 'no-space') {
    throw new Fault('INTERNAL_ERROR', [
      'The etcd cluster has used up its quota and takes nothing more: compact and defragment it, or raise ' +
        '--quota-backend-bytes, then end the alarm (etcdctl alarm disarm, or xenact engine status --disarm)',
    ]);
  }
  throw new Fault('INTERNAL_ERROR', [`The etcd cluster refuses the change: ${error.message}`]);
};
