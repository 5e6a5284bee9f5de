/** What the log in etcd waits for and holds at most. */
export interface EtcdLogLimits {
  /** A leader that cannot be heard for so long is replaced. */
  readonly leaseSeconds: number;
  /** Of one call. */
  readonly callMs: number;
  /** Between two calls that failed. */
  readonly retryMs: number;
  /** How often the newest generation is read beside the watch, which may be silent without cause. */
  readonly pollMs: number;
  /** How long the others wait for the host that was chosen to lead next. */
  readonly handOverSeconds: number;
  /** Between two comparisons of all rows. */
  readonly hashMs: number;
  /** Rows of one page of a whole copy. */
  readonly pageRowsMax: number;
  /** Revisions that are being written to this host's disk. */
  readonly revisionsUnderWayMax: number;
}

export const etcdLogLimits: EtcdLogLimits = {
  leaseSeconds: 5,
  callMs: 1_000,
  retryMs: 100,
  pollMs: 1_000,
  handOverSeconds: 10,
  hashMs: 600_000,
  pageRowsMax: 512,
  revisionsUnderWayMax: 64,
};

/**
 * Part of the lease after which this host no longer counts as leader, from when it sent what last confirmed
 * it.
 */
export const leasePartMax = 0.75;

// What a cluster must take in one transaction. What waits is cut to it; one commit that is over it fails.
export const operationsMax = 16_384;
export const requestBytesMax = 8 * 1_048_576;
/** Of the operations, those that are not rows. */
export const ownOperationsMax = 8;
/** Bytes that an operation takes in a request beside its key and value. */
export const operationBytes = 32;
