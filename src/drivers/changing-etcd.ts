import type { Etcd } from './etcd.ts';

/** A client of a cluster whose members come and go. */
export interface ChangingEtcd extends Etcd {
  /** Calls and watches that begin from now on go to the members that there are now. */
  changed(): void;
}

/**
 * What has begun with an earlier client goes on with it until its members are gone, which fails it like any
 * member that
 * fails. `connect`: to the members that there are when it is called.
 */
export const changingEtcd = (connect: () => Etcd): ChangingEtcd => {
  let current = connect();
  const former: Etcd[] = [];
  return {
    range: (...asked) => current.range(...asked),
    txn: (...asked) => current.txn(...asked),
    watch: (...asked) => current.watch(...asked),
    leaseGrant: (...asked) => current.leaseGrant(...asked),
    leaseKeepAlive: (...asked) => current.leaseKeepAlive(...asked),
    leaseRevoke: (...asked) => current.leaseRevoke(...asked),
    compact: (...asked) => current.compact(...asked),
    status: (...asked) => current.status(...asked),
    get endpoints() {
      return current.endpoints;
    },
    changed: () => {
      former.push(current);
      if (former.length > formerMax) former.shift()?.close();
      current = connect();
    },
    close: () => {
      for (const one of [current, ...former]) one.close();
    },
  };
};

const formerMax = 8;
