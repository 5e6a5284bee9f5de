/**
 * Does a step of a start again when it fails, up to so many times. `again` is told of each failure but the
 * last, and throws where another time would be of no use. Rejects with the last failure.
 */
export const repeated = async <T>(
  timesMax: number,
  step: () => Promise<T>,
  again: (error: unknown) => Promise<void>,
): Promise<T> => {
  for (let times = 1; ; times += 1) {
    try {
      return await step();
    } catch (error) {
      if (times === timesMax) throw error;
      await again(error);
    }
  }
};
