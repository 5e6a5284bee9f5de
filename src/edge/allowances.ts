import { dateTimeOf, millisecondsOf, type Ref } from '../model/types.ts';
import type { Services } from '../objects/services.ts';
import { type CallSource, callersOf } from '../rules/callers.ts';
import { sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';

/** Calls of one limit that wait for their turn at once. */
export const limitedCallsMax = 1_000;
/** A call that would have to wait longer is refused, and costs nothing. */
export const limitedWaitMsMax = 600_000;
/** A caller says when it was last there only this coarsely, so that reads do not become writes. */
const lastAccessMs = 600_000;
const callCost = 1;

export interface CallAllowance {
  readonly burst: number;
  readonly perSecond: number;
}

/** What is left, at a time that lies ahead while calls wait: each is given its turn when it comes. */
export interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

export const fullBucket = ({ burst }: CallAllowance, atMs: number): Bucket => ({ tokens: burst, atMs });

/**
 * The bucket after a call at this time, whose `atMs` is when the call may run. One that costs more than the
 * bucket holds waits until it is full, and leaves a debt.
 */
export const spend = (
  { tokens, atMs }: Bucket,
  { burst, perSecond }: CallAllowance,
  nowMs: number,
  cost: number,
): Bucket => {
  const fromMs = Math.max(nowMs, atMs);
  const saved = Math.min(burst, tokens + ((fromMs - atMs) / 1000) * perSecond);
  const needed = Math.min(cost, burst);
  if (saved >= needed) return { tokens: saved - cost, atMs: fromMs };
  return { tokens: needed - cost, atMs: fromMs + ((needed - saved) / perSecond) * 1000 };
};

/** Counts a call for its callers. Resolves when it may run; undefined where that is now. */
export type Allowances = (source: CallSource) => Promise<void> | undefined;

interface Limited {
  bucket: Bucket;
  waiting: number;
}

/** Of what calls cost is counted on the host that answers them, and limits are held there. */
export const allowancesOf = ({ store, clock, callerUsage, log }: Services): Allowances => {
  const limits = new Map<Ref<'Rate_limit'>, Limited>();

  const noteAccess = (callers: readonly Ref<'Caller'>[]): void => {
    const nowMs = clock.now();
    store
      .commit((tx) => {
        for (const ref of callers) {
          if (tx.get('Caller', ref) !== undefined)
            tx.patch('Caller', ref, { last_access: dateTimeOf(nowMs) });
        }
      })
      .catch((error: unknown) => log.info({ error }, 'When a caller was last there could not be noted'));
  };

  const enter = (ref: Ref<'Rate_limit'>): Promise<void> | undefined => {
    const row = store.committed.get('Rate_limit', ref);
    // One without tokens cannot be made; in a row it would shut out whoever could mend it.
    if (row === undefined || !(row.burst_size > 0 && row.fill_rate > 0)) {
      limits.delete(ref);
      return undefined;
    }
    const allowance = { burst: row.burst_size, perSecond: row.fill_rate };
    const nowMs = clock.monotonicMs();
    const limited = limits.get(ref) ?? { bucket: fullBucket(allowance, nowMs), waiting: 0 };
    limits.set(ref, limited);
    if (limited.waiting >= limitedCallsMax) throw new Fault('TOO_MANY_PENDING_TASKS');
    const bucket = spend(limited.bucket, allowance, nowMs, callCost);
    const waitMs = bucket.atMs - nowMs;
    if (waitMs > limitedWaitMsMax) throw new Fault('TOO_MANY_PENDING_TASKS');
    limited.bucket = bucket;
    if (waitMs <= 0) return undefined;
    limited.waiting += 1;
    return sleep(clock, Math.ceil(waitMs)).finally(() => {
      limited.waiting -= 1;
    });
  };

  return (source) => {
    const callers = callersOf(store.committed, source);
    if (callers.length === 0) return undefined;
    const names = new Set<string>(callers.flatMap(([ref, { groups }]) => [ref, ...groups]));
    callerUsage.add(names, callCost);
    const stale = callers.filter(
      ([, { last_access }]) => clock.now() - millisecondsOf(last_access) > lastAccessMs,
    );
    if (stale.length > 0) noteAccess(stale.map(([ref]) => ref));
    const limited = callers.find(([, { rate_limit }]) => store.committed.get('Rate_limit', rate_limit));
    return limited === undefined ? undefined : enter(limited[1].rate_limit);
  };
};
