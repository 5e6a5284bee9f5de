import type { AttachedSrs } from './attached-srs.ts';
import type { VolumeName } from './datapath-holdings.ts';
import type { Datapaths } from './datapaths.ts';
import type { DriverKind } from './driver-kind.ts';
import type { ScriptPlugins } from './script-plugins.ts';
import { readNothing, readVolume, type ScriptVolume } from './script-values.ts';
import { type StorageCall, StorageError, type Volume } from './storage.ts';

// Power cycles of guests by SMAPIv3 scripts: where a datapath does not drop itself what a guest wrote, a
// clone is thrown away.

/** Key of a volume: the throw-away clone that stands for it while a guest that must not change it runs. */
export const CLONE_ON_BOOT = 'clone-on-boot';

/** The key goes last: a clone that nothing names would be seen as a volume. */
export const dropClone = async (
  srs: AttachedSrs,
  { sr, key }: VolumeName,
  keys: Volume['keys'],
  call: StorageCall,
): Promise<void> => {
  const clone = keys.get(CLONE_ON_BOOT);
  if (clone === undefined) return;
  await srs.run(sr, 'Volume.destroy', { key: clone }, call, readNothing).catch((error) => {
    if (!(error instanceof StorageError && error.code === 'VDI_MISSING')) throw error;
  });
  await srs.run(sr, 'Volume.unset', { key, k: CLONE_ON_BOOT }, call, readNothing);
};

export const scriptEpochs = ({
  srs,
  plugins,
  datapaths,
}: {
  readonly srs: AttachedSrs;
  readonly plugins: ScriptPlugins;
  readonly datapaths: Datapaths;
}): Pick<DriverKind, 'beginEpoch' | 'endEpoch'> => {
  const stat = ({ sr, key }: VolumeName, call: StorageCall): Promise<ScriptVolume> =>
    srs.run(sr, 'Volume.stat', { key }, call, readVolume);

  return {
    beginEpoch: (volume, persistent, call) =>
      datapaths.withVolume(volume, call, async () => {
        const { uris, keys } = await stat(volume, call);
        const own = await plugins.epochsFor(uris, call);
        if (own !== undefined) {
          const args = { uri: own.uri, persistent };
          return own.scripts.run('Datapath.open', args, call, readNothing);
        }
        await dropClone(srs, volume, keys, call);
        if (persistent) return;
        const { sr, key } = volume;
        const clone = await srs.run(sr, 'Volume.clone', { key }, call, readVolume);
        await srs.run(sr, 'Volume.set', { key, k: CLONE_ON_BOOT, v: clone.key }, call, readNothing);
      }),
    endEpoch: (volume, call) =>
      datapaths.withVolume(volume, call, async () => {
        const { uris, keys } = await stat(volume, call);
        const own = await plugins.epochsFor(uris, call);
        if (own === undefined) return dropClone(srs, volume, keys, call);
        return own.scripts.run('Datapath.close', { uri: own.uri }, call, readNothing);
      }),
  };
};
