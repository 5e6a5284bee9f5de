import type { XenopsWork } from '../../drivers/hypervisor/hypervisor.ts';
import type { Clock } from '../../std/clock.ts';
import type { Value } from '../../std/value.ts';
import { lost, type XenopsCall } from './call.ts';
import { taskOf, type XenopsTask } from './tasks.ts';

// Orders to a daemon of ours name their task and are answered with it at its end, so that what is short is
// one call. A daemon of an earlier version answers at once, with the number of a task that is to be
// followed.

/** What takes longer has its progress shown. */
const SHORT_MS = 500;
/** The most that a timer takes, which is weeks: an order may take what it takes. */
const ORDER_MS_MAX = 2 ** 31 - 1;

export interface NamedOrders {
  perform(
    method: string,
    args: Readonly<Record<string, Value | undefined>>,
    work: XenopsWork,
  ): Promise<XenopsTask | string>;
  /** Rejects everyone who waits. */
  close(): void;
}

export interface NamedOrdersOptions {
  readonly order: XenopsCall;
  readonly clock: Clock;
  /** Shows the progress of a task until the returned function is called; `fail`: the daemon has gone. */
  readonly watch: (id: string, work: XenopsWork, fail: (error: unknown) => void) => () => void;
  readonly cancel: (id: string, work: XenopsWork) => void;
}

export const namedOrders = ({ order, clock, watch, cancel }: NamedOrdersOptions): NamedOrders => {
  const unanswered = new Set<(error: unknown) => void>();
  /** Names of one process differ from those of another that the daemon may still have. */
  let lastName = clock.now();
  return {
    perform: async (method, args, work) => {
      lastName += 1;
      const id = `order ${lastName}`;
      let fail: (error: unknown) => void = () => {};
      const gone = new Promise<never>((_, reject) => {
        fail = reject;
      });
      let unwatch = (): void => {};
      const stop = clock.after(SHORT_MS, () => {
        unwatch = watch(id, work, fail);
      });
      const abort = (): void => cancel(id, work);
      unanswered.add(fail);
      work.signal.addEventListener('abort', abort, { once: true });
      try {
        const named = { ...args, task: id };
        const answer = order(method, work.debugInfo, named, endOrNumber, { timeoutMs: ORDER_MS_MAX });
        return await Promise.race([answer, gone]);
      } finally {
        stop();
        unwatch();
        unanswered.delete(fail);
        work.signal.removeEventListener('abort', abort);
      }
    },
    close: () => {
      for (const fail of unanswered) fail(lost('this client is closed'));
    },
  };
};

const endOrNumber = (value: Value): XenopsTask | string =>
  typeof value === 'string' ? value : taskOf(value);
