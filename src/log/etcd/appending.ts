import {
  type Compare,
  compareResult,
  compareTarget,
  EtcdFailure,
  type KeyValue,
  type Operation,
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
import type { EtcdGround } from './ground.ts';
import { operationBytes, operationsMax, ownOperationsMax, requestBytesMax } from './limits.ts';
import { type Newest, pack, unpackNewest } from './records.ts';
import { type Term, TermOver, under, wait } from './term.ts';

/**
 * Groups of commits as transactions that hold only under this host's token, and only on top of the group before.
 * A group is written to this host's disk once the log has it, beside the next.
 */
export const appendingOf = (ground: EtcdGround, term: () => Term | undefined): Appending => ({
  append: (group): Appended => {
    const done = add(ground, term(), group);
    return { written: done, acknowledged: done };
  },
});

const notLeading = (why: string): Fault =>
  new Fault('INTERNAL_ERROR', [
    `The change was not made, as this host no longer coordinates the pool (${why}): repeat the call`,
  ]);

const add = async (ground: EtcdGround, term: Term | undefined, group: LogGroup): Promise<void> => {
  if (term === undefined || term.epoch !== group.epoch) throw notLeading('another one may');
  if (term.newest.generation !== group.after) {
    await term.end(`its commits go on from ${group.after}, its log from ${term.newest.generation}`);
    throw notLeading('its log is another');
  }
  const asks = ground.checks.due;
  const revision = await settle(ground, term, txnOf(ground, term, group), group);
  term.newest = { revision, generation: group.generation };
  ground.place.at = { revision, generation: group.generation };
  // The log has it: a host that crashes before its disk does reads it from there.
  group.keep().catch((error: unknown) => {
    void term.end(`its disk does not take what the log has: ${String(error)}`);
  });
  // Nothing waits for it, and the next one is asked for in time.
  if (asks) void tellCheck(ground, term, group.generation).catch(() => undefined);
};

const txnOf = (ground: EtcdGround, term: Term, group: LogGroup): Txn => {
  const { layout } = ground;
  const { acknowledged: _, changes: _changes, warms: _warms, ...mark } = group.batch();
  const puts: Operation[] = [];
  const deletes: Operation[] = [];
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
  const newest: Newest = { ...mark, written: puts.length, deleted };
  const value = pack(newest);
  const operations = puts.length + deletes.length + ownOperationsMax;
  if (operations > operationsMax || bytes + value.length > requestBytesMax) {
    throw new GroupTooLarge(puts.length + deletes.length, bytes);
  }
  return {
    compare: [under(layout.coordinator, term.token), written(layout.newest, term.newest.revision)],
    success: [
      ...puts,
      ...deletes,
      { put: { key: layout.newest, value } },
      ...askCheck(ground, group.generation),
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
 * again and again: it holds only on top of the group before, so it is done once at most, however late one arrives.
 */
const settle = async (ground: EtcdGround, term: Term, txn: Txn, group: LogGroup): Promise<number> => {
  const { etcd, clock, limits } = ground;
  let unknown = false;
  for (;;) {
    try {
      term.assert();
      const leftMs = term.untilMs - clock.monotonicMs();
      const answer = await etcd.txn(txn, { timeoutMs: Math.min(limits.callMs, leftMs) });
      if (answer.succeeded) return answer.header.revision;
      const [held, newest] = answer.answers.map((one) => ('range' in one ? one.range.kvs[0] : undefined));
      return await refused(term, group, held, newest);
    } catch (error) {
      if (error instanceof TermOver) throw unknown ? new LogFenced(error.message) : notLeading(error.message);
      if (!(error instanceof EtcdFailure)) throw error;
      if (error instanceof OutcomeUnknown) unknown = true;
      else if (error.reason !== 'unavailable') await failed(term, error, unknown);
      await wait(clock, limits.retryMs, term.over);
    }
  }
};

/** The comparison did not hold: an attempt whose answer was lost did it, or this host's time is over. */
const refused = async (
  term: Term,
  { epoch, generation }: LogGroup,
  held: KeyValue | undefined,
  newest: KeyValue | undefined,
): Promise<number> => {
  const mark = newest && unpackNewest(newest.value);
  if (mark?.epoch === epoch && mark.generation === generation) return (newest as KeyValue).modRevision;
  const why =
    held?.createRevision === term.token ? 'somebody else wrote into its log' : 'another host took over';
  await term.end(why);
  // Whoever leads now may have gone on from the group, or without it: then it is in the log never.
  if (mark !== undefined && mark.generation >= generation && isPrefix(mark.epochs, { epoch, generation }))
    throw new LogFenced(why);
  throw notLeading(why);
};

/** A refusal by the cluster: the group is not in the log, unless an earlier attempt was of unknown outcome. */
const failed = async (term: Term, error: EtcdFailure, unknown: boolean): Promise<never> => {
  if (unknown || error.reason === 'wrong-cluster' || error.reason === 'denied') {
    await term.end(error.message);
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
