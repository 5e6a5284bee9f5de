import {
  type Compare,
  compareResult,
  compareTarget,
  EtcdFailure,
  type EtcdOperation,
  type KeyRange,
  type KeyValue,
  type OperationAnswer,
  type RangeAnswer,
  type RangeRequest,
  type Txn,
  type WatchEvent,
} from '../../drivers/etcd.ts';

/** What a cluster has agreed upon: revisions in order, and each key as it was at each of them. */
export interface History {
  readonly revision: number;
  /** History before this one is gone. */
  readonly compacted: number;
  range(request: RangeRequest): Omit<RangeAnswer, 'header'>;
  txn(txn: Txn): { readonly succeeded: boolean; readonly answers: readonly OperationAnswer[] };
  /** Deletes every key of a lease. */
  expire(lease: bigint): void;
  compact(revision: number): void;
  /** Events of a range of one revision. */
  events(revision: number, range: KeyRange): readonly WatchEvent[];
}

/** A value, or that there is none, from a revision on. */
interface Version {
  readonly modRevision: number;
  readonly kv: KeyValue | undefined;
}

const text = (key: Uint8Array): string => Buffer.from(key).toString('latin1');
const none = new Uint8Array(0);

export const historyOf = (operationsMax: number): History => {
  const keys = new Map<string, Version[]>();
  const log = new Map<number, WatchEvent[]>();
  let revision = 1;
  let compacted = 0;

  const at = (key: string, when: number): KeyValue | undefined =>
    keys.get(key)?.findLast(({ modRevision }) => modRevision <= when)?.kv;
  const within = ({ key, rangeEnd }: KeyRange): readonly string[] => {
    const first = text(key);
    if (rangeEnd === undefined) return keys.has(first) ? [first] : [];
    const end = text(rangeEnd);
    return [...keys.keys()].filter((one) => one >= first && one < end).sort();
  };
  const range = (request: RangeRequest, now = revision): Omit<RangeAnswer, 'header'> => {
    const when = request.revision || now;
    if (when > Math.max(now, revision))
      throw new EtcdFailure('future', 'required revision is a future revision');
    if (when < compacted) throw new EtcdFailure('compacted', 'required revision has been compacted');
    const all = within(request).flatMap((key) => at(key, when) ?? []);
    const kvs = request.limit ? all.slice(0, request.limit) : all;
    return { kvs: request.countOnly ? [] : kvs, more: kvs.length < all.length, count: all.length };
  };

  /** Changes of one revision: nothing is seen of it before all is done. */
  const changing = () => {
    const next = revision + 1;
    const events: WatchEvent[] = [];
    const write = (key: string, kv: KeyValue | undefined, event: WatchEvent): void => {
      const versions = keys.get(key) ?? [];
      keys.set(key, versions);
      versions.push({ modRevision: next, kv });
      events.push(event);
    };
    const remove = (key: string): void => {
      const bytes = Buffer.from(key, 'latin1');
      const gone = { key: bytes, value: none, createRevision: 0, modRevision: next, version: 0, lease: 0n };
      write(key, undefined, { kind: 'delete', kv: gone });
    };
    return {
      put: (bytes: Uint8Array, value: Uint8Array, lease: bigint): void => {
        const before = at(text(bytes), next);
        const kv: KeyValue = {
          ...{ key: Buffer.from(bytes), value: Buffer.from(value), modRevision: next, lease },
          createRevision: before?.createRevision ?? next,
          version: (before?.version ?? 0) + 1,
        };
        write(text(bytes), kv, { kind: 'put', kv });
      },
      remove: (ranged: KeyRange): number => {
        const there = within(ranged).filter((key) => at(key, next) !== undefined);
        for (const key of there) remove(key);
        return there.length;
      },
      done: (): void => {
        if (events.length === 0) return;
        revision = next;
        log.set(next, events);
      },
    };
  };

  const holds = (compare: Compare): boolean => {
    const kv = at(text(compare.key), revision);
    return compared(sideOf(compare, kv), compare);
  };

  return {
    get revision() {
      return revision;
    },
    get compacted() {
      return compacted;
    },
    range,
    txn: ({ compare, success, failure }) => {
      if (Math.max(success.length, failure.length) > operationsMax) {
        throw new EtcdFailure('too-large', 'too many operations in txn request');
      }
      const succeeded = compare.every(holds);
      const change = changing();
      const answers = (succeeded ? success : failure).map((one) => perform(change, range, one, revision + 1));
      change.done();
      return { succeeded, answers };
    },
    expire: (lease) => {
      const change = changing();
      for (const [key] of keys) {
        if (at(key, revision)?.lease === lease) change.remove({ key: Buffer.from(key, 'latin1') });
      }
      change.done();
    },
    compact: (to) => {
      if (to > revision) throw new EtcdFailure('future', 'required revision is a future revision');
      compacted = Math.max(compacted, to);
      for (const one of log.keys()) if (one < compacted) log.delete(one);
    },
    events: (one, ranged) => {
      const first = text(ranged.key);
      const end = ranged.rangeEnd && text(ranged.rangeEnd);
      const has = (key: string): boolean => (end === undefined ? key === first : key >= first && key < end);
      return (log.get(one) ?? []).filter(({ kv }) => has(text(kv.key)));
    },
  };
};

const perform = (
  change: {
    put(key: Uint8Array, value: Uint8Array, lease: bigint): void;
    remove(range: KeyRange): number;
  },
  range: (request: RangeRequest, now?: number) => Omit<RangeAnswer, 'header'>,
  operation: EtcdOperation,
  now: number,
): OperationAnswer => {
  if ('range' in operation) return { range: range(operation.range, now) };
  if ('deleteRange' in operation) return { deleteRange: { deleted: change.remove(operation.deleteRange) } };
  change.put(operation.put.key, operation.put.value, operation.put.lease ?? 0n);
  return { put: {} };
};

type Side = number | bigint | string;

/** What is there, and what it is compared with. */
const sideOf = (compare: Compare, kv: KeyValue | undefined): readonly [Side, Side] => {
  switch (compare.target) {
    case compareTarget.version:
      return [kv?.version ?? 0, compare.version];
    case compareTarget.create:
      return [kv?.createRevision ?? 0, compare.createRevision];
    case compareTarget.mod:
      return [kv?.modRevision ?? 0, compare.modRevision];
    case compareTarget.lease:
      return [kv?.lease ?? 0n, compare.lease];
    case compareTarget.value:
      return [text(kv?.value ?? none), text(compare.value)];
  }
};

const compared = ([has, wanted]: readonly [Side, Side], { result }: Compare): boolean => {
  if (result === compareResult.equal) return has === wanted;
  if (result === compareResult.notEqual) return has !== wanted;
  return result === compareResult.greater ? has > wanted : has < wanted;
};
