import { type Clock, sleep } from './clock.ts';

const sliceMsMax = 10;

/**
 * Between the steps of long work: others have their turn whenever the steps since the last rest took long.
 */
export interface Pace {
  isOver(): boolean;
  rest(): Promise<void>;
}

export const paceOf = (clock: Clock): Pace => {
  let began = clock.monotonicMs();
  return {
    isOver: () => clock.monotonicMs() - began >= sliceMsMax,
    rest: async () => {
      await sleep(clock, 0);
      began = clock.monotonicMs();
    },
  };
};

/** Visits each item, and lets others have their turn when that takes long. */
export const inSlices = async <T>(
  clock: Clock,
  items: readonly T[],
  visit: (item: T) => void,
): Promise<void> => {
  const pace = paceOf(clock);
  for (const item of items) {
    visit(item);
    if (pace.isOver()) await pace.rest();
  }
};
