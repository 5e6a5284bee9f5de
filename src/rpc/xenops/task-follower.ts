import { isLost, isMissing, XenopsError, type XenopsWork } from '../../drivers/hypervisor/hypervisor.ts';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import { stringOf } from '../../std/reader.ts';
import type { Value } from '../../std/value.ts';
import { lost, type XenopsCall } from './call.ts';
import { namedOrders } from './named-orders.ts';
import { taskOf, type XenopsTaskState } from './tasks.ts';
import { instanceOf, lastIdOf, pollUpdates } from './updates.ts';

/**
 * Waits for tasks of the daemon. One of ours answers an order at its end, and its task is looked at only
 * where that takes long enough for people to care; of others each task is followed. One question for
 * updates is open for all of them together; the place to ask from is taken before a task is looked at, so
 * that its end falls on one side or the other.
 */
export interface TaskFollower {
  /** Calls `method`, which answers a task's id, and resolves with the task's result. */
  run(
    method: string,
    args: Readonly<Record<string, Value | undefined>>,
    work: XenopsWork,
  ): Promise<Value | undefined>;
  /** Rejects everyone who waits. */
  close(): Promise<void>;
}

interface Waiter {
  /** Something of the task changed. */
  readonly notice: () => void;
  readonly fail: (error: unknown) => void;
}

const DEBUG_INFO = 'task follower';
/** Tasks that one client follows at once; more are refused. */
const FOLLOWED_MAX = 10_000;

/** One question for updates, open while somebody waits. */
const listenerFor = (call: XenopsCall, waiters: ReadonlyMap<string, Waiter>, signal: AbortSignal) => {
  let loop: { readonly ready: Promise<void>; readonly done: Promise<void> } | undefined;

  const failAll = (error: unknown): void => {
    for (const waiter of [...waiters.values()]) waiter.fail(error);
  };
  const poll = async (start: Promise<readonly [string, number]>): Promise<void> => {
    try {
      let [instanceId, lastId] = await start;
      while (waiters.size > 0) {
        const found = await pollUpdates(call, DEBUG_INFO, { instanceId, lastId }, signal);
        for (const [kind, id] of found.updates) if (kind === 'Task') waiters.get(id)?.notice();
        lastId = found.next;
      }
    } catch (error) {
      failAll(error);
    } finally {
      // In the same turn: whoever comes next starts a new one.
      loop = undefined;
    }
  };
  /** Resolves once updates are asked for from a place that is not later than now. */
  const listen = (): Promise<void> => {
    if (loop === undefined) {
      const start = Promise.all([
        instanceOf(call, DEBUG_INFO, signal),
        lastIdOf(call, DEBUG_INFO, signal),
      ] as const);
      loop = { ready: start.then(() => {}), done: poll(start) };
    }
    return loop.ready;
  };
  return { listen, failAll, ended: async () => loop?.done };
};

export interface FollowerOptions {
  readonly call: XenopsCall;
  /** Makes the calls that are followed, `call` all others: an order that was taken is seen to its end. */
  readonly order: XenopsCall;
  readonly clock: Clock;
  readonly log: Log;
  /** The daemon is one of ours. */
  readonly isOurs: boolean;
}

