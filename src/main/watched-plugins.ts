import { watch } from 'node:fs';
import type { Clock } from '../std/clock.ts';
import type { Log } from '../std/log.ts';

/** Plugins are copied file by file: what comes in one go is looked at once. */
const quietMs = 500;

/**
 * Looks again, by `look`, whenever something appeared, changed or went below a folder of plugins; never twice
 * at once. Where the system watches no more folders it says so, and plugins are found at the next start.
 */
export const watchPlugins = (
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  folder: string,
  look: () => Promise<unknown>,
): { close(): Promise<void> } => {
  let cancel = (): void => {};
  let looking: Promise<unknown> = Promise.resolve();
  let closed = false;
  const changed = (): void => {
    cancel();
    if (closed) return;
    cancel = clock.after(quietMs, () => {
      looking = looking
        .then(look)
        .catch((error: unknown) => log.warn({ error, folder }, 'Storage plugins could not be looked at'));
    });
  };
  const unwatched = (error: unknown): void =>
    log.warn({ error, folder }, 'New storage plugins are not seen before the next start');
  const watcher = (() => {
    try {
      return watch(folder, { recursive: true, persistent: false }, changed).on('error', unwatched);
    } catch (error) {
      unwatched(error);
      return undefined;
    }
  })();
  return {
    close: async () => {
      closed = true;
      cancel();
      watcher?.close();
      await looking;
    },
  };
};
