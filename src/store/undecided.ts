import { Fault } from '../std/fault.ts';
import { isPrefix, newestEpoch } from './epochs.ts';
import type { Pipeline, Staged } from './state.ts';

/** Commits whose fate is waited for; of one more it is said at once that it is not known. */
export const undecidedMax = 65_536;

export const notInLog = new Fault('INTERNAL_ERROR', [
  'The pool no longer followed this host when the change was made, and does not have it; repeat the call',
]);

/** Keeps commits until the log tells; those that are too many fail with `error`. */
export const leaveOpen = (
  { undecided }: Pick<Pipeline, 'undecided'>,
  epoch: number,
  commits: readonly Staged[],
  error: unknown,
): void => {
  for (const commit of commits) {
    if (undecided.length < undecidedMax) undecided.push({ epoch, commit });
    else commit.failed(error);
  }
};

/** Answers those whose fate follows from what readers see now. */
export const tellDecided = ({ undecided, epochs, generation: seen }: Pipeline): void => {
  if (undecided.length === 0) return;
  for (const one of undecided.splice(0)) {
    const { epoch, commit } = one;
    const { generation } = commit;
    const isThere = seen >= generation && isPrefix(epochs, { epoch, generation });
    // Commits of one epoch are in the log in order, so what comes behind it may still come.
    if (isThere) commit.done();
    else if (newestEpoch(epochs) > epoch) commit.failed(notInLog);
    else undecided.push(one);
  }
};

/** The log will tell nobody here any more. */
export const endUndecided = ({ undecided }: Pick<Pipeline, 'undecided'>, error: unknown): void => {
  for (const { commit } of undecided.splice(0)) commit.failed(error);
};
