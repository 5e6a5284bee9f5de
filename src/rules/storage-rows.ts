import { type SrStat, smConfigIn, type Volume } from '../drivers/storage/storage.ts';
import type { RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { View } from '../store/view.ts';

// What several classes ask the rows of storage.

/** The attached PBD of `host`, through which it reaches the repository. */
export const pbdOf = (view: View, sr: Ref<'SR'>, host: Ref<'host'>): RecordNamed<'PBD'> | undefined =>
  (view.get('SR', sr)?.PBDs ?? [])
    .map((ref) => view.get('PBD', ref))
    .find((pbd) => pbd?.host === host && pbd.currently_attached);

/**
 * The host that does the work of a repository: one that all share is the coordinator's, one that a single
 * host has is that host's. Undefined: the coordinator.
 */
export const hostOfSr = (view: View, sr: Ref<'SR'>): Ref<'host'> | undefined => {
  const row = view.get('SR', sr);
  if (row === undefined || row.shared) return undefined;
  const pbds = row.PBDs.flatMap((ref) => view.get('PBD', ref) ?? []);
  return (pbds.find(({ currently_attached }) => currently_attached) ?? pbds[0])?.host;
};

/** Whether this host is the one that looks after a repository, and reaches it. */
export const looksAfter = (view: View, sr: Ref<'SR'>, host: Ref<'host'>): boolean =>
  (hostOfSr(view, sr) ?? view.only('pool')[1].master) === host && pbdOf(view, sr, host) !== undefined;

/** In `other_config` of a disk that a host found on its repository as it started, and that no row named. */
export const foundKey = 'xenact:found-at-start';

/** A repository has something under way, which faults spell `VDI.create`, `PBD.create` or `scan`. */
export const srBusy = (sr: Ref<'SR'>, operation: string, task: string): Fault => {
  const spelled = operation.replace(/^(vdi|pbd)_/, (_, cls: string) => `${cls.toUpperCase()}.`);
  return new Fault('OTHER_OPERATION_IN_PROGRESS', ['SR', sr, spelled, task]);
};

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

/**
 * Whether the driver of an SR type writes the rows of its disks and the figures of its repositories
 * itself, as those of SMAPIv1 do.
 */
export const writesRows = (view: View, type: string | undefined): boolean => {
  for (const [, sm] of view.all('SM')) if (sm.type === type) return sm.required_api_version.startsWith('1.');
  return false;
};

/** The row of the disk that its driver knows by this key. */
export const diskAt = (view: View, sr: Ref<'SR'>, key: string): Ref<'VDI'> | undefined =>
  view.get('SR', sr)?.VDIs.find((ref) => view.get('VDI', ref)?.location === key);

/** What the driver tells of one disk alone. */
export const smConfigOf = ({ keys }: Volume): ReadonlyMap<string, string> => {
  const format = keys.get('image-format');
  return new Map([
    ...smConfigIn(keys),
    ...(format === undefined ? [] : ([['image-format', format]] as const)),
  ]);
};

/** Changes of a disk during which its repository must neither be scanned nor go away. */
const changing: readonly string[] = [
  'clone',
  'snapshot',
  'destroy',
  'resize',
  'resize_online',
  'update',
  'forget',
];

/** The disks of a repository are objects of their own, so whoever acts on all of them waits for them. */
export const diskInTheWay = (view: View, sr: Ref<'SR'>): Fault | undefined => {
  for (const ref of view.get('SR', sr)?.VDIs ?? []) {
    for (const [task, running] of view.get('VDI', ref)?.current_operations ?? []) {
      if (changing.includes(running)) {
        return new Fault('OTHER_OPERATION_IN_PROGRESS', ['VDI', ref, running, task]);
      }
    }
  }
  return undefined;
};

/** What the storage says of a repository, as the row has it. */
export const figuresOf = ({ totalBytes, freeBytes, clustered }: SrStat) => ({
  physical_size: totalBytes,
  physical_utilisation: totalBytes - freeBytes,
  clustered,
});
