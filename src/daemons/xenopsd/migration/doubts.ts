import { sleep } from '../../../std/clock.ts';
import type { Core } from '../core.ts';
import { takeTurn } from '../queues.ts';
import type { VmEntry } from '../vm-entries.ts';
import { resolveDoubt } from './departure.ts';

/** Asks, for as long as it takes, what became of guests whose migration from here was cut short. */
export interface Doubts {
  /** Does nothing for a guest that is not departing. */
  watch(entry: VmEntry): void;
  close(): Promise<void>;
}

const AGAIN_MS_MIN = 100;
const AGAIN_MS_MAX = 15_000;

export const followDoubts = (core: Core): Doubts => {
  const watched = new Map<VmEntry, Promise<void>>();
  const closing = new AbortController();

  const once = (entry: VmEntry): Promise<void> =>
    takeTurn(core.queues, entry.id, closing.signal, async () => {
      await resolveDoubt(core, entry, 'what became of a migration').catch((error: unknown) => {
        core.log.warn({ vm: entry.id, error }, 'what became of a migration is not known yet');
      });
    });
  const follow = async (entry: VmEntry): Promise<void> => {
    try {
      for (let delayMs = AGAIN_MS_MIN; entry.departing; delayMs = Math.min(2 * delayMs, AGAIN_MS_MAX)) {
        await once(entry);
        if (entry.departing) await sleep(core.clock, delayMs, closing.signal);
      }
    } catch (error) {
      if (!closing.signal.aborted) core.log.error({ vm: entry.id, error }, 'a migration is not followed');
    } finally {
      watched.delete(entry);
    }
  };
  return {
    watch: (entry) => {
      if (entry.departing !== undefined && !watched.has(entry)) watched.set(entry, follow(entry));
    },
    close: async () => {
      closing.abort();
      await Promise.all(watched.values());
    },
  };
};
