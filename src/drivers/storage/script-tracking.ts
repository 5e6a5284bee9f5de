import type { AttachedSrs } from './attached-srs.ts';
import type { Datapaths } from './datapaths.ts';
import { readChangedBlocks, readNothing, readVolume } from './script-values.ts';
import { type ChangeTracking, type StorageCall, StorageError } from './storage.ts';

/** Changed blocks by SMAPIv3 scripts. */
export const scriptTracking = ({
  srs,
  datapaths,
}: {
  readonly srs: AttachedSrs;
  readonly datapaths: Datapaths;
}): ChangeTracking => {
  const run = (method: string, sr: string, key: string, call: StorageCall): Promise<void> =>
    datapaths.withVolume({ sr, key }, call, () => srs.run(sr, method, { key }, call, readNothing));
  return {
    set: (sr, key, on, call) => run(on ? 'Volume.enable_cbt' : 'Volume.disable_cbt', sr, key, call),
    dropData: (sr, key, call) => run('Volume.data_destroy', sr, key, call),
    changedBlocks: async (sr, key, key2, call) => {
      const length = (await srs.run(sr, 'Volume.stat', { key: key2 }, call, readVolume)).virtualSizeBytes;
      const args = { key, key2, offset: 0n, length };
      return srs.run(sr, 'Volume.list_changed_blocks', args, call, readChangedBlocks);
    },
    // Scripts find what they attach by their own configuration.
    configurationOf: async (sr) => {
      throw new StorageError('SR_OPERATION_NOT_SUPPORTED', [sr]);
    },
  };
};
