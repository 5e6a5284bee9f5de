import { sleep } from '../../../std/clock.ts';
import type { Core } from '../core.ts';
import type { Machine } from '../machines.ts';
import { takeTurn } from '../queues.ts';
import { settle } from './departure.ts';

/** Asks, for as long as it takes, what became of guests whose migration from here was cut short. */
export interface Doubts {
  /** Does nothing for a guest that is not departing. */
  watch(machine: Machine): void;
  close(): Promise<void>;
}

const AGAIN_MS_MIN = 100;
const AGAIN_MS_MAX = 15_000;

export const followDoubts = (core: Core): Doubts => {
  const watched = new Map<Machine, Promise<void>>();
  const closing = new AbortController();

  const once = (machine: Machine): Promise<void> =>
    takeTurn(core.queues, machine.id, closing.signal, async () => {
      await settle(core, machine, 'what became of a migration').catch((error: unknown) => {
        core.log.warn({ vm: machine.id, error }, 'what became of a migration is not known yet');
      });
    });
  const follow = async (machine: Machine): Promise<void> => {
    try {
      for (let delayMs = AGAIN_MS_MIN; machine.departing; delayMs = Math.min(2 * delayMs, AGAIN_MS_MAX)) {
        await once(machine);
        if (machine.departing) await sleep(core.clock, delayMs, closing.signal);
      }
    } catch (error) {
      if (!closing.signal.aborted) core.log.error({ vm: machine.id, error }, 'a migration is not followed');
    } finally {
      watched.delete(machine);
    }
  };
  return {
    watch: (machine) => {
      if (machine.departing !== undefined && !watched.has(machine)) watched.set(machine, follow(machine));
    },
    close: async () => {
      closing.abort();
      await Promise.all(watched.values());
    },
  };
};
