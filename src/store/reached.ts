import { Fault } from '../std/fault.ts';
import type { Pipeline } from './state.ts';

/** Calls that wait for a generation; one more is TOO_MANY_PENDING_TASKS. */
export const waitersMax = 65_536;

/** Resolves once a generation is visible. */
export const reached = (pipeline: Pipeline, generation: number, signal?: AbortSignal): Promise<void> => {
  if (pipeline.generation >= generation) return Promise.resolve();
  if (pipeline.waiters.size >= waitersMax) return Promise.reject(new Fault('TOO_MANY_PENDING_TASKS'));
  return new Promise((resolve, reject) => {
    const end = (): void => {
      pipeline.waiters.delete(waiter);
      reject(signal?.reason);
    };
    const waiter = {
      generation,
      wake: () => {
        signal?.removeEventListener('abort', end);
        resolve();
      },
    };
    if (signal?.aborted === true) return end();
    signal?.addEventListener('abort', end, { once: true });
    pipeline.waiters.add(waiter);
  });
};
