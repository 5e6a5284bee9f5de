import type { RecordNamed } from '../../src/model/class.ts';
import type { Infer, Ref } from '../../src/model/types.ts';
import { diskInTheWay, featuresOf, srBusy } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import { own } from '../../src/std/own.ts';
import type { View } from '../../src/store/view.ts';
import type { storageOperations } from './class.ts';

export type SrOperation = Infer<typeof storageOperations>;

/** What the driver must be able to do. Operations that are not here need nothing of it. */
const featureFor: Partial<Record<SrOperation, string>> = {
  update: 'SR_UPDATE',
  vdi_create: 'VDI_CREATE',
  vdi_destroy: 'VDI_DELETE',
  vdi_resize: 'VDI_RESIZE',
  vdi_introduce: 'VDI_INTRODUCE',
  vdi_mirror: 'VDI_MIRROR',
  vdi_enable_cbt: 'VDI_CONFIG_CBT',
  vdi_disable_cbt: 'VDI_CONFIG_CBT',
  vdi_data_destroy: 'VDI_CONFIG_CBT',
  vdi_list_changed_blocks: 'VDI_CONFIG_CBT',
  vdi_set_on_boot: 'VDI_RESET_ON_BOOT',
  vdi_snapshot: 'VDI_SNAPSHOT',
  vdi_revert: 'VDI_REVERT',
};

/** The operations that can be asked for, in the order in which `allowed_operations` lists them. */
export const srOperations = [
  'scan',
  'destroy',
  'forget',
  'plug',
  'unplug',
  'vdi_create',
  'vdi_destroy',
  'vdi_resize',
  'vdi_clone',
  'vdi_snapshot',
  'vdi_mirror',
  'vdi_enable_cbt',
  'vdi_disable_cbt',
  'vdi_data_destroy',
  'vdi_list_changed_blocks',
  'vdi_set_on_boot',
  'vdi_introduce',
  'vdi_revert',
  'update',
  'pbd_create',
  'pbd_destroy',
] as const satisfies readonly SrOperation[];

/** Hosts of an older release do not know these, so they rest until all hosts are upgraded. */
const notDuringUpgrade: readonly string[] = [
  'vdi_mirror',
  'vdi_enable_cbt',
  'vdi_disable_cbt',
  'vdi_data_destroy',
  'vdi_list_changed_blocks',
  'vdi_set_on_boot',
  'vdi_revert',
];

/** Plugging on several hosts at once is safe; everything else has the repository for itself. */
const together: readonly string[] = ['plug'];

/** Why an operation may not begin on a repository, from rows alone. */
export const srRefusal = (view: View, self: Ref<'SR'>, operation: string): Fault | undefined => {
  const sr = view.require('SR', self);
  return (
    unsupported(view, self, sr, operation) ??
    undeletable(view, self, sr, operation) ??
    upgrading(view, operation) ??
    busy(self, sr, operation)
  );
};

export const allowedOnSr = (view: View, self: Ref<'SR'>): readonly SrOperation[] =>
  srOperations.filter((operation) => srRefusal(view, self, operation) === undefined);

const unsupported = (
  view: View,
  self: Ref<'SR'>,
  sr: RecordNamed<'SR'>,
  operation: string,
): Fault | undefined => {
  const feature = own<string>(featureFor, operation);
  const lacking = feature !== undefined && !featuresOf(view, sr.type).has(feature);
  const fixed = sr.is_tools_sr && (operation === 'vdi_create' || operation === 'vdi_destroy');
  return lacking || fixed ? new Fault('SR_OPERATION_NOT_SUPPORTED', [self]) : undefined;
};

const undeletable = (
  view: View,
  self: Ref<'SR'>,
  sr: RecordNamed<'SR'>,
  operation: string,
): Fault | undefined => {
  if (operation !== 'destroy' && operation !== 'forget') return undefined;
  if (sr.PBDs.some((ref) => view.get('PBD', ref)?.currently_attached)) return new Fault('SR_HAS_PBD', [self]);
  if (operation === 'forget') return undefined;
  // A host that has a way to it must clear it.
  if (sr.PBDs.length === 0) return new Fault('SR_HAS_NO_PBDS', [self]);
  // Measurements and what the driver keeps for itself go with the repository.
  const kept = sr.VDIs.some((ref) => {
    const vdi = view.get('VDI', ref);
    return vdi?.managed === true && vdi.type !== 'rrd';
  });
  return kept ? new Fault('SR_NOT_EMPTY') : undefined;
};

const upgrading = (view: View, operation: string): Fault | undefined => {
  if (!notDuringUpgrade.includes(operation)) return undefined;
  const [, pool] = view.only('pool');
  return pool.other_config.has('rolling_upgrade_in_progress')
    ? new Fault('NOT_SUPPORTED_DURING_UPGRADE')
    : undefined;
};

const busy = (self: Ref<'SR'>, sr: RecordNamed<'SR'>, operation: string): Fault | undefined => {
  const running = [...sr.current_operations];
  const inTheWay = together.includes(operation)
    ? running.find(([, other]) => !together.includes(other))
    : running[0];
  if (inTheWay === undefined) return undefined;
  const [task, other] = inTheWay;
  return srBusy(self, other, task);
};

/**
 * What changes which disks there are, or takes them away, and so must not meet a change of one of them
 * half-way.
 */
const wholesale: readonly string[] = ['scan', 'destroy', 'forget', 'unplug'];

/** What the tables say, and the disks of the repository where all of them are concerned. */
export const admitOnSr = (view: View, self: Ref<'SR'>, operation: string): Fault | undefined =>
  srRefusal(view, self, operation) ?? (wholesale.includes(operation) ? diskInTheWay(view, self) : undefined);
