import { EtcdFailure, type Header, type WatchEvents, type WatchRequest } from '../../drivers/etcd.ts';
import type { Life } from '../life.ts';
import type { History } from './history.ts';

/** One watch, on its way from the cluster to a process. */
export interface EtcdFeed {
  /** It says nothing any more, not even that it ended. */
  silent: boolean;
  /** There may be something new. */
  wake(): void;
  fail(failure: EtcdFailure): void;
  close(): void;
}

export interface FeedOptions {
  readonly history: History;
  readonly life: Life;
  readonly request: WatchRequest;
  readonly events: WatchEvents;
  readonly head: () => Header;
  readonly travelMs: () => number;
  /** The cluster works and hears the process. */
  readonly reachable: () => boolean;
  /** The events of that revision were lost on the way. */
  readonly isDropped: (revision: number) => boolean;
}

export const feedWatch = (options: FeedOptions): EtcdFeed => {
  const { history, life, request, events, reachable, travelMs, isDropped } = options;
  let next = request.fromRevision;
  let busy = false;
  let ended = false;
  let created = false;

  const fail = (failure: EtcdFailure): void => {
    if (ended || feed.silent) return;
    ended = true;
    life.after(travelMs(), () => events.failed(failure));
  };
  const give = async (): Promise<void> => {
    if (!created) {
      created = true;
      events.created?.(options.head());
    }
    while (!ended && !feed.silent && reachable() && next <= history.revision) {
      if (next < history.compacted) {
        return fail(new EtcdFailure('compacted', 'The history of the watch is gone'));
      }
      const revision = next;
      next += 1;
      const changed = isDropped(revision) ? [] : history.events(revision, request);
      if (changed.length > 0) await events.revision(changed, revision);
    }
  };
  const wake = (): void => {
    if (busy || ended || feed.silent || !reachable()) return;
    busy = true;
    life.after(travelMs(), () => {
      const done = (): void => {
        busy = false;
        if (next <= history.revision) wake();
      };
      if (ended || feed.silent) done();
      else void give().then(done);
    });
  };
  const feed: EtcdFeed = {
    silent: false,
    wake,
    fail,
    close: () => {
      ended = true;
    },
  };
  wake();
  return feed;
};
