/** Format of the data folder. Raised by one with each change that an older version could not read. */
export const formatVersion = 2;

/**
 * What turns a folder of format N into one of format N + 1, under N. Each runs in the LMDB transaction
 * that also raises the format, so a folder is never half migrated.
 */
const migrations: ReadonlyMap<number, (databases: unknown) => void> = new Map([
  // Format 2 has the history of epochs. A folder without one is of a host that was always alone.
  [1, () => {}],
]);

export const migrate = (from: number, databases: unknown): void => {
  for (let format = from; format < formatVersion; format++) {
    const step = migrations.get(format);
    if (step === undefined) throw new Error(`No migration from data format ${format} to ${format + 1}`);
    step(databases);
  }
};
