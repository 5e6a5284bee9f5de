import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement, type Working } from '../../src/objects/implement.ts';
import { hostOfDisk } from '../../src/rules/guest-disk.ts';
import { drivesInUse } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { allowedOnVdi, repositoryBusy, vdiRefusal } from './admission.ts';
import { clone, snapshot } from './branch.ts';
import { destroy, forget, rename, resize, update } from './change.ts';
import { VDI } from './class.ts';
import { copy, copyHolds } from './copy.ts';
import { create, introduce, type NewVdi } from './create.ts';
import { dbForget, dbIntroduce, isOwnDriver } from './driver-rows.ts';
import { images } from './images.ts';
import { migrate, migrateHolds, migrateRefusal } from './migrate.ts';
import { connectNbd, nbdInfo } from './nbd.ts';
import { revert, revertHolds, revertRefusal } from './reverting.ts';
import {
  compareHolds,
  compareRefusal,
  destroyData,
  generateConfig,
  listChangedBlocks,
  track,
} from './tracking.ts';
import { unmanaged } from './volume.ts';

type Vdi = RecordNamed<'VDI'>;

const set = ({ tx, self, caller }: Deciding, changes: Partial<Vdi>): void => {
  isOwnDriver(caller, tx.require('VDI', self as Ref<'VDI'>));
  tx.patch('VDI', self as Ref<'VDI'>, changes);
};

/** How guests share a disk is fixed while one has it. */
const setUnused = (deciding: Deciding, operation: string, changes: Partial<Vdi>): void => {
  const self = deciding.self as Ref<'VDI'>;
  const row = deciding.tx.require('VDI', self);
  // Its driver says what is so, whoever has it.
  if (!isOwnDriver(deciding.caller, row) && drivesInUse(deciding.tx, row).length > 0) {
    throw new Fault('VDI_IN_USE', [self, operation]);
  }
  set(deciding, changes);
};

const onSr = ({ SR }: { readonly SR: Ref<'SR'> }, view: View): Ref<'SR'> => {
  view.require('SR', SR);
  return SR;
};

const onDisk = ({ vdi }: { readonly vdi: Ref<'VDI'> }, view: View): Ref<'VDI'> => {
  view.require('VDI', vdi);
  return vdi;
};

export default implement(
  VDI,
  {
    home: (view, _, row) => hostOfDisk(view, row),
    admit: (view, self, operation) => vdiRefusal(view, self, operation) ?? repositoryBusy(view, self),
    derive: (view, self) => ({ allowed_operations: allowedOnVdi(view, self) }),
  },
  {
    create: {
      operation: 'vdi_create',
      on: onSr,
      work: (working: Working<'VDI'>, fields: NewVdi) => create(working, fields),
    },
    destroy: { operation: 'destroy', unless: unmanaged, work: destroy },
    snapshot: { operation: 'snapshot', unless: unmanaged, work: snapshot },
    clone: { operation: 'clone', unless: unmanaged, work: clone },
    copy: { operation: 'copy', unless: unmanaged, holds: copyHolds, work: copy },
    pool_migrate: {
      operation: 'mirror',
      unless: (view, self, args) => unmanaged(view, self) ?? migrateRefusal(view, self, args),
      holds: migrateHolds,
      work: migrate,
    },
    resize: { operation: 'resize', unless: unmanaged, work: resize('resize') },
    resize_online: { operation: 'resize_online', unless: unmanaged, work: resize('resize_online') },
    update: { operation: 'update', work: update },
    forget: { operation: 'forget', offline: true, work: forget },
    introduce: { operation: 'vdi_introduce', on: onSr, work: introduce },
    pool_introduce: { on: onSr, decide: dbIntroduce },
    db_introduce: { on: onSr, decide: dbIntroduce },
    db_forget: { decide: dbForget },

    set_name_label: { work: rename('name_label') },
    set_name_description: { work: rename('name_description') },
    set_sharable: {
      decide: (deciding, { value }) => setUnused(deciding, 'set_sharable', { sharable: value }),
    },
    set_read_only: {
      decide: (deciding, { value }) => setUnused(deciding, 'set_read_only', { read_only: value }),
    },
    set_on_boot: {
      operation: 'set_on_boot',
      offline: true,
      work: async ({ self, settle }, { value }) => settle((tx) => tx.patch('VDI', self, { on_boot: value })),
    },
    set_allow_caching: { decide: (deciding, { value }) => set(deciding, { allow_caching: value }) },
    set_managed: { decide: (deciding, { value }) => set(deciding, { managed: value }) },
    set_missing: { decide: (deciding, { value }) => set(deciding, { missing: value }) },
    set_virtual_size: { decide: (deciding, { value }) => set(deciding, { virtual_size: value }) },
    set_physical_utilisation: {
      decide: (deciding, { value }) => set(deciding, { physical_utilisation: value }),
    },
    set_is_a_snapshot: { decide: (deciding, { value }) => set(deciding, { is_a_snapshot: value }) },
    set_snapshot_of: {
      decide: (deciding, { value }) => {
        if (value === deciding.self) throw new Fault('INVALID_VALUE', ['snapshot_of', value]);
        set(deciding, { snapshot_of: value });
      },
    },
    set_snapshot_time: { decide: (deciding, { value }) => set(deciding, { snapshot_time: value }) },
    set_metadata_of_pool: { decide: (deciding, { value }) => set(deciding, { metadata_of_pool: value }) },
    set_cbt_enabled: { decide: (deciding, { value }) => set(deciding, { cbt_enabled: value }) },

    force_unlock: { decide: () => undefined },
    generate_config: { operation: 'generate_config', on: onDisk, work: generateConfig },
    enable_cbt: { operation: 'enable_cbt', unless: unmanaged, work: track(true) },
    disable_cbt: { operation: 'disable_cbt', unless: unmanaged, work: track(false) },
    data_destroy: { operation: 'data_destroy', unless: unmanaged, work: destroyData },
    list_changed_blocks: {
      operation: 'list_changed_blocks',
      unless: (view, self, args) => unmanaged(view, self) ?? compareRefusal(view, self, args),
      holds: compareHolds,
      work: listChangedBlocks,
    },
    revert: { operation: 'revert_to', unless: revertRefusal, holds: revertHolds, work: revert },
    get_nbd_info: { read: nbdInfo },
  },
  { ...images, connect_nbd: connectNbd },
);
