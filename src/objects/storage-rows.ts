import type { RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { View } from '../store/view.ts';

// What several classes ask the rows of storage.

/** The attached PBD of `host`, through which it reaches the repository. */
export const pbdOf = (view: View, sr: Ref<'SR'>, host: Ref<'host'>): RecordNamed<'PBD'> | undefined =>
  (view.get('SR', sr)?.PBDs ?? [])
    .map((ref) => view.get('PBD', ref))
    .find((pbd) => pbd?.host === host && pbd.currently_attached);

/** Drives that hold a disk now, or are about to. */
export const drivesInUse = (view: View, vdi: RecordNamed<'VDI'>): readonly RecordNamed<'VBD'>[] =>
  vdi.VBDs.flatMap((ref) => view.get('VBD', ref) ?? []).filter(
    (vbd) => vbd.currently_attached || vbd.reserved,
  );

/** What the driver of an SR type can do; nothing when there is no such driver. */
export const featuresOf = (view: View, type: string | undefined): ReadonlyMap<string, bigint> => {
  for (const [, sm] of view.all('SM')) if (sm.type === type) return sm.features;
  return new Map();
};
