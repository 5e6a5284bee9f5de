import type { Pipeline } from './state.ts';

// Where the log is elsewhere, this host's disk may have a group later than the log: a crash loses nothing,
// since the host reads from the log what its disk lacks. What the disk refuses stays owed, and is written
// before anything else.

/** Groups that this host's disk does not have yet; the next one waits until it has them. */
export const groupsOwedMax = 32;

/** Writes what the disk is owed, oldest first; rejects where the disk refuses. */
export const pay = (pipeline: Pipeline): Promise<void> => {
  if (pipeline.paying === undefined && pipeline.owed.length === 0) return Promise.resolve();
  pipeline.paying ??= payAll(pipeline).finally(() => {
    pipeline.paying = undefined;
  });
  return pipeline.paying;
};

const payAll = async ({ durable, owed }: Pipeline): Promise<void> => {
  while (owed.length > 0) {
    const groups = [...owed];
    await durable.write(groups);
    owed.splice(0, groups.length);
  }
};
