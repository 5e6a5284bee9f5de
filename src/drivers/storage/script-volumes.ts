import type { Clock } from '../../std/clock.ts';
import type { AttachedSrs } from './attached-srs.ts';
import type { VolumeName } from './datapath-holdings.ts';
import type { Datapaths } from './datapaths.ts';
import type { DriverKind } from './driver-kind.ts';
import type { ScriptPlugins } from './script-plugins.ts';
import { readNothing, readVolume, type ScriptVolume } from './script-values.ts';
import { type StorageCall, StorageError, type Volume, type VolumeMethod } from './storage.ts';

/** Keys kept with a volume by its plugin. */
export const VDI_TYPE = 'vdi-type';
/** The throw-away clone that stands for a volume while a guest that must not change it runs. */
export const CLONE_ON_BOOT = 'clone-on-boot';

export type ScriptVolumes = Pick<DriverKind, VolumeMethod | 'beginEpoch' | 'endEpoch'>;

export const scriptVolumes = (given: {
  readonly srs: AttachedSrs;
  readonly plugins: ScriptPlugins;
  readonly datapaths: Datapaths;
  readonly clock: Clock;
}): ScriptVolumes => {
  const { srs, plugins, datapaths, clock } = given;

  const stat = (sr: string, key: string, call: StorageCall): Promise<ScriptVolume> =>
    srs.run(sr, 'Volume.stat', { key }, call, readVolume);
  const destroy = (sr: string, key: string, call: StorageCall): Promise<void> =>
    srs.run(sr, 'Volume.destroy', { key }, call, readNothing);

  /** Sets keys of a volume that was just made, and takes it away again if that fails. */
  const complete = async (
    sr: string,
    made: ScriptVolume,
    keys: Readonly<Record<string, string>>,
    call: StorageCall,
  ): Promise<Volume> => {
    try {
      for (const [k, v] of Object.entries(keys)) {
        if (made.keys.get(k) === v) continue;
        await srs.run(sr, 'Volume.set', { key: made.key, k, v }, call, readNothing);
      }
    } catch (error) {
      await destroy(sr, made.key, { debugInfo: call.debugInfo }).catch(() => {});
      throw error;
    }
    return plain({ ...made, keys: new Map([...made.keys, ...Object.entries(keys)]) });
  };

  const inherited = ({ keys }: ScriptVolume): Readonly<Record<string, string>> => ({
    [VDI_TYPE]: keys.get(VDI_TYPE) ?? 'user',
  });

  const dropClone = async (volume: VolumeName, keys: Volume['keys'], call: StorageCall): Promise<void> => {
    const clone = keys.get(CLONE_ON_BOOT);
    if (clone === undefined) return;
    // The key goes last: a clone that nothing names would be seen as a volume.
    await destroy(volume.sr, clone, call).catch((error) => {
      if (!(error instanceof StorageError && error.code === 'VDI_MISSING')) throw error;
    });
    await srs.run(volume.sr, 'Volume.unset', { key: volume.key, k: CLONE_ON_BOOT }, call, readNothing);
  };

  return {
    createVolume: (sr, { name, description, sizeBytes, sharable, type }, call) =>
      datapaths.withSr(sr, call, async () => {
        // The interface has no type: plugins that know one save a call, and may lay the volume out for it.
        const args = { name, description, size: sizeBytes, sharable, type };
        const made = await srs.run(sr, 'Volume.create', args, call, readVolume);
        if (made.virtualSizeBytes < sizeBytes) {
          await destroy(sr, made.key, call);
          const sizes = [`${sizeBytes}`, `${made.virtualSizeBytes}`];
          throw new StorageError('SR_BACKEND_FAILURE', ['Disk too small', ...sizes]);
        }
        return complete(sr, made, { [VDI_TYPE]: type }, call);
      }),

    snapshotVolume: (sr, key, call) =>
      datapaths.withVolume({ sr, key }, call, async () => {
        const source = await stat(sr, key, call);
        const made = await srs.run(sr, 'Volume.snapshot', { key, ...live(call) }, call, readVolume);
        const keys = {
          snapshot_time: wireDate(clock.now()),
          is_a_snapshot: 'true',
          snapshot_of: source.uuid ?? source.key,
          ...inherited(source),
        };
        return complete(sr, made, keys, call);
      }),

    cloneVolume: (sr, key, call) =>
      datapaths.withVolume({ sr, key }, call, async () => {
        const source = await stat(sr, key, call);
        const made = await srs.run(sr, 'Volume.clone', { key }, call, readVolume);
        return complete(sr, made, inherited(source), call);
      }),

    destroyVolume: (sr, key, call) =>
      datapaths.withFreeVolume({ sr, key }, call, async () => {
        await dropClone({ sr, key }, (await stat(sr, key, call)).keys, call);
        await destroy(sr, key, call);
      }),

    resizeVolume: (sr, key, sizeBytes, call) =>
      datapaths.withVolume({ sr, key }, call, async () => {
        await srs.run(sr, 'Volume.resize', { key, new_size: sizeBytes, ...live(call) }, call, readNothing);
        return (await stat(sr, key, call)).virtualSizeBytes;
      }),

    statVolume: async (sr, key, call) => plain(await stat(sr, key, call)),
    updateVolume: async (sr, key, call) => plain(await stat(sr, key, call)),
    introduceVolume: async (sr, { key }, call) => plain(await stat(sr, key, call)),

    setVolumeName: (sr, key, name, call) =>
      datapaths.withVolume({ sr, key }, call, () =>
        srs.run(sr, 'Volume.set_name', { key, new_name: name }, call, readNothing),
      ),

    setVolumeDescription: (sr, key, description, call) =>
      datapaths.withVolume({ sr, key }, call, () =>
        srs.run(sr, 'Volume.set_description', { key, new_description: description }, call, readNothing),
      ),

    beginEpoch: (volume, persistent, call) =>
      datapaths.withVolume(volume, call, async () => {
        const { uris, keys } = await stat(volume.sr, volume.key, call);
        const own = await plugins.epochsFor(uris, call);
        if (own !== undefined) {
          const args = { uri: own.uri, persistent };
          return own.scripts.run('Datapath.open', args, call, readNothing);
        }
        await dropClone(volume, keys, call);
        if (persistent) return;
        const clone = await srs.run(volume.sr, 'Volume.clone', { key: volume.key }, call, readVolume);
        const args = { key: volume.key, k: CLONE_ON_BOOT, v: clone.key };
        await srs.run(volume.sr, 'Volume.set', args, call, readNothing);
      }),
    endEpoch: (volume, call) =>
      datapaths.withVolume(volume, call, async () => {
        const { uris, keys } = await stat(volume.sr, volume.key, call);
        const own = await plugins.epochsFor(uris, call);
        if (own === undefined) return dropClone(volume, keys, call);
        return own.scripts.run('Datapath.close', { uri: own.uri }, call, readNothing);
      }),
  };
};

/** Said only to plugins that know it: an argument more is nothing to others. */
const live = ({ live: isLive }: StorageCall): { readonly live?: true } => (isLive ? { live: true } : {});

/** Where datapaths find a volume is between its plugins and this layer. */
export const plain = ({ uris: _, ...volume }: ScriptVolume): Volume => volume;

/** `20260131T23:59:59Z`, as dates are written on the wire. */
const wireDate = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+|-/g, '');
