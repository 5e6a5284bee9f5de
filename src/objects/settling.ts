import { sleep } from '../std/clock.ts';
import type { Tx } from '../store/view.ts';
import type { InvokerOptions } from './invocation.ts';

/** An hour: by then an operator has seen to it that the pool can commit, or the task's host was restarted. */
export const settlingsMax = 720;
const againMs = 5_000;

/**
 * Commits what a call leaves behind at its end: its task, and marks on objects. It must not stay open because
 * nobody could commit just then, so that is repeated until it is done; whoever waits for the call waits for
 * the first time only, and is answered whether it was done then. `make` may run more than once and must be
 * content with what is settled already.
 */
export const settle = async (
  { store, services }: Pick<InvokerOptions, 'store' | 'services'>,
  about: object,
  make: (tx: Tx) => void,
): Promise<boolean> => {
  try {
    await store.commit(make);
    return true;
  } catch (error) {
    services.log.warn({ error, ...about }, 'The end of a call could not be noted; it is tried again');
    void repeated({ store, services }, about, make);
    return false;
  }
};

const repeated = async (
  { store, services }: Pick<InvokerOptions, 'store' | 'services'>,
  about: object,
  make: (tx: Tx) => void,
): Promise<void> => {
  for (let settlings = 1; ; settlings += 1) {
    await sleep(services.clock, againMs);
    try {
      return await store.commit(make);
    } catch (error) {
      if (settlings < settlingsMax) continue;
      services.log.error({ error, ...about }, 'The end of a call was not noted');
      return;
    }
  }
};
