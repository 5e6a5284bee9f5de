/** Time and chance, given as arguments so that a simulation can own both. */
export interface Clock {
  /** Milliseconds since 1970, for what people read. Never used to measure. */
  now(): number;
  /** Milliseconds of a clock that never goes back, for deadlines and durations. */
  monotonicMs(): number;
  /** Runs `run` once after `delayMs`; the returned function cancels it. Does not keep the process alive. */
  after(delayMs: number, run: () => void): () => void;
}

export interface Random {
  /** A version 4 UUID in lower case. */
  uuid(): string;
  /** `count` random bytes fit for secrets. */
  bytes(count: number): Uint8Array;
  /** An even number in [0, 1), not for secrets. */
  fraction(): number;
}

/** False where the work is not over after `delayMs`; it goes on all the same. Rejects as the work does. */
export const within = (clock: Clock, delayMs: number, work: Promise<unknown>): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const cancel = clock.after(delayMs, () => resolve(false));
    work.finally(cancel).then(() => resolve(true), reject);
  });

/** Resolves after `delayMs`, or rejects with the reason of `signal`. */
export const sleep = (clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
