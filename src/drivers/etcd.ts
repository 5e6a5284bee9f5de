/**
 * A cluster of etcd as its v3 API shows it, in plain values. Keys and values are bytes. Reads are
 * linearizable: what a decision builds on is never stale. Ids of leases, members and clusters have 64 bits.
 */
export interface Etcd {
  /** Keys of a range at one revision, in the order of their bytes. */
  range(request: RangeRequest, options?: EtcdCallOptions): Promise<RangeAnswer>;
  /** All of `success` when every comparison holds, else all of `failure`. */
  txn(txn: Txn, options?: EtcdCallOptions): Promise<TxnAnswer>;
  /**
   * Changes of a range from a revision on, until it is closed or `failed`. A stream that was cut may say
   * nothing.
   */
  watch(request: WatchRequest, events: WatchEvents): Watching;
  leaseGrant(ttlSeconds: number, options?: EtcdCallOptions): Promise<Lease>;
  /** Seconds that the lease has left from now on; 0 when it is gone. */
  leaseKeepAlive(lease: bigint, options?: EtcdCallOptions): Promise<number>;
  leaseRevoke(lease: bigint, options?: EtcdCallOptions): Promise<void>;
  /** Drops history before a revision. */
  compact(revision: number, options?: EtcdCallOptions): Promise<void>;
  /** What one member says of itself; the endpoints are those that the client was made with. */
  status(endpoint: string, options?: EtcdCallOptions): Promise<MemberStatus>;
  readonly endpoints: readonly string[];
  close(): void;
}

export interface EtcdCallOptions {
  /** From now until the answer. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Of every answer: who gave it, and the newest revision at that moment. */
export interface Header {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly revision: number;
  readonly raftTerm: number;
}

export interface KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
  /** Times that the key was written since it was created. */
  readonly version: number;
  /** 0n: none. */
  readonly lease: bigint;
}

/** One key, or with `rangeEnd` all from `key` up to and without it. */
export interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd?: Uint8Array;
}

export interface RangeRequest extends KeyRange {
  /** 0 or absent: all. */
  readonly limit?: number;
  /** Absent: the newest. */
  readonly revision?: number;
  readonly keysOnly?: boolean;
  readonly countOnly?: boolean;
}

export interface RangeAnswer {
  readonly header: Header;
  readonly kvs: readonly KeyValue[];
  /** There are more than `limit`. */
  readonly more: boolean;
  readonly count: number;
}

/** Numbers of the wire: the name of an enumeration that is not known would travel as 0, and guard nothing. */
export const compareResult = { equal: 0, greater: 1, less: 2, notEqual: 3 } as const;
export const compareTarget = { version: 0, create: 1, mod: 2, value: 3, lease: 4 } as const;

type Result = (typeof compareResult)[keyof typeof compareResult];

export type Compare = { readonly key: Uint8Array; readonly result: Result } & (
  | { readonly target: typeof compareTarget.version; readonly version: number }
  | { readonly target: typeof compareTarget.create; readonly createRevision: number }
  | { readonly target: typeof compareTarget.mod; readonly modRevision: number }
  | { readonly target: typeof compareTarget.value; readonly value: Uint8Array }
  | { readonly target: typeof compareTarget.lease; readonly lease: bigint }
);

export interface Put {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly lease?: bigint;
}

export type EtcdOperation =
  | { readonly range: RangeRequest }
  | { readonly put: Put }
  | { readonly deleteRange: KeyRange };

export interface Txn {
  readonly compare: readonly Compare[];
  readonly success: readonly EtcdOperation[];
  readonly failure: readonly EtcdOperation[];
}

export interface TxnAnswer {
  readonly header: Header;
  /** Which of the two lists was done. Every caller must look. */
  readonly succeeded: boolean;
  /** One for each operation that was done, in order. */
  readonly answers: readonly OperationAnswer[];
}

export type OperationAnswer =
  | { readonly range: Omit<RangeAnswer, 'header'> }
  | { readonly put: Record<string, never> }
  | { readonly deleteRange: { readonly deleted: number } };

export interface Lease {
  readonly id: bigint;
  readonly ttlSeconds: number;
}

export interface WatchRequest extends KeyRange {
  /** The first revision that is wanted. */
  readonly fromRevision: number;
}

export interface WatchEvent {
  readonly kind: 'put' | 'delete';
  /** Of a deletion only the key and `modRevision` count. */
  readonly kv: KeyValue;
}

export interface WatchEvents {
  /** The member took the watch on; not before, what happens is known to nobody but the cluster. */
  created?(header: Header): void;
  /** All events of one revision. Until a returned promise resolves nothing more is handed over. */
  revision(events: readonly WatchEvent[], revision: number): void | Promise<void>;
  /** A sign of life. Its revision promises nothing: versions before 3.5.8 tell it ahead of events. */
  progress?(header: Header): void;
  /** Once; nothing comes after it. */
  failed(failure: EtcdFailure): void;
}

export interface Watching {
  /** Asks the member for a sign of life. */
  askProgress(): void;
  close(): void;
}

export interface MemberStatus {
  readonly header: Header;
  readonly version: string;
  readonly dbSizeBytes: number;
  readonly dbInUseBytes: number;
  /** Member id; 0n: there is none. */
  readonly leader: bigint;
  readonly raftIndex: number;
  /** Alarms and the like. */
  readonly errors: readonly string[];
  readonly learner: boolean;
}

export type EtcdReason =
  /** Nobody answers, or whoever does has no quorum. Nothing was done. */
  | 'unavailable'
  /** It may have been done, now or in a moment. */
  | 'unknown'
  /** The revision that was asked for is no longer there. */
  | 'compacted'
  /** The revision that was asked for has not been: another cluster, or one that was restored. */
  | 'future'
  | 'lease-gone'
  /**
   * The quota of the cluster's database is used up: it takes no more until space is made and the alarm is
   * ended.
   */
  | 'no-space'
  /** More bytes or operations than the cluster takes in one request. */
  | 'too-large'
  /** Certificate or credentials are not accepted, by either side. */
  | 'denied'
  /** An endpoint belongs to another cluster than the others. */
  | 'wrong-cluster'
  /** The client was closed, or the call was aborted before anything was sent. */
  | 'closed'
  /** Any other refusal; nothing was done. */
  | 'refused';

/** Nothing was done, except where it is an `OutcomeUnknown`. */
export class EtcdFailure extends Error {
  readonly reason: EtcdReason;

  constructor(reason: EtcdReason, message: string) {
    super(message);
    this.name = 'EtcdFailure';
    this.reason = reason;
  }
}

/** A request that changes something was sent and no answer came: look before it is sent again. */
export class OutcomeUnknown extends EtcdFailure {
  constructor(message: string) {
    super('unknown', message);
    this.name = 'OutcomeUnknown';
  }
}
