/**
 * Which epoch decided what: `[epoch, first generation]`, oldest first. Empty: nothing here is of any pool's
 * log.
 */
export type Epochs = readonly (readonly [epoch: number, first: number])[];

/**
 * How much of the pool's log a host has: everything up to `generation`, as the coordinator of `epoch` told
 * it.
 */
export interface Position {
  readonly epoch: number;
  readonly generation: number;
  /** Just started from disk: what lives in memory only is not there. */
  readonly cold?: true;
}

/** Changes of coordinator that are remembered; who was away for more of them takes a whole copy. */
export const epochsMax = 64;

/** Of a host that never was in a pool with others, and of folders written before there were epochs. */
export const firstEpochs: Epochs = [[1, 0]];

export const newestEpoch = (epochs: Epochs): number => epochs.at(-1)?.[0] ?? 0;

/** The history once `epoch` decides what comes from generation `first` on. */
export const withEpoch = (epochs: Epochs, epoch: number, first: number): Epochs =>
  epoch === newestEpoch(epochs) ? epochs : [...epochs, [epoch, first] as const].slice(-epochsMax);

/** Everything that a host at `position` has is part of the log with this history. */
export const isPrefix = (epochs: Epochs, { epoch, generation }: Position): boolean => {
  const at = epochs.findIndex(([one]) => one === epoch);
  const first = epochs[at]?.[1];
  const next = epochs[at + 1]?.[1];
  return first !== undefined && generation >= first - 1 && (next === undefined || generation < next);
};
