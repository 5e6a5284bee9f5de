import { StorageError } from './storage.ts';

/**
 * Work on things that have names takes turns: alone with its thing, or shared with other sharers,
 * in the order of asking. Work that is waiting leaves the line when its signal aborts.
 */
export interface KeyedTurns {
  alone<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  shared<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

type Mode = 'alone' | 'shared';

interface Line {
  alone: boolean;
  sharers: number;
  waiting: Set<{ readonly mode: Mode; readonly start: () => void }>;
}

/** A request that finds `waitingMax` others waiting for the same thing is refused. */
export const turns = (waitingMax: number): KeyedTurns => {
  const lines = new Map<string, Line>();

  const free = (line: Line, mode: Mode): boolean => !line.alone && (mode === 'shared' || line.sharers === 0);

  const take = (line: Line, mode: Mode): void => {
    if (mode === 'alone') line.alone = true;
    else line.sharers += 1;
  };

  const leave = (name: string, line: Line, mode: Mode): void => {
    if (mode === 'alone') line.alone = false;
    else line.sharers -= 1;
    admit(name, line);
  };

  const admit = (name: string, line: Line): void => {
    for (const waiter of line.waiting) {
      if (!free(line, waiter.mode)) return;
      line.waiting.delete(waiter);
      take(line, waiter.mode);
      waiter.start();
    }
    if (!line.alone && line.sharers === 0) lines.delete(name);
  };

  const enter = (name: string, line: Line, mode: Mode, signal?: AbortSignal): Promise<void> | undefined => {
    if (line.waiting.size === 0 && free(line, mode)) {
      take(line, mode);
      return undefined;
    }
    if (line.waiting.size >= waitingMax) {
      const why = `${waitingMax} other requests wait for it; try again when they are done`;
      throw new StorageError('SR_BACKEND_FAILURE', ['Too many requests', name, why]);
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        line.waiting.delete(waiter);
        admit(name, line);
        reject(signal?.reason);
      };
      const start = (): void => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const waiter = { mode, start };
      line.waiting.add(waiter);
      signal?.addEventListener('abort', abort, { once: true });
    });
  };

  const run =
    (mode: Mode): KeyedTurns['alone'] =>
    async (name, work, signal) => {
      signal?.throwIfAborted();
      const line = lines.get(name) ?? { alone: false, sharers: 0, waiting: new Set() };
      lines.set(name, line);
      await enter(name, line, mode, signal);
      try {
        return await work();
      } finally {
        leave(name, line, mode);
      }
    };

  return { alone: run('alone'), shared: run('shared') };
};
