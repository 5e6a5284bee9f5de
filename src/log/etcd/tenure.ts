import { compareResult, compareTarget, type Etcd, EtcdFailure, type KeyValue } from '../../drivers/etcd.ts';
import type { EtcdContext } from './context.ts';
import { leasePartMax } from './limits.ts';
import { type Newest, pack, unpackNewest } from './records.ts';

/** The time in which this host is the one that leads, for as long as it can know. */
export interface Tenure {
  readonly token: number;
  readonly epoch: number;
  /** The newest group, which a commit of this tenure goes on from, and the revision that wrote it. */
  newest: { readonly revision: number; readonly generation: number };
  /** Aborted once this host may no longer be the one; told before any other could be. */
  readonly over: AbortSignal;
  /** Until then nobody else leads, whatever happens. On the monotonic clock. */
  readonly untilMs: number;
  /** Throws once the time is up, also where no timer has fired yet. */
  assert(): void;
  /** Gives up what is left, so that another need not wait. */
  end(why: string): Promise<void>;
}

/** This host's time as leader is over. */
export class TenureOver extends Error {
  constructor(why: string) {
    super(`This host no longer leads: ${why}`);
    this.name = 'TenureOver';
  }
}

interface Won {
  readonly token: number;
  readonly newest: { readonly value: Newest; readonly revision: number } | undefined;
}

/**
 * Takes the lead if nobody has it: undefined where somebody has. Whatever happens, the lease goes when this
 * host is not heard for so long, and with it the key.
 */
export const stand = async (
  context: EtcdContext,
  epochBase: number,
): Promise<{ readonly tenure: Tenure; readonly newest: Won['newest'] } | undefined> => {
  const { etcd, clock, limits } = context;
  const sentMs = clock.monotonicMs();
  const lease = await etcd.leaseGrant(limits.leaseSeconds, { timeoutMs: limits.callMs });
  const ttlMs = lease.ttlSeconds * 1_000;
  const won = await take(context, lease.id).catch(async (error: unknown) => {
    await revoke(etcd, lease.id, limits.callMs);
    throw error;
  });
  if (won === undefined) {
    await revoke(etcd, lease.id, limits.callMs);
    return undefined;
  }
  const tenure = tenureOf(context, { lease: lease.id, ttlMs, sentMs, token: won.token, epochBase });
  if (won.newest !== undefined) {
    tenure.newest = { revision: won.newest.revision, generation: won.newest.value.generation };
  }
  return { tenure, newest: won.newest };
};

const revoke = (etcd: Etcd, lease: bigint, timeoutMs: number): Promise<void> =>
  // It ends by itself too.
  etcd.leaseRevoke(lease, { timeoutMs }).catch(() => undefined);

/**
 * Puts this host's name where the leader's is. An attempt that may have been made is looked for before it
 * counts.
 */
const take = async (context: EtcdContext, lease: bigint): Promise<Won | undefined> => {
  const { etcd, layout, limits, self } = context;
  const coordinator = { key: layout.coordinator };
  const answer = await etcd.txn(
    {
      compare: [
        { ...coordinator, result: compareResult.equal, target: compareTarget.create, createRevision: 0 },
      ],
      success: [
        { put: { ...coordinator, value: pack(self), lease } },
        { deleteRange: { key: layout.next } },
        { range: { key: layout.newest } },
      ],
      failure: [{ range: coordinator }, { range: { key: layout.newest } }],
    },
    { timeoutMs: limits.callMs },
  );
  const ranges = answer.answers.flatMap((one) => ('range' in one ? [one.range.kvs[0]] : []));
  if (answer.succeeded) return { token: answer.header.revision, newest: newestOf(ranges[0]) };
  const [held, newest] = ranges;
  if (held === undefined || held.lease !== lease) return undefined;
  return { token: held.createRevision, newest: newestOf(newest) };
};

const newestOf = (kv: KeyValue | undefined): Won['newest'] =>
  kv && { value: unpackNewest(kv.value), revision: kv.modRevision };

const tenureOf = (
  { etcd, clock, limits, journal, self }: EtcdContext,
  given: {
    readonly lease: bigint;
    readonly ttlMs: number;
    readonly sentMs: number;
    readonly token: number;
    readonly epochBase: number;
  },
): Tenure => {
  const { lease, ttlMs, token } = given;
  const over = new AbortController();
  let untilMs = given.sentMs + ttlMs * leasePartMax;
  let cancel = (): void => {};
  const close = (why: string): void => {
    if (over.signal.aborted) return;
    cancel();
    journal.info({ host: self.host, why }, 'This host no longer leads its pool');
    over.abort(new TenureOver(why));
  };
  const expired = 'the cluster did not confirm it in time';
  /** A timer of its own: what keeps the lease may itself be waiting. */
  const watch = (): void => {
    cancel();
    const leftMs = untilMs - clock.monotonicMs();
    if (leftMs <= 0) close(expired);
    else cancel = clock.after(leftMs, watch);
  };
  const keep = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await wait(clock, ttlMs / 5, over.signal);
      if (over.signal.aborted) return;
      const sentMs = clock.monotonicMs();
      try {
        const seconds = await etcd.leaseKeepAlive(lease, { timeoutMs: limits.callMs, signal: over.signal });
        if (seconds === 0) return close('its lease is gone');
        untilMs = Math.max(untilMs, sentMs + Math.min(seconds * 1_000, ttlMs) * leasePartMax);
        watch();
      } catch (error) {
        if (!(error instanceof EtcdFailure)) throw error;
        journal.debug({ error: error.message }, 'The lease could not be confirmed');
      }
    }
  };
  watch();
  keep().catch((error: unknown) => close(String(error)));
  return {
    token,
    epoch: given.epochBase + token,
    newest: { revision: 0, generation: 0 },
    over: over.signal,
    get untilMs() {
      return untilMs;
    },
    assert: () => {
      if (clock.monotonicMs() >= untilMs) close(expired);
      if (over.signal.aborted) throw over.signal.reason;
    },
    end: async (why) => {
      close(why);
      await revoke(etcd, lease, limits.callMs);
    },
  };
};

/** Resolves after so long, or as soon as the signal aborts. */
export const wait = (clock: EtcdContext['clock'], delayMs: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
  });

/**
 * Who leads, as a comparison of a transaction: what is done under it is done by this tenure or not at all.
 */
export const under = (coordinator: Uint8Array, token: number) => ({
  key: coordinator,
  result: compareResult.equal,
  target: compareTarget.create,
  createRevision: token,
});
