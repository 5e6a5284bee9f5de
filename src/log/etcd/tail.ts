import { EtcdFailure, type WatchEvent } from '../../drivers/etcd.ts';
import { type Batch, BatchRefused, type RowChange } from '../../store/batch.ts';
import { checkAsked } from './checking.ts';
import type { EtcdContext } from './context.ts';
import { readAnew, readNewest } from './copy.ts';
import { sameKey } from './layout.ts';
import { unpackNewest, unpackRow } from './records.ts';
import { wait } from './tenure.ts';

/**
 * What the replica got does not go on from what it has: something is missing, or is not as it was written.
 */
class Gap extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'Gap';
  }
}

/** More has been written than the watch tells. */
class Silent extends Error {
  constructor() {
    super('The watch is silent');
    this.name = 'Silent';
  }
}

/**
 * Keeps the replica in line with the log until the signal aborts, or up to `until` where that is given; calls
 * `synced` once it has all that there was when it began. Rejects when the log is not there or is not ours.
 */
export const tail = async (
  context: EtcdContext,
  { signal, synced, until }: { signal: AbortSignal; synced?: () => void; until?: number },
): Promise<void> => {
  const { journal, limits, clock, replica, place } = context;
  const goal = until ?? (await untilRead(context, signal));
  let told = false;
  let silentAt: number | undefined;
  const reached = (): boolean => {
    if (place.at === undefined || place.at.generation < goal) return false;
    if (!told) synced?.();
    told = true;
    return until !== undefined;
  };
  while (!signal.aborted) {
    try {
      if (!isInLine(context)) await readAnew(context, signal);
      if (reached()) return;
      await follow(context, signal, reached);
      if (reached()) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Gap || error instanceof BatchRefused) place.at = undefined;
      else if (error instanceof Silent) {
        // If a second watch misses the same, everything is read anew.
        if (silentAt === place.at?.generation) place.at = undefined;
        silentAt = place.at?.generation;
      } else if (!(error instanceof EtcdFailure) || error.reason === 'wrong-cluster') throw error;
      // The revision was compacted away, or is in the future, as in a cluster that was restored from a
      // snapshot.
      else if (error.reason === 'compacted' || error.reason === 'future') place.at = undefined;
      const said = { error: (error as Error).message, generation: replica.position.generation };
      journal.info(said, place.at === undefined ? 'The log is read anew' : 'The log is watched anew');
      await wait(clock, limits.retryMs, signal);
    }
  }
};

const untilRead = async (context: EtcdContext, signal: AbortSignal): Promise<number> => {
  const { clock, limits } = context;
  for (;;) {
    try {
      return (await readNewest(context, signal))?.value.generation ?? 0;
    } catch (error) {
      if (signal.aborted) return 0;
      if (!(error instanceof EtcdFailure) || error.reason === 'wrong-cluster') throw error;
      await wait(clock, limits.retryMs, signal);
    }
  }
};

const isInLine = ({ place, replica }: EtcdContext): boolean =>
  place.at !== undefined &&
  replica.position.cold !== true &&
  place.at.generation === replica.position.generation;

/** One watch, as long as it goes well. Whatever was taken of it is on this host's disk when it ends. */
const follow = async (context: EtcdContext, signal: AbortSignal, reached: () => boolean): Promise<void> => {
  const { etcd, layout, place, limits } = context;
  const underWay = new Set<Promise<unknown>>();
  const at = place.at as NonNullable<typeof place.at>;
  let close = (): void => {};
  try {
    await new Promise<void>((resolve, reject) => {
      let failed = false;
      const fail = (error: unknown): void => {
        failed = true;
        reject(error);
      };
      const take = async (events: readonly WatchEvent[], revision: number): Promise<void> => {
        // What comes after a gap is not looked at.
        if (failed) return;
        try {
          const applied = applyRevision(context, events, revision);
          if (applied !== undefined) hold(underWay, applied, fail);
          if (underWay.size >= limits.revisionsUnderWayMax) await Promise.race(underWay);
          await checkAsked(context, events, () => Promise.all(underWay));
          if (reached()) resolve();
        } catch (error) {
          fail(error);
        }
      };
      const watching = etcd.watch(
        { ...layout.all, fromRevision: at.revision + 1 },
        { revision: take, failed: fail },
      );
      const unpoll = poll(context, fail);
      const abort = (): void => resolve();
      // It may have been while everything was read anew.
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      close = () => {
        watching.close();
        unpoll();
        signal.removeEventListener('abort', abort);
      };
    });
  } finally {
    close();
    await Promise.allSettled(underWay);
  }
};

const hold = (
  underWay: Set<Promise<unknown>>,
  applied: Promise<unknown>,
  fail: (error: unknown) => void,
): void => {
  const done = applied.then(() => undefined, fail).finally(() => underWay.delete(done));
  underWay.add(done);
};

/** Takes what one revision wrote; undefined where it is none of the log's. */
const applyRevision = (
  { layout, place, replica }: EtcdContext,
  events: readonly WatchEvent[],
  revision: number,
): Promise<unknown> | undefined => {
  const at = place.at as NonNullable<typeof place.at>;
  if (revision <= at.revision) return undefined;
  const mark = events.find(({ kind, kv }) => kind === 'put' && sameKey(kv.key, layout.newest));
  const rows = events.filter(({ kv }) => layout.rowOf(kv.key) !== undefined);
  if (mark === undefined) {
    if (rows.length > 0) throw new Gap('Rows were changed by somebody who is not the leader');
    return undefined;
  }
  const newest = unpackNewest(mark.kv.value);
  const { after, written, deleted, ...log } = newest;
  // Deletions are told with the mark, since a row that came and went within a group has no event.
  const puts = rows.filter(({ kind }) => kind === 'put');
  if (after !== at.generation)
    throw new Gap(`A group goes on from ${after}, and ${at.generation} was the last`);
  if (puts.length !== written) throw new Gap(`A group of ${written} rows came with ${puts.length}`);
  const changes: RowChange[] = puts.map(({ kv }) => unpackRow(kv.value, layout.rowOf(kv.key) ?? ''));
  const batch: Batch = {
    ...log,
    acknowledged: log.generation,
    after,
    changes: [...changes, ...deleted].sort((a, b) => a.generation - b.generation),
    warms: false,
  };
  const applied = replica.apply(batch);
  place.at = { revision, generation: newest.generation };
  return applied;
};

/**
 * A watch that was cut says nothing: what has been written for as long as a poll takes and did not come is
 * missing.
 */
const poll = (context: EtcdContext, fail: (error: unknown) => void): (() => void) => {
  const { clock, limits, place } = context;
  const ended = new AbortController();
  /** Where the replica was when it was first seen to be behind. */
  let behindAt: number | undefined;
  const look = async (): Promise<void> => {
    const newest = await readNewest(context, ended.signal);
    const at = place.at?.generation ?? 0;
    const has = newest?.value.generation ?? 0;
    if (has < at) throw new Gap('The log ends before what this host has of it');
    if (has > at && behindAt === at) throw new Silent();
    behindAt = has > at ? at : undefined;
  };
  const run = async (): Promise<void> => {
    for (;;) {
      await wait(clock, limits.pollMs, ended.signal);
      if (ended.signal.aborted) return;
      await look().catch((error: unknown) => {
        if (ended.signal.aborted) return;
        // That nobody answers says nothing about the watch.
        if (!(error instanceof EtcdFailure)) fail(error);
      });
    }
  };
  void run();
  return () => ended.abort();
};
