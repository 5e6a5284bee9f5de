import type { StateFile } from '../pool/state.ts';
import { type Clock, sleep } from '../std/clock.ts';
import type { Log as Journal } from '../std/log.ts';
import type { Leadership, Log } from '../store/log.ts';

export interface NotingParts {
  readonly state: StateFile;
  readonly clock: Clock;
  readonly journal: Journal;
}

/**
 * A log that tells who leads only after this host has written it into its state file: the epoch, so that no
 * lower one is obeyed again, and whether this host leads, which an engine that elects nobody starts from.
 */
export const noting = (log: Log, { state, clock, journal }: NotingParts): Log => {
  const note = async (now: Exclude<Leadership, { kind: 'none' }>): Promise<void> => {
    const { current } = state;
    if (current === undefined) return;
    const { complete: _, coordinator, ...rest } = current;
    const epoch = Math.max(current.epoch, now.epoch);
    const role = now.kind === 'here' ? 'coordinator' : 'member';
    const led = now.kind === 'here' ? now.epoch : current.led;
    if (epoch === current.epoch && role === current.role && led === current.led) return;
    const followed = role === 'member' && coordinator !== undefined && { coordinator };
    await state.save({ ...rest, ...followed, role, epoch, led });
  };
  return {
    ...log,
    leadership: (told) => {
      let turn = 0;
      const say = async (now: Leadership, mine: number): Promise<void> => {
        while (now.kind !== 'none') {
          try {
            await note(now);
            break;
          } catch (error) {
            // A disk that is full now may have room later.
            journal.warn({ error: String(error) }, 'It is not noted yet who leads');
            await sleep(clock, againMs);
            if (turn !== mine) return;
          }
        }
        if (turn === mine) told(now);
      };
      let first = true;
      return log.leadership((now) => {
        turn += 1;
        if (now.kind === 'none') told(now);
        else {
          if (first) told({ kind: 'none' });
          void say(now, turn);
        }
        first = false;
      });
    },
    heard: async (epoch) => {
      const { current } = state;
      if (current !== undefined && epoch > current.epoch) await state.save({ ...current, epoch });
      await log.heard(epoch);
    },
  };
};

const againMs = 1_000;
