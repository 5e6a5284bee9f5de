import type { RecordNamed } from '../../src/model/class.ts';
import type { Infer, Ref } from '../../src/model/types.ts';
import { drivesInUse, featuresOf, srBusy } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import { own } from '../../src/std/own.ts';
import type { View } from '../../src/store/view.ts';
import type { vdiOperations, vdiType } from './enums.ts';

export type VdiOperation = Infer<typeof vdiOperations>;

interface Asked {
  readonly view: View;
  readonly self: Ref<'VDI'>;
  readonly vdi: RecordNamed<'VDI'>;
  readonly operation: string;
}

type Check = (asked: Asked) => Fault | undefined;

/** Why an operation may not begin on a disk, from rows alone; the first reason is the answer. */
export const vdiRefusal = (view: View, self: Ref<'VDI'>, operation: string): Fault | undefined => {
  const asked: Asked = { view, self, vdi: view.require('VDI', self), operation };
  for (const check of checks) {
    const fault = check(asked);
    if (fault !== undefined) return fault;
  }
  return undefined;
};

/** Clients of old releases choke on names they do not know, so newer operations are never listed. */
const listed = [
  'snapshot',
  'copy',
  'clone',
  'resize',
  'resize_online',
  'destroy',
  'forget',
  'update',
  'generate_config',
] as const satisfies readonly VdiOperation[];

export const allowedOnVdi = (view: View, self: Ref<'VDI'>): readonly VdiOperation[] =>
  listed.filter((operation) => vdiRefusal(view, self, operation) === undefined);

/** What all hosts know while some of them are not upgraded yet. */
const duringUpgrade: readonly string[] = [...listed, 'force_unlock', 'blocked'];

const upgrading: Check = ({ view, operation }) =>
  !duringUpgrade.includes(operation) && view.only('pool')[1].other_config.has('rolling_upgrade_in_progress')
    ? new Fault('NOT_SUPPORTED_DURING_UPGRADE')
    : undefined;

/** A copy only reads and may take hours, so others do not wait for it; a migration destroys its source. */
const busy: Check = ({ self, vdi, operation }) => {
  for (const [task, running] of vdi.current_operations) {
    if (running === 'copy' || (operation === 'destroy' && running === 'mirror')) continue;
    return new Fault('OTHER_OPERATION_IN_PROGRESS', ['VDI', self, running, task]);
  }
  return undefined;
};

const unreachable: Check = ({ view, vdi, operation }) => {
  if (operation !== 'resize') return undefined;
  const pbds = view.get('SR', vdi.SR)?.PBDs ?? [];
  const reached = pbds.some((ref) => view.get('PBD', ref)?.currently_attached);
  return reached ? undefined : new Fault('SR_HAS_NO_PBDS', [vdi.SR]);
};

/** One of these the driver must have. Where it cannot revert, a clone takes the place of the disk. */
const featureFor: Partial<Record<VdiOperation, readonly string[]>> = {
  clone: ['VDI_CLONE'],
  resize: ['VDI_RESIZE'],
  resize_online: ['VDI_RESIZE_ONLINE'],
  snapshot: ['VDI_SNAPSHOT'],
  mirror: ['VDI_MIRROR'],
  destroy: ['VDI_DELETE'],
  update: ['VDI_UPDATE'],
  generate_config: ['VDI_GENERATE_CONFIG'],
  enable_cbt: ['VDI_CONFIG_CBT'],
  disable_cbt: ['VDI_CONFIG_CBT'],
  data_destroy: ['VDI_CONFIG_CBT'],
  list_changed_blocks: ['VDI_CONFIG_CBT'],
  set_on_boot: ['VDI_RESET_ON_BOOT'],
  revert_to: ['VDI_REVERT', 'VDI_CLONE'],
  revert_from: ['VDI_REVERT', 'VDI_CLONE'],
};

const unsupported: Check = ({ view, vdi, operation }) => {
  const wanted = own<readonly string[]>(featureFor, operation);
  if (wanted === undefined) return undefined;
  const features = featuresOf(view, view.get('SR', vdi.SR)?.type);
  return !wanted.some((feature) => features.has(feature))
    ? new Fault('SR_OPERATION_NOT_SUPPORTED', [vdi.SR])
    : undefined;
};

/** Operations that a guest does not notice. */
const live: readonly string[] = [
  'snapshot',
  'resize_online',
  'blocked',
  'clone',
  'mirror',
  'enable_cbt',
  'disable_cbt',
  'data_destroy',
  'revert_to',
];

/** A snapshot that was taken of a running VM has drives that say attached, and no guest that writes. */
const isInTheWay = (view: View, drive: RecordNamed<'VBD'>, operation: string): boolean => {
  if (operation !== 'copy' && operation !== 'list_changed_blocks') return true;
  const isRead = operation === 'copy' && drive.mode === 'RO';
  return !isRead && view.get('VM', drive.VM)?.is_a_snapshot !== true;
};

/** Who has the disk, where the operation would be wrong with that. */
export const inUseRefusal = (view: View, self: Ref<'VDI'>, operation: string): Fault | undefined => {
  const drives = drivesInUse(view, view.require('VDI', self));
  const isFree = !drives.some((drive) => isInTheWay(view, drive, operation));
  return isFree ? undefined : new Fault('VDI_IN_USE', [self, operation]);
};

const inUse: Check = ({ view, self, operation }) =>
  live.includes(operation) ? undefined : inUseRefusal(view, self, operation);

/** Drives come and go quickly, so a change of one is waited for. */
const driveBusy: Check = ({ view, self, vdi, operation }) => {
  if (operation === 'data_destroy') return undefined;
  for (const ref of vdi.VBDs) {
    for (const [task, running] of view.get('VBD', ref)?.current_operations ?? []) {
      return new Fault('OTHER_OPERATION_IN_PROGRESS', ['VDI', self, running, task]);
    }
  }
  return undefined;
};

