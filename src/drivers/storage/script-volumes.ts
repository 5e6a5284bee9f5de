import type { Clock } from '../../std/clock.ts';
import type { AttachedSrs } from './attached-srs.ts';
import type { Datapaths } from './datapaths.ts';
import type { DriverKind } from './driver-kind.ts';
import { dropClone } from './script-epochs.ts';
import { readNothing, readVolume, type ScriptVolume } from './script-values.ts';
import { type StorageCall, StorageError, smConfigKeys, type Volume, type VolumeMethod } from './storage.ts';

/** Keys kept with a volume by its plugin. */
export const VDI_TYPE = 'vdi-type';

/** Sets keys of a volume that was just made, and takes it away again if that fails. */
const complete = async (
  srs: AttachedSrs,
  sr: string,
  made: ScriptVolume,
  keys: Readonly<Record<string, string>>,
  call: StorageCall,
): Promise<Volume> => {
  const { key } = made;
  try {
    for (const [k, v] of Object.entries(keys)) {
      if (made.keys.get(k) === v) continue;
      await srs.run(sr, 'Volume.set', { key, k, v }, call, readNothing);
    }
  } catch (error) {
    const later = { debugInfo: call.debugInfo };
    await srs.run(sr, 'Volume.destroy', { key }, later, readNothing).catch(() => {});
    throw error;
  }
  return plain({ ...made, keys: new Map([...made.keys, ...Object.entries(keys)]) });
};

const inherited = ({ keys }: ScriptVolume): Readonly<Record<string, string>> => ({
  [VDI_TYPE]: keys.get(VDI_TYPE) ?? 'user',
});

export type ScriptVolumes = Pick<DriverKind, VolumeMethod>;

export const scriptVolumes = (given: {
  readonly srs: AttachedSrs;
  readonly datapaths: Datapaths;
  readonly clock: Clock;
}): ScriptVolumes => {
  const { srs, datapaths, clock } = given;

  const stat = (sr: string, key: string, call: StorageCall): Promise<ScriptVolume> =>
    srs.run(sr, 'Volume.stat', { key }, call, readVolume);
  const destroy = (sr: string, key: string, call: StorageCall): Promise<void> =>
    srs.run(sr, 'Volume.destroy', { key }, call, readNothing);

  return {
    createVolume: (sr, { name, description, sizeBytes, sharable, type, smConfig }, call) =>
      datapaths.withSr(sr, call, async () => {
        // The interface has no type: plugins that know one save a call, and may lay the volume out for it.
        const args = { name, description, size: sizeBytes, sharable, type };
        const keys = { ...smConfigKeys(smConfig), [VDI_TYPE]: type };
        const made = await srs.run(sr, 'Volume.create', args, call, readVolume);
        if (made.virtualSizeBytes < sizeBytes) {
          await destroy(sr, made.key, call);
          const sizes = [`${sizeBytes}`, `${made.virtualSizeBytes}`];
          throw new StorageError('SR_BACKEND_FAILURE', ['Disk too small', ...sizes]);
        }
        return complete(srs, sr, made, keys, call);
      }),

    snapshotVolume: (sr, key, call) =>
      datapaths.withVolume({ sr, key }, call, async () => {
        const source = await stat(sr, key, call);
        const keys = {
          is_a_snapshot: 'true',
          snapshot_of: source.uuid ?? source.key,
          ...inherited(source),
          ...smConfigKeys(call.settings),
        };
        const made = await srs.run(sr, 'Volume.snapshot', { key, ...live(call) }, call, readVolume);
        const snapshot_time = wireDate(clock.now());
        return complete(srs, sr, made, { snapshot_time, ...keys }, call);
      }),

    cloneVolume: (sr, key, call) =>
      datapaths.withVolume({ sr, key }, call, async () => {
        const source = await stat(sr, key, call);
        const keys = { ...inherited(source), ...smConfigKeys(call.settings) };
        const made = await srs.run(sr, 'Volume.clone', { key }, call, readVolume);
        return complete(srs, sr, made, keys, call);
      }),

    revertVolume: (sr, key, snapshot, call) =>
      datapaths.withVolume({ sr, key }, call, async () => {
        await srs.run(sr, 'Volume.revert', { snapshot, vdi: key }, call, readNothing);
        return plain(await stat(sr, key, call));
      }),

    destroyVolume: (sr, key, call) =>
      datapaths.withFreeVolume({ sr, key }, call, async () => {
        await dropClone(srs, { sr, key }, (await stat(sr, key, call)).keys, call);
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
  };
};

/** Said only to plugins that know it: an argument more is nothing to others. */
const live = ({ live: isLive }: StorageCall): { readonly live?: true } => (isLive ? { live: true } : {});

/** Where datapaths find a volume is between its plugins and this layer. */
export const plain = ({ uris: _, ...volume }: ScriptVolume): Volume => volume;

/** `20260131T23:59:59Z`, as dates are written on the wire. */
const wireDate = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+|-/g, '');