export const taskFollower = ({ call, order, clock, log, isOurs }: FollowerOptions): TaskFollower => {
  const waiters = new Map<string, Waiter>();
  const closing = new AbortController();
  const listener = listenerFor(call, waiters, closing.signal);

  const cancelTask = (id: string, { debugInfo }: XenopsWork): void => {
    call('Task.cancel', debugInfo, { id }, () => {}).catch((error: unknown) =>
      log.warn({ task: id, error }, 'a task could not be cancelled'),
    );
  };
  const finished = (id: string, work: XenopsWork): Promise<Outcome> =>
    new Promise((resolve) => {
      const finish = (outcome: Outcome): void => {
        waiters.delete(id);
        work.signal.removeEventListener('abort', cancel);
        resolve(outcome);
      };
      const fail = (error: unknown): void => finish({ kind: 'lost', error });
      const cancel = (): void => cancelTask(id, work);
      const notice = taskWatch(call, id, work, finish);
      waiters.set(id, { notice, fail });
      work.signal.addEventListener('abort', cancel, { once: true });
      if (work.signal.aborted) cancel();
      listener.listen().then(notice, fail);
    });

  const watch = (id: string, work: XenopsWork, fail: (error: unknown) => void): (() => void) => {
    const notice = taskWatch(call, id, work, () => {});
    waiters.set(id, { notice, fail });
    listener.listen().then(notice, fail);
    return () => waiters.delete(id);
  };
  const named = namedOrders({ order, clock, watch, cancel: cancelTask });
  let running = 0;

  const followed = async (id: string, work: XenopsWork): Promise<Outcome> => {
    const outcome = await finished(id, work);
    // A daemon that came back may have another task of this number by now: that one is left alone.
    if (!(outcome.kind === 'lost' && isLost(outcome.error))) {
      // Nobody has to wait for that.
      call('Task.destroy', work.debugInfo, { id }, () => {}).catch((error: unknown) =>
        log.debug({ task: id, error }, 'a task could not be destroyed'),
      );
    }
    return outcome;
  };

  return {
    run: async (method, args, work) => {
      if (work.signal.aborted) throw new XenopsError('Cancelled', [work.debugInfo]);
      if (closing.signal.aborted) throw lost('this client is closed');
      if (running >= FOLLOWED_MAX) {
        throw new XenopsError('Internal_error', [`${FOLLOWED_MAX} tasks are followed already; try later`]);
      }
      running += 1;
      try {
        const told = isOurs
          ? await named.perform(method, args, work)
          : await order(method, work.debugInfo, args, stringOf);
        const outcome = typeof told === 'string' ? await followed(told, work) : endOf(told.state);
        if (outcome.kind === 'completed') return outcome.result;
        throw outcome.error;
      } finally {
        running -= 1;
      }
    },
    close: async () => {
      closing.abort();
      named.close();
      listener.failAll(lost('this client is closed'));
      await listener.ended();
    },
  };
};

type Outcome =
  | { readonly kind: 'completed'; readonly result: Value | undefined }
  | { readonly kind: 'failed'; readonly error: XenopsError }
  /** What became of the task cannot be told. */
  | { readonly kind: 'lost'; readonly error: unknown };

const endOf = (state: XenopsTaskState): Outcome => {
  switch (state.kind) {
    case 'Completed':
      return { kind: 'completed', result: state.result };
    case 'Failed':
      return { kind: 'failed', error: state.error };
    case 'Pending':
      return { kind: 'lost', error: new XenopsError('Internal_error', ['an order was answered half done']) };
  }
};

/**
 * The returned function looks at the task, or once more after the look that is under way. A number means
 * the same task only while it was made at the same time: otherwise a new daemon counts anew.
 */
const taskWatch = (
  call: XenopsCall,
  id: string,
  work: XenopsWork,
  finish: (outcome: Outcome) => void,
): (() => void) => {
  let looking = false;
  let again = false;
  let ctime: number | undefined;

  const look = async (): Promise<void> => {
    const task = await call('Task.stat', work.debugInfo, { id }, taskOf);
    ctime ??= task.ctime;
    if (task.ctime !== ctime) throw lost('the daemon has restarted');
    switch (task.state.kind) {
      case 'Pending':
        work.progress(task.state.progress);
        work.cancellable?.(task.cancellable);
        return;
      default:
        return finish(endOf(task.state));
    }
  };
  const lookUntilSeen = async (): Promise<void> => {
    looking = true;
    try {
      for (again = true; again; ) {
        again = false;
        await look();
      }
    } catch (error) {
      finish({ kind: 'lost', error: isMissing(error) ? lost(`the daemon forgot task ${id}`) : error });
    }
    looking = false;
  };
  return () => {
    again = true;
    if (!looking) void lookUntilSeen();
  };
};
