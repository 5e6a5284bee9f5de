import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';

/** One queue for each VM: whoever is in does its work, the others wait in order of arrival. */
export interface Queues {
  /** Resolves with the function that leaves. Aborting while waiting rejects with the signal's reason. */
  enter(vm: string, signal?: AbortSignal): Promise<() => void>;
}

export const vmQueues = (waitingMax: number): Queues => {
  /** Present while somebody is in; the list is of those who wait. */
  const queues = new Map<string, Set<() => void>>();

  const leave = (vm: string): void => {
    const waiting = queues.get(vm);
    const next = waiting?.values().next().value;
    if (next === undefined) queues.delete(vm);
    else {
      waiting?.delete(next);
      next();
    }
  };
  const ticket = (vm: string): (() => void) => {
    let inside = true;
    return () => {
      if (inside) leave(vm);
      inside = false;
    };
  };
  return {
    enter: (vm, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const waiting = queues.get(vm);
        if (waiting === undefined) {
          queues.set(vm, new Set());
          return resolve(ticket(vm));
        }
        if (waiting.size >= waitingMax) {
          return reject(
            new XenopsError('Internal_error', [
              `${waitingMax} operations wait for VM ${vm} already; try later`,
            ]),
          );
        }
        const abort = (): void => {
          waiting.delete(go);
          reject(signal?.reason);
        };
        const go = (): void => {
          signal?.removeEventListener('abort', abort);
          resolve(ticket(vm));
        };
        signal?.addEventListener('abort', abort, { once: true });
        waiting.add(go);
      }),
  };
};

/** Runs in the queue of the VM. */
export const takeTurn = async <T>(
  queues: Queues,
  vm: string,
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> => {
  const leave = await queues.enter(vm, signal);
  try {
    return await run();
  } finally {
    leave();
  }
};