const typeNames: Record<Infer<typeof vdiType>, string> = {
  system: 'System',
  user: 'User',
  ephemeral: 'Ephemeral',
  suspend: 'Suspend',
  crashdump: 'Crashdump',
  ha_statefile: 'HA statefile',
  metadata: 'Metadata',
  redo_log: 'Redo log',
  rrd: 'rrd',
  pvs_cache: 'PVS cache',
  cbt_metadata: 'CBT metadata',
};

const wrongType = ({ self, vdi }: Asked): Fault =>
  new Fault('VDI_INCOMPATIBLE_TYPE', [self, typeNames[vdi.type]]);

/** A disk of which only the record of changed blocks is left has no data to work on. */
const needsData: readonly string[] = [
  'snapshot',
  'clone',
  'copy',
  'resize',
  'resize_online',
  'mirror',
  'enable_cbt',
  'disable_cbt',
  'set_on_boot',
  'revert_to',
  'revert_from',
];

const dataless: Check = (asked) =>
  asked.vdi.type === 'cbt_metadata' && needsData.includes(asked.operation) ? wrongType(asked) : undefined;

const tracking: Check = (asked) => {
  const { self, vdi, operation } = asked;
  if ((operation === 'mirror' || operation === 'set_on_boot') && vdi.cbt_enabled) {
    return new Fault('VDI_CBT_ENABLED', [self]);
  }
  if (operation === 'data_destroy') {
    if (!vdi.is_a_snapshot) return new Fault('OPERATION_NOT_ALLOWED', [`VDI is not a snapshot: ${self}`]);
    return vdi.cbt_enabled ? undefined : new Fault('VDI_NO_CBT_METADATA', [self]);
  }
  if (operation !== 'enable_cbt' && operation !== 'disable_cbt') return undefined;
  if (vdi.is_a_snapshot) return new Fault('OPERATION_NOT_ALLOWED', [`VDI is a snapshot: ${self}`]);
  if (vdi.type !== 'user' && vdi.type !== 'system') return wrongType(asked);
  return vdi.on_boot === 'reset' ? resetOnBoot() : undefined;
};

const resetOnBoot = (): Fault => new Fault('VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION');

const duplicating: Check = ({ self, vdi, operation }) => {
  if (operation !== 'snapshot' && operation !== 'copy') return undefined;
  if (operation === 'snapshot' && vdi.sharable) return new Fault('VDI_IS_SHARABLE', [self]);
  if (vdi.on_boot === 'reset') return resetOnBoot();
  if (operation === 'copy' && ofHa(vdi)) {
    const why =
      "VDI containing HA statefile or redo log cannot be copied (check the VDI's allowed operations).";
    return new Fault('OPERATION_NOT_ALLOWED', [why]);
  }
  const copied = [...vdi.current_operations.values()].includes('copy');
  return operation === 'snapshot' && copied
    ? new Fault('OPERATION_NOT_ALLOWED', ['Snapshot operation not allowed during copy.'])
    : undefined;
};

const ofHa = ({ type }: RecordNamed<'VDI'>): boolean => type === 'ha_statefile' || type === 'redo_log';

/** A snapshot of which only changed blocks stay loses its data, and a revert replaces the disk. */
const ending: readonly string[] = ['destroy', 'data_destroy', 'revert_from'];
const leavingSr: readonly string[] = [...ending, 'forget'];
const changesHa: readonly string[] = [...leavingSr, 'resize', 'resize_online'];

const heldByHa: Check = ({ view, vdi, operation }) => {
  if (!changesHa.includes(operation)) return undefined;
  const [, pool] = view.only('pool');
  if (ofHa(vdi) && pool.ha_enabled) return new Fault('HA_IS_ENABLED');
  if (!ending.includes(operation) || (vdi.type !== 'ha_statefile' && vdi.type !== 'metadata'))
    return undefined;
  const running = [...pool.current_operations.values()] as readonly string[];
  if (running.includes('ha_enable')) return new Fault('HA_ENABLE_IN_PROGRESS');
  return running.includes('ha_disable') ? new Fault('HA_DISABLE_IN_PROGRESS') : undefined;
};

const undeletable: Check = ({ view, self, vdi, operation }) => {
  const ends = ending.includes(operation);
  const sr = view.get('SR', vdi.SR);
  if (ends && sr?.type === 'udev') return new Fault('VDI_IS_A_PHYSICAL_DEVICE', [self]);
  if (ends && sr?.is_tools_sr) return new Fault('SR_OPERATION_NOT_SUPPORTED', [vdi.SR]);
  return leavingSr.includes(operation) && vdi.type === 'rrd' ? new Fault('VDI_HAS_RRDS', [self]) : undefined;
};

const noSnapshot: Check = ({ vdi, operation }) =>
  operation === 'revert_to' && !vdi.is_a_snapshot ? new Fault('REVERT_ONLY_ALLOWED_ON_SNAPSHOT') : undefined;

const checks: readonly Check[] = [
  upgrading,
  busy,
  unreachable,
  inUse,
  driveBusy,
  unsupported,
  dataless,
  tracking,
  duplicating,
  undeletable,
  heldByHa,
  noSnapshot,
];

/** While the repository as a whole is changing, its disks wait. */
export const repositoryBusy = (view: View, self: Ref<'VDI'>): Fault | undefined => {
  const { SR } = view.require('VDI', self);
  for (const [task, running] of view.get('SR', SR)?.current_operations ?? []) {
    if (!running.startsWith('vdi_')) return srBusy(SR, running, task);
  }
  return undefined;
};
